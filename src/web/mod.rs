//! The web client of a run, made when it is first needed.
//!
//! Without the feature `web` there is no client, and whatever needs one returns an error that says so.

#[cfg(feature = "web")]
mod client;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use url::Url;

use crate::set::{Fetch, Fetched};

#[cfg(feature = "web")]
pub(crate) use client::{Client, Host, content_length, is_temporary, join_all, retry_after};

/// How requests are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests are made to one server at a time.
    pub connections: usize,
    /// How long a server may take to answer, and the period over which it must send at least 256 bytes per second.
    pub timeout: Duration,
    /// How many times a failed request is retried.
    pub retries: u32,
    /// The most requests per second, to all servers together; 0 for no limit.
    pub rate: f64,
    /// A server whose `Retry-After` is longer than this is given up.
    pub longest_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            timeout: Duration::from_secs(20),
            retries: 3,
            rate: 0.0,
            longest_wait: Duration::from_secs(120),
        }
    }
}

/// Why no request can be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(
        "cannot make requests: {0}; check that certificates are installed (ca-certificates), and the proxy in the environment"
    )]
    Client(String),
    #[error("cannot start to make requests: {0}")]
    Threads(String),
    #[error(
        "this jigpress was built without the feature \"web\", so it cannot fetch from the web; build it with that feature"
    )]
    NotBuilt,
}

type FetchedOnce = OnceLock<Result<Fetched, String>>;

/// The web, as one run sees it: every URL has one content.
pub struct Web {
    #[cfg_attr(not(feature = "web"), allow(dead_code, reason = "without a client, nobody reads them"))]
    options: Options,
    #[cfg(feature = "web")]
    client: OnceLock<Result<Client, Error>>,
    /// Each URL is fetched once, because thousands of sets may include the same file.
    fetched: Mutex<HashMap<Url, Arc<FetchedOnce>>>,
}

impl Web {
    /// Does nothing before the first request.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            #[cfg(feature = "web")]
            client: OnceLock::new(),
            fetched: Mutex::default(),
        }
    }

    #[cfg(feature = "web")]
    pub(crate) fn client(&self) -> Result<&Client, Error> {
        self.client.get_or_init(|| Client::new(self.options.clone())).as_ref().map_err(Clone::clone)
    }

    #[cfg(feature = "web")]
    fn get(&self, url: &Url) -> Result<Fetched, String> {
        self.client().map_err(|error| error.to_string())?.fetch(url)
    }

    #[cfg(not(feature = "web"))]
    #[allow(clippy::unused_self, reason = "it has the signature that it has with the feature")]
    fn get(&self, _: &Url) -> Result<Fetched, String> {
        Err(Error::NotBuilt.to_string())
    }
}

impl Fetch for Web {
    fn fetch(&self, url: &Url) -> Result<Fetched, String> {
        let slot = Arc::clone(self.fetched.lock().entry(url.clone()).or_default());
        slot.get_or_init(|| self.get(url)).clone()
    }
}
