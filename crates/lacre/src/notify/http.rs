//! One HTTP request of a notification: small, bounded, never followed elsewhere, its URL never shown.
//!
//! In: method, URL, body. Out: the answer, or why there is none. The URL of a ping or a chat is a secret: messages name its host only.

use std::error::Error as _;

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use super::{ATTEMPT_TIMEOUT, Fault};

/// The longest part of an answer that is looked at, bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST or HEAD.
    pub method: Method,
    /// Where it goes.
    pub url: String,
    /// Headers besides the usual.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of its text.
    pub body: String,
    /// How long a body it keeps, where it says so.
    pub body_limit: Option<usize>,
}

/// The host a URL names, for messages.
pub fn host_of(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "(no host)".to_owned())
}

/// Whether what is sent to a URL can be read on the way: plain http to another machine.
pub fn is_in_the_open(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_here = url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    url.scheme() == "http" && !is_here
}

/// Sends a request once.
///
/// # Errors
/// What is wrong with the URL or the way to the server; a status of its is no error.
pub fn send(request: &Request) -> Result<Answer, Fault> {
    let never = |what: String| Fault { what, again: false };
    let url = Url::parse(&request.url).map_err(|error| never(format!("its URL cannot be read: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(never("its URL is not one of http or https".to_owned()));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| never(format!("the header {name} cannot be sent")))?;
        value.set_sensitive(*name == "authorization");
        headers.insert(HeaderName::from_static(name), value);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| never(format!("no thread of its own: {error}")))?;
    runtime.block_on(exchange(request, url, headers))
}

async fn exchange(request: &Request, url: Url, headers: HeaderMap) -> Result<Answer, Fault> {
    let host = host_of(&request.url);
    let fault = |error: reqwest::Error| {
        let again = !error.is_builder() && !error.is_redirect();
        Fault { what: format!("{host}: {}", reasons(&error.without_url())), again }
    };
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .timeout(ATTEMPT_TIMEOUT)
        .referer(false)
        .user_agent(concat!("lacre/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(fault)?;
    let sent = client.request(request.method.clone(), url).headers(headers).body(request.body.clone()).send().await;
    let mut response = sent.map_err(fault)?;
    let limit = response.headers().get("ping-body-limit").and_then(|value| value.to_str().ok());
    let body_limit = limit.and_then(|text| text.trim().parse().ok());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(fault)? {
        body.extend_from_slice(&piece[..piece.len().min(ANSWER_BYTES_MAX - body.len())]);
        if body.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).trim().to_owned();
    match status {
        429 | 500..=599 => Err(Fault { what: format!("{host} answered {status}"), again: true }),
        _ => Ok(Answer { status, body, body_limit }),
    }
}

/// Connects to a URL's server and asks it for nothing that is secret: any answer will do.
///
/// # Errors
/// What is wrong with the URL or the way to the server.
pub fn connect(url: &str) -> Result<(), String> {
    let mut origin = Url::parse(url).map_err(|error| format!("its URL cannot be read: {error}"))?;
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    let request = Request { method: Method::HEAD, url: origin.to_string(), headers: Vec::new(), body: Vec::new() };
    match send(&request) {
        // A server that answers is there, whatever it thinks of its front page.
        Err(fault) if fault.what.contains(" answered ") => Ok(()),
        Err(fault) => Err(fault.what),
        Ok(_) => Ok(()),
    }
}

/// An error with everything below it, as one line.
fn reasons(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Turns an answer into a verdict.
///
/// # Errors
/// The status, for anything but 200 to 299.
pub fn accepted(url: &str, answer: &Answer) -> Result<(), String> {
    match answer.status {
        200..=299 => Ok(()),
        301..=399 => Err(format!("{} answered {}: it lies elsewhere now", host_of(url), answer.status)),
        status => Err(format!("{} answered {status}", host_of(url))),
    }
}

#[cfg(test)]
mod tests {
    use super::{host_of, is_in_the_open};

    #[test]
    fn only_the_host_of_a_url_is_shown() {
        assert_eq!(host_of("https://user:pw@hc-ping.com/secret?x=y"), "hc-ping.com");
        assert_eq!(host_of("nonsense"), "(no host)");
        assert!(is_in_the_open("http://hc-ping.com/x") && !is_in_the_open("https://hc-ping.com/x"));
        assert!(!is_in_the_open("http://127.0.0.1:8000/x") && !is_in_the_open("http://[::1]/x"));
    }
}
