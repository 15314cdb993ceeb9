//! Asking web servers for parts: many requests over few connections that are kept alive, with patience where a server
//! asks for it, and none for one that is down.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jigdo::Checksum;
use jigdo::jigdo_file::MAX_TEXT;
use parking_lot::Mutex;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::answer::Answer;
use super::local::Summing;

/// How servers are asked.
#[derive(Debug, Clone)]
pub struct Manners {
    /// How many requests one server has at a time.
    pub connections: usize,
    /// How long a server may take to answer, or to send the next bytes.
    pub timeout: Duration,
    /// How many times a request that failed is made again.
    pub retries: u32,
    /// The most requests a second, to all servers together; 0 for as many as it takes.
    pub rate: f64,
    /// How long a server may ask to be left alone before it is given up.
    pub longest_wait: Duration,
}

/// After the first failure; the next wait is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// When so many requests to a server have failed in a row, the rest of them is not made.
const GIVE_UP_AFTER: u32 = 12;

/// The most redirections that are followed.
const MAX_REDIRECTS: usize = 10;

/// Why web servers cannot be asked at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    #[error(
        "cannot make requests: {0}; see that certificates are installed (ca-certificates), and which proxy the environment names"
    )]
    Client(String),
    #[error("cannot begin to make requests: {0}")]
    Threads(String),
}

/// Asks web servers.
pub struct Http {
    client: Client,
    runtime: tokio::runtime::Runtime,
    manners: Manners,
    /// When the next request may be made.
    next: Mutex<Instant>,
}

/// A server, by its scheme, name and port, as far as it was asked.
#[derive(Default)]
pub struct Host(Mutex<HostState>);

#[derive(Default)]
struct HostState {
    /// It is left alone until then.
    paused_until: Option<Instant>,
    failures_in_a_row: u32,
    /// Why it is not asked any more.
    given_up: Option<String>,
}

/// A file that is to be asked for.
pub struct Request {
    pub number: usize,
    pub url: Url,
    /// In bytes, if one is expected: another length is not fetched.
    pub length: Option<u64>,
    /// The sums to compute of its bytes; none: these are not fetched.
    pub sums: Vec<Checksum>,
}

/// What came of one attempt.
enum Attempt {
    Done(Answer),
    /// It may go better later, perhaps as soon as the server says.
    Again {
        why: String,
        after: Option<Duration>,
    },
}

impl Http {
    /// A client that trusts the certificates that the system trusts, and takes proxies from the environment.
    pub fn new(manners: Manners) -> Result<Self, ClientError> {
        // It is the only one that this program has; that another part of it installed it before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(crate::GENERATOR)
            .connect_timeout(manners.timeout)
            .pool_max_idle_per_host(manners.connections)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(|error| ClientError::Client(told(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ClientError::Threads(error.to_string()))?;
        Ok(Self { client, runtime, manners, next: Mutex::new(Instant::now()) })
    }

    /// Makes these requests, which are to one server, and gives each one's number and answer to `take`.
    pub fn ask<'s>(
        &'s self,
        requests: Vec<Request>,
        take: &'s (dyn Fn(usize, Answer) + Sync),
    ) -> impl Future<Output = ()> + 's {
        let (host, waiting) = (Arc::new(Host::default()), Arc::new(Mutex::new(requests.into_iter())));
        let workers = (0..self.manners.connections).map(move |_| {
            let (host, waiting) = (Arc::clone(&host), Arc::clone(&waiting));
            async move {
                loop {
                    let request = waiting.lock().next();
                    let Some(request) = request else { return };
                    take(request.number, self.patiently(&request, &host).await);
                }
            }
        });
        join_all(workers.collect())
    }

    /// Runs to the end what asks servers.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The bytes at a URL, which must not be more than a jigdo file may have.
    pub fn fetch(&self, url: &Url) -> Result<Vec<u8>, String> {
        self.block_on(async {
            let host = Host::default();
            let mut why = String::new();
            for attempt in 0..=self.manners.retries {
                match self.fetch_once(url).await {
                    Ok(bytes) => return Ok(bytes),
                    Err((error, is_final)) => {
                        why = error;
                        if is_final {
                            break;
                        }
                        self.pause(&host, attempt, None).await;
                    }
                }
            }
            Err(format!("{url}: {why}"))
        })
    }

    async fn fetch_once(&self, url: &Url) -> Result<Vec<u8>, (String, bool)> {
        let mut response = self.send(Method::GET, url, HeaderMap::new()).await.map_err(|why| (why, false))?;
        if !response.status().is_success() {
            return Err((response.status().to_string(), !is_passing(response.status())));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.next_piece(&mut response).await.map_err(|why| (why, false))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > MAX_TEXT {
                return Err((format!("it is longer than {MAX_TEXT} bytes"), true));
            }
        }
        Ok(bytes)
    }

    /// Makes a request again and again, until there is an answer, or no hope for one.
    async fn patiently(&self, request: &Request, host: &Host) -> Answer {
        let mut last = String::new();
        for attempt in 0..=self.manners.retries {
            if let Some(why) = host.wait().await {
                return Answer::Failed(why);
            }
            match self.attempt(request).await {
                Attempt::Done(answer) => {
                    host.answered();
                    return answer;
                }
                Attempt::Again { why, after } => {
                    host.failed(&why);
                    last = why;
                    if let Some(after) = after.filter(|after| *after > self.manners.longest_wait) {
                        host.give_up(format!("{last}: it asks to be left alone for {} s", after.as_secs()));
                    }
                    if attempt < self.manners.retries {
                        self.pause(host, attempt, after).await;
                    }
                }
            }
        }
        Answer::Failed(last)
    }

    /// Waits before the next attempt: as long as the server says, which then holds for all requests to it, or longer each
    /// time.
    async fn pause(&self, host: &Host, attempt: u32, after: Option<Duration>) {
        match after {
            Some(after) => host.leave_alone(after),
            None => tokio::time::sleep(FIRST_PAUSE * 2u32.saturating_pow(attempt).min(64)).await,
        }
    }

    async fn attempt(&self, request: &Request) -> Attempt {
        let method = if request.sums.is_empty() { Method::HEAD } else { Method::GET };
        let start = Instant::now();
        let response = match self.send(method.clone(), &request.url, HeaderMap::new()).await {
            Ok(response) => response,
            Err(why) => return Attempt::Again { why, after: None },
        };
        let latency = start.elapsed();
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Attempt::Done(Answer::Missing),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED if method == Method::HEAD => {
                self.first_byte(request).await
            }
            _ if status.is_success() && request.sums.is_empty() => {
                Attempt::Done(Answer::There { length: content_length(response.headers()), sums: Vec::new(), latency })
            }
            _ if status.is_success() => self.read(request, response, latency).await,
            _ if is_passing(status) => {
                Attempt::Again { why: status.to_string(), after: retry_after(response.headers(), SystemTime::now()) }
            }
            _ => Attempt::Done(Answer::Failed(status.to_string())),
        }
    }

    /// What HEAD would have said, from servers that do not know it.
    async fn first_byte(&self, request: &Request) -> Attempt {
        let headers = HeaderMap::from_iter([(RANGE, reqwest::header::HeaderValue::from_static("bytes=0-0"))]);
        let start = Instant::now();
        let response = match self.send(Method::GET, &request.url, headers).await {
            Ok(response) => response,
            Err(why) => return Attempt::Again { why, after: None },
        };
        let latency = start.elapsed();
        let whole = |text: &str| text.rsplit_once('/').and_then(|(_, length)| length.parse().ok());
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                Attempt::Done(Answer::There { length: range.and_then(whole), sums: Vec::new(), latency })
            }
            StatusCode::OK => {
                Attempt::Done(Answer::There { length: content_length(response.headers()), sums: Vec::new(), latency })
            }
            // Of an empty file there is no first byte.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Attempt::Done(Answer::There { length: range.and_then(whole), sums: Vec::new(), latency })
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Attempt::Done(Answer::Missing),
            status if is_passing(status) => {
                Attempt::Again { why: status.to_string(), after: retry_after(response.headers(), SystemTime::now()) }
            }
            status => Attempt::Done(Answer::Failed(status.to_string())),
        }
    }

    /// Fetches the bytes of a file and sums them, unless it has another length than it should.
    async fn read(&self, request: &Request, mut response: Response, latency: Duration) -> Attempt {
        let announced = content_length(response.headers());
        if announced.zip(request.length).is_some_and(|(announced, expected)| announced != expected) {
            return Attempt::Done(Answer::There { length: announced, sums: Vec::new(), latency });
        }
        let (mut summing, mut length) = (Summing::new(&request.sums), 0);
        loop {
            match self.next_piece(&mut response).await {
                Ok(Some(piece)) => {
                    summing.update(&piece);
                    length += piece.len() as u64;
                    if request.length.is_some_and(|expected| length > expected) {
                        return Attempt::Done(Answer::There { length: Some(length), sums: Vec::new(), latency });
                    }
                }
                Ok(None) => {
                    return Attempt::Done(Answer::There { length: Some(length), sums: summing.finish(), latency });
                }
                Err(why) => return Attempt::Again { why, after: None },
            }
        }
    }

    async fn next_piece(
        &self,
        response: &mut Response,
    ) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>>, String> {
        match tokio::time::timeout(self.manners.timeout, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| told(&error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Makes one request, when it is its turn.
    async fn send(&self, method: Method, url: &Url, headers: HeaderMap) -> Result<Response, String> {
        self.turn().await;
        let request = self.client.request(method, url.clone()).headers(headers).send();
        match tokio::time::timeout(self.manners.timeout, request).await {
            Ok(response) => response.map_err(|error| told(&error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> String {
        format!("no answer within {} s", self.manners.timeout.as_secs_f64())
    }

    /// Waits until the rate allows a request.
    async fn turn(&self) {
        if self.manners.rate <= 0.0 {
            return;
        }
        let at = {
            let mut next = self.next.lock();
            let at = (*next).max(Instant::now());
            *next = at + Duration::from_secs_f64(1.0 / self.manners.rate);
            at
        };
        tokio::time::sleep_until(at.into()).await;
    }
}

impl Host {
    fn state(&self) -> parking_lot::MutexGuard<'_, HostState> {
        self.0.lock()
    }

    /// Waits as long as the server is to be left alone. Gives why it is not to be asked at all, if so.
    async fn wait(&self) -> Option<String> {
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

    fn answered(&self) {
        self.state().failures_in_a_row = 0;
    }

    fn failed(&self, why: &str) {
        let mut state = self.state();
        state.failures_in_a_row += 1;
        if state.failures_in_a_row >= GIVE_UP_AFTER && state.given_up.is_none() {
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

/// Whether the same request may go better later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How long the server asks to be left alone: in seconds, or until a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = |date: SystemTime| date.duration_since(now).unwrap_or_default();
    value.parse().ok().map(Duration::from_secs).or_else(|| httpdate::parse_http_date(value).ok().map(until))
}

/// An error with its causes: the last of them is the one that tells.
fn told(error: &reqwest::Error) -> String {
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

/// Waits for all of these, each in its turn when it can go on.
async fn join_all<T: Future<Output = ()>>(futures: Vec<T>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Asks several servers at once.
pub async fn ask_all(servers: Vec<impl Future<Output = ()>>) {
    join_all(servers).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_in_seconds_or_with_a_date_how_long_it_wants_to_be_left_alone() {
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
