//! Asking web servers: one client for a whole run, made when it is first needed.
//!
//! Without the feature `web` there is no client, and everything that needs one says so.

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

/// How servers are asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests one server has at a time.
    pub connections: usize,
    /// How long a server may take to answer, or to send the next bytes.
    pub timeout: Duration,
    /// How many times a request that failed is made again.
    pub retries: u32,
    /// The most requests a second, to all servers together; 0 for no limit.
    pub rate: f64,
    /// A server that asks to be left alone for longer than this is given up.
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

/// Why web servers cannot be asked at all.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Error {
    #[error(
        "cannot make requests: {0}; see that certificates are installed (ca-certificates), and which proxy the environment names"
    )]
    Client(String),
    #[error("cannot begin to make requests: {0}")]
    Threads(String),
    #[error("this jigpress was built without the feature \"web\", so it cannot ask web servers; build it with that")]
    NotBuilt,
}

type FetchedOnce = OnceLock<Result<Fetched, String>>;

/// The web, as a run sees it.
pub struct Web {
    #[cfg_attr(not(feature = "web"), allow(dead_code, reason = "without a client there is nothing to set"))]
    options: Options,
    #[cfg(feature = "web")]
    client: OnceLock<Result<Client, Error>>,
    /// Each URL is fetched once: thousands of sets may include the same file.
    fetched: Mutex<HashMap<Url, Arc<FetchedOnce>>>,
}

impl Web {
    /// The web. Nothing is done before the first request.
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
    #[allow(clippy::unused_self, reason = "as with the feature")]
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
