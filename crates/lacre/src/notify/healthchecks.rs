//! The healthchecks protocol: start, success, failure by exit status, log; a run id ties the two ends of a run together.
//!
//! In: a ping URL, a run's id, how it ended. Out: one delivery for each ping. The body is a summary of counts; the end of the log, which
//! may name tables and hosts, is sent only when asked for, and no more of it than the server says it keeps.

use reqwest::Method;

use super::{
    Delivery,
    http::{self, Answer, Request},
    patiently, url,
};
use crate::{
    config::operate::{Healthchecks, UrlSource},
    exit::Exit,
    status::Verdict,
};

/// What is sent where the server does not say how much it keeps, bytes.
const BODY_BYTES_USUAL: usize = 10_000;
/// The most that is ever sent, bytes.
const BODY_BYTES_MAX: usize = 1_000_000;
/// Stands before the end of a log that was too long.
const CUT: &str = "(only the end of the log)\n";

/// The pings of one run.
#[derive(Debug)]
pub struct Pings<'a> {
    settings: &'a Healthchecks,
    base: Result<String, String>,
    run: String,
    body_bytes_max: usize,
}

impl<'a> Pings<'a> {
    /// Prepares the pings of a run; nothing when no URL is configured.
    pub fn of_run(settings: &'a Healthchecks, run: &str) -> Option<Pings<'a>> {
        let source = settings.url.as_ref()?;
        Some(Pings { settings, base: url(source), run: run.to_owned(), body_bytes_max: BODY_BYTES_USUAL })
    }

    /// Prepares the pings of a look at the status, which are another check's.
    pub fn of_status(settings: &'a Healthchecks, run: &str) -> Option<Pings<'a>> {
        let source = UrlSource::Plain(settings.status_url.clone()?);
        Some(Pings { settings, base: url(&source), run: run.to_owned(), body_bytes_max: BODY_BYTES_USUAL })
    }

    /// Says that the run begins.
    pub fn start(&mut self) -> Delivery {
        self.ping("start", "")
    }

    /// Says something that changes nothing.
    pub fn log(&mut self, text: &str) -> Delivery {
        self.ping("log", text)
    }

    /// Says how the run ended. Findings are no failure: the snapshots are there.
    pub fn end(&mut self, exit: Exit, summary: &str, log: &str) -> Delivery {
        let body = self.body(summary, log);
        if matches!(exit, Exit::Done | Exit::Findings) {
            return self.ping("", &body);
        }
        match &self.settings.fail_url {
            Some(elsewhere) => {
                let address = with_run(elsewhere.expose(), "", &self.run);
                self.send(address, &body)
            }
            None if self.settings.exit_status => self.ping(&exit.code().to_string(), &body),
            None => self.ping("fail", &body),
        }
    }

    /// Says that a check of the status failed or not.
    pub fn verdict(&mut self, verdict: Verdict, summary: &str) -> Delivery {
        self.ping(if verdict == Verdict::Good { "" } else { "fail" }, summary)
    }

    /// The summary, or the end of the log where that is wanted.
    fn body(&self, summary: &str, log: &str) -> String {
        if !self.settings.send_logs || log.is_empty() {
            return tail(summary, self.body_bytes_max);
        }
        tail(&format!("{log}\n{summary}"), self.body_bytes_max)
    }

    fn ping(&mut self, what: &str, body: &str) -> Delivery {
        match &self.base {
            Ok(base) => {
                let address = with_run(base, what, &self.run);
                self.send(address, body)
            }
            Err(why) => Delivery::of("healthchecks", Err(why.clone())),
        }
    }

    fn send(&mut self, address: String, body: &str) -> Delivery {
        let request = Request {
            method: Method::POST,
            url: address,
            headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        let answer = patiently(|| http::send(&request));
        if let Ok(Answer { body_limit: Some(limit), .. }) = &answer {
            self.body_bytes_max = (*limit).min(BODY_BYTES_MAX);
        }
        Delivery::of("healthchecks", answer.and_then(|answer| verdict(&request.url, &answer)))
    }
}

/// What the server's answer means. Some say "OK" to a check they do not have.
fn verdict(address: &str, answer: &Answer) -> Result<(), String> {
    let host = http::host_of(address);
    match answer.status {
        200 if answer.body.contains("not found") => Err(format!("{host} has no check with this address")),
        200 if answer.body.contains("rate limited") => Err(format!("{host} takes no more pings for now")),
        404 => Err(format!("{host} has no check with this address (404)")),
        409 => Err(format!("{host} has several checks with this slug (409): make it unique")),
        _ => http::accepted(address, answer),
    }
}

/// Puts the kind of ping behind the path, and the run's id into the query.
fn with_run(base: &str, what: &str, run: &str) -> String {
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    let mut address = path.trim_end_matches('/').to_owned();
    if !what.is_empty() {
        address.push('/');
        address.push_str(what);
    }
    address.push('?');
    if !query.is_empty() {
        address.push_str(query);
        address.push('&');
    }
    address.push_str("rid=");
    address.push_str(run);
    address
}

/// The end of a text that is at most so long, whole characters only.
fn tail(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = if bytes_max > CUT.len() { bytes_max - CUT.len() } else { bytes_max };
    let mut from = text.len().saturating_sub(room);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let cut = if bytes_max > CUT.len() { CUT } else { "" };
    format!("{cut}{}", &text[from..])
}

#[cfg(test)]
mod tests {
    use super::{Answer, tail, verdict, with_run};

    #[test]
    fn addresses_keep_their_query() {
        let run = "4d1f";
        assert_eq!(with_run("https://hc.example/u", "", run), "https://hc.example/u?rid=4d1f");
        assert_eq!(with_run("https://hc.example/u/", "start", run), "https://hc.example/u/start?rid=4d1f");
        assert_eq!(
            with_run("https://hc.example/k/s?create=1", "14", run),
            "https://hc.example/k/s/14?create=1&rid=4d1f"
        );
    }

    #[test]
    fn the_end_of_a_log_is_kept_in_whole_characters() {
        assert_eq!(tail("abc", 3), "abc");
        let text = "ä".repeat(100);
        let kept = tail(&text, 60);
        assert!(kept.len() <= 60 && kept.starts_with("(only the end") && kept.ends_with("ää"), "{kept}");
        assert_eq!(tail(&text, 5), "ää");
        assert_eq!(tail(&text, 0), "");
    }

    #[test]
    fn answers_that_mean_no_are_failures() {
        let said =
            |status, body: &str| verdict("https://h/x", &Answer { status, body: body.to_owned(), body_limit: None });
        assert!(said(200, "OK").is_ok());
        for (status, body) in [(200, "OK (not found)"), (404, ""), (409, ""), (301, ""), (400, "")] {
            assert!(said(status, body).unwrap_err().starts_with("h "), "{status} {body}");
        }
    }
}
