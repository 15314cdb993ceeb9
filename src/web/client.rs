//! The HTTP client: many requests over few connections that are kept alive. It honours `Retry-After`, and gives up on
//! servers that are down.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jigdo::jigdo_file::MAX_TEXT;
use parking_lot::Mutex;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::{Error, Options};
use crate::set::Fetched;

/// The wait after the first failure. Each further wait is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// After this many failures in a row, a server is given up.
const GIVE_UP_AFTER: u32 = 12;

/// The most redirections that are followed.
const MAX_REDIRECTS: usize = 10;

/// The longest that fetching a jigdo file may take, with all retries.
const LONGEST_FETCH: Duration = Duration::from_secs(300);

/// The least rate at which an answer must arrive, in bytes per second, on average over each period of the options'
/// `timeout`. It is far below that of a modem: a large file over a slow line is fine, a trickle that would keep a
/// connection busy for days is not.
const LEAST_RATE: f64 = 256.0;

/// Makes requests to web servers.
pub struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    pub options: Options,
    /// The earliest time of the next request.
    next: Mutex<Instant>,
    /// The servers that files were fetched from, by scheme, name and port.
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// Why a file was not fetched.
struct Refusal {
    why: String,
    /// Whether a retry cannot succeed.
    is_final: bool,
    /// The server's `Retry-After`.
    after: Option<Duration>,
}

/// The state of a server.
#[derive(Default)]
pub struct Host(Mutex<HostState>);

#[derive(Default)]
struct HostState {
    /// No request is made before then.
    paused_until: Option<Instant>,
    failures_in_a_row: u32,
    /// Why it was given up.
    given_up: Option<String>,
}

impl Client {
    /// Makes a client that trusts the system's certificates and takes proxies from the environment.
    pub fn new(options: Options) -> Result<Self, Error> {
        // This fails only if a provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(crate::GENERATOR)
            .connect_timeout(options.timeout)
            .pool_max_idle_per_host(options.connections)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(|error| Error::Client(reason(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Threads(error.to_string()))?;
        Ok(Self { client, runtime, options, next: Mutex::new(Instant::now()), hosts: Mutex::default() })
    }

    /// Runs a future that makes requests.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Fetches the file at a URL, of at most the length that a jigdo file may have. Retries after server errors and lost
    /// connections.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be fetched, after the URL.
    pub fn fetch(&self, url: &Url) -> Result<Fetched, String> {
        let host = Arc::clone(self.hosts.lock().entry(url.origin().ascii_serialization()).or_default());
        let fetched = self.block_on(async {
            let attempts = tokio::time::timeout(LONGEST_FETCH, self.fetch_patiently(url, &host)).await;
            attempts.unwrap_or_else(|_| Err(format!("not fetched within {} s", LONGEST_FETCH.as_secs())))
        });
        fetched.map_err(|why| format!("{url}: {why}"))
    }

    async fn fetch_patiently(&self, url: &Url, host: &Host) -> Result<Fetched, String> {
        let mut last = String::new();
        for attempt in 0..=self.options.retries {
            if let Some(why) = host.wait().await {
                return Err(why);
            }
            match self.fetch_once(url).await {
                Ok(fetched) => {
                    host.answered();
                    return Ok(fetched);
                }
                Err(Refusal { why, is_final: true, .. }) => return Err(why),
                Err(Refusal { why, after, .. }) => {
                    tracing::debug!(%url, attempt, why, "request failed");
                    self.failed(host, &why, after);
                    last = why;
                    if attempt < self.options.retries {
                        self.pause(host, attempt, after).await;
                    }
                }
            }
        }
        Err(last)
    }

    async fn fetch_once(&self, url: &Url) -> Result<Fetched, Refusal> {
        let passing = |why| Refusal { why, is_final: false, after: None };
        let too_long = || Refusal { why: format!("it is longer than {MAX_TEXT} bytes"), is_final: true, after: None };
        let response = self.send(Method::GET, url, HeaderMap::new()).await.map_err(passing)?;
        let status = response.status();
        if !status.is_success() {
            let after = retry_after(response.headers(), SystemTime::now());
            return Err(Refusal { why: status.to_string(), is_final: !is_temporary(status), after });
        }
        if content_length(response.headers()).is_some_and(|length| length > MAX_TEXT) {
            return Err(too_long());
        }
        let found = response.url().clone();
        let mut bytes = Vec::new();
        let mut body = self.body(response);
        while let Some(piece) = body.next().await.map_err(passing)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > MAX_TEXT {
                return Err(too_long());
            }
        }
        Ok(Fetched { url: found, bytes: bytes.into() })
    }

    /// Records that a request to a server failed. `after` is the server's `Retry-After`, if it sent one.
    pub fn failed(&self, host: &Host, why: &str, after: Option<Duration>) {
        host.failed(why);
        if let Some(after) = after.filter(|after| *after > self.options.longest_wait) {
            host.give_up(format!("{why}: it asks for a wait of {} s", after.as_secs()));
        }
    }

    /// Waits before the next attempt: as long as the server asks, which then holds for all requests to it, or else twice as
    /// long as before.
    pub async fn pause(&self, host: &Host, attempt: u32, after: Option<Duration>) {
        match after {
            Some(after) => host.leave_alone(after),
            None => tokio::time::sleep(FIRST_PAUSE * 2u32.saturating_pow(attempt).min(64)).await,
        }
    }

    /// The content of an answer.
    pub fn body(&self, response: Response) -> Body {
        Body { response, period: self.options.timeout, ends: Instant::now() + self.options.timeout, arrived: 0 }
    }

    /// Makes one request as soon as the rate allows it.
    pub async fn send(&self, method: Method, url: &Url, headers: HeaderMap) -> Result<Response, String> {
        self.turn().await;
        let request = self.client.request(method, url.clone()).headers(headers).send();
        match tokio::time::timeout(self.options.timeout, request).await {
            Ok(response) => response.map_err(|error| reason(&error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> String {
        format!("no answer within {} s", self.options.timeout.as_secs_f64())
    }

    /// Waits until the rate allows a request.
    async fn turn(&self) {
        if self.options.rate <= 0.0 {
            return;
        }
        let at = {
            let mut next = self.next.lock();
            let at = (*next).max(Instant::now());
            *next = at + Duration::from_secs_f64(1.0 / self.options.rate);
            at
        };
        tokio::time::sleep_until(at.into()).await;
    }
}

/// The content of an answer, as it arrives.
pub struct Body {
    response: Response,
    /// How long the rate is averaged.
    period: Duration,
    /// When the current period ends.
    ends: Instant,
    /// How many bytes have arrived in the current period.
    arrived: u64,
}

impl Body {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection is lost, or less than `LEAST_RATE` has arrived in a period.
    pub async fn next(&mut self) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, String> {
        loop {
            if let Ok(piece) = tokio::time::timeout_at(self.ends.into(), self.response.chunk()).await {
                let piece = piece.map_err(|error| reason(&error))?;
                self.arrived += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                // Whoever reads was busy with something else beyond the end of the period, which is not the server's fault.
                if self.ends <= Instant::now() {
                    self.begin_period();
                }
                return Ok(piece);
            }
            if (self.arrived as f64) < LEAST_RATE * self.period.as_secs_f64() {
                let (arrived, seconds) = (self.arrived, self.period.as_secs_f64());
                return Err(match arrived {
                    0 => format!("no answer within {seconds} s"),
                    _ => format!("too slow: {arrived} bytes in {seconds} s"),
                });
            }
            self.begin_period();
        }
    }

    fn begin_period(&mut self) {
        (self.ends, self.arrived) = (Instant::now() + self.period, 0);
    }
}

impl Host {
    fn state(&self) -> parking_lot::MutexGuard<'_, HostState> {
        self.0.lock()
    }

    /// Waits until requests to the server are allowed. Returns why it was given up, if it was.
    pub async fn wait(&self) -> Option<String> {
        loop {
            let until = {
                let state = self.state();
                if state.given_up.is_some() {
                    return state.given_up.clone();
                }
                state.paused_until.filter(|until| *until > Instant::now())?
            };
            tokio::time::sleep_until(until.into()).await;
        }
    }

    pub fn answered(&self) {
        self.state().failures_in_a_row = 0;
    }

    fn failed(&self, why: &str) {
        let mut state = self.state();
        state.failures_in_a_row += 1;
        if state.failures_in_a_row >= GIVE_UP_AFTER && state.given_up.is_none() {
            tracing::debug!(why, failures = GIVE_UP_AFTER, "server given up");
            state.given_up = Some(format!("given up after {GIVE_UP_AFTER} failures in a row: {why}"));
        }
    }

    fn give_up(&self, why: String) {
        self.state().given_up.get_or_insert(why);
    }

    fn leave_alone(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.paused_until = Some(state.paused_until.map_or(until, |other| other.max(until)));
    }
}

/// Whether the same request may succeed later.
pub fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504)
}

pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The wait that the server asks for, in seconds or until a date (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = |date: SystemTime| date.duration_since(now).unwrap_or_default();
    value.parse().ok().map(Duration::from_secs).or_else(|| httpdate::parse_http_date(value).ok().map(until))
}

/// What is wrong, for people: the last cause of an error says the most.
fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    if error.is_redirect() && !text.contains("redirect") {
        text = format!("redirection: {text}");
    }
    text
}

/// Waits until all futures are done.
pub async fn join_all<T: Future<Output = ()>>(futures: Vec<T>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 20);
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(20)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
