//! Asks web servers for parts: with HEAD, or for their bytes, which are then summed.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::Request;
use super::answer::Answer;
use super::local::Summing;
use crate::web::{Client, Host, content_length, is_temporary, join_all, retry_after};

/// The most bytes of a part whose length no template says: 64 GiB. An answer may have no end.
const MAX_PART: u64 = 64 << 30;

/// The outcome of one attempt.
enum Attempt {
    Done(Answer),
    /// It may succeed later; `after` is what the server says.
    Again {
        why: String,
        after: Option<Duration>,
    },
}

/// Makes these requests, at most as many at a time to one server as the client's options allow. Passes each number and
/// answer to `take`.
pub fn ask(client: &Client, servers: Vec<Vec<Request>>, take: &(dyn Fn(usize, Answer) + Sync)) {
    let asking = Asking { client, take };
    let servers = servers.into_iter().map(|requests| asking.server(requests)).collect();
    client.block_on(join_all(servers));
}

struct Asking<'a> {
    client: &'a Client,
    take: &'a (dyn Fn(usize, Answer) + Sync),
}

impl Asking<'_> {
    /// Makes all requests to one server.
    async fn server(&self, requests: Vec<Request>) {
        let (host, waiting) = (Host::default(), Mutex::new(requests.into_iter()));
        let worker = || async {
            loop {
                let request = waiting.lock().next();
                let Some(request) = request else { return };
                (self.take)(request.number, self.patiently(&request, &host).await);
            }
        };
        join_all((0..self.client.options.connections).map(|_| worker()).collect()).await;
    }

    /// Makes a request until there is an answer, or all attempts have failed.
    async fn patiently(&self, request: &Request, host: &Host) -> Answer {
        let mut last = String::new();
        for attempt in 0..=self.client.options.retries {
            if let Some(why) = host.wait().await {
                return Answer::Failed(why);
            }
            match self.attempt(request).await {
                Attempt::Done(answer) => {
                    host.answered();
                    return answer;
                }
                Attempt::Again { why, after } => {
                    let retry_after = after.map(|after| after.as_secs());
                    tracing::debug!(url = %request.url, attempt, why, retry_after, "request failed");
                    self.client.failed(host, &why, after);
                    last = why;
                    if attempt < self.client.options.retries {
                        self.client.pause(host, attempt, after).await;
                    }
                }
            }
        }
        Answer::Failed(last)
    }

    async fn attempt(&self, request: &Request) -> Attempt {
        let method = if request.sums.is_empty() { Method::HEAD } else { Method::GET };
        let start = Instant::now();
        let response = match self.client.send(method.clone(), &request.url, HeaderMap::new()).await {
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
            _ if is_temporary(status) => {
                Attempt::Again { why: status.to_string(), after: retry_after(response.headers(), SystemTime::now()) }
            }
            _ => Attempt::Done(Answer::Failed(status.to_string())),
        }
    }

    /// The answer that HEAD would have got, for servers that do not support it.
    async fn first_byte(&self, request: &Request) -> Attempt {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let start = Instant::now();
        let response = match self.client.send(Method::GET, &request.url, headers).await {
            Ok(response) => response,
            Err(why) => return Attempt::Again { why, after: None },
        };
        let latency = start.elapsed();
        let whole = |text: &str| text.rsplit_once('/').and_then(|(_, length)| length.parse().ok());
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        match response.status() {
            // Of an empty file there is no first byte: its range is not satisfiable.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Attempt::Done(Answer::There { length: range.and_then(whole), sums: Vec::new(), latency })
            }
            StatusCode::OK => {
                Attempt::Done(Answer::There { length: content_length(response.headers()), sums: Vec::new(), latency })
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Attempt::Done(Answer::Missing),
            status if is_temporary(status) => {
                Attempt::Again { why: status.to_string(), after: retry_after(response.headers(), SystemTime::now()) }
            }
            status => Attempt::Done(Answer::Failed(status.to_string())),
        }
    }

    /// Fetches and sums the bytes of a file, unless its length is wrong.
    async fn read(&self, request: &Request, response: Response, latency: Duration) -> Attempt {
        let announced = content_length(response.headers());
        if announced.zip(request.length).is_some_and(|(announced, expected)| announced != expected) {
            return Attempt::Done(Answer::There { length: announced, sums: Vec::new(), latency });
        }
        let limit = request.length.unwrap_or(MAX_PART);
        let too_long = || Attempt::Done(Answer::Failed(format!("it is longer than {MAX_PART} bytes")));
        if announced.is_some_and(|announced| announced > limit) {
            return too_long();
        }
        let (mut summing, mut length) = (Summing::new(&request.sums), 0);
        let mut body = self.client.body(response);
        loop {
            match body.next().await {
                Ok(Some(piece)) => {
                    summing.update(&piece);
                    length += piece.len() as u64;
                    if length > limit {
                        return match request.length {
                            Some(_) => Attempt::Done(Answer::There { length: Some(length), sums: Vec::new(), latency }),
                            None => too_long(),
                        };
                    }
                }
                Ok(None) => {
                    return Attempt::Done(Answer::There { length: Some(length), sums: summing.finish(), latency });
                }
                Err(why) => return Attempt::Again { why, after: None },
            }
        }
    }
}
