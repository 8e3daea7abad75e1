//! What an answer means: done, worth another try, or something a person has to correct.
//!
//! In: status, headers and error document of an answer. Out: a verdict with its cause. It must not know the verb.

use std::time::Duration;

use super::{wire::Answer, xml};
use crate::store::Cause;

/// Longest detail shown of what a store says.
const DETAIL_CHARS_MAX: usize = 200;
/// Longest pause a store may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What to do about an answer.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The verb looks at it: success, not found, already there, out of range, not implemented.
    Take,
    /// The same again, after the pause the store asks for.
    Again { cause: Cause, detail: String, pause: Option<Duration> },
    /// No use in trying again.
    Fail { cause: Cause, detail: String },
}

/// Judges an answer.
pub(super) fn judge(answer: &Answer) -> Verdict {
    let complaint = xml::complaint(&answer.body).unwrap_or_default();
    let code = complaint.code.as_str();
    let detail = shown(answer.status, code, &complaint.message);
    let fail = |cause: Cause| Verdict::Fail { cause, detail: detail.clone() };
    let region = || {
        let header = answer.header("x-amz-bucket-region").map(str::to_owned);
        header.or_else(|| Some(complaint.region.clone())).filter(|region| is_region(region))
    };
    match answer.status {
        200..=299 => Verdict::Take,
        300..=399 => match region() {
            Some(region) => fail(Cause::WrongRegion { expected: Some(region) }),
            None if answer.status == 304 => fail(Cause::Rejected),
            None => Verdict::Fail { cause: Cause::Redirected, detail: format!("{detail}{}", target(answer)) },
        },
        404 if code == "NoSuchBucket" => fail(Cause::NoBucket),
        404 if answer.is_html() => fail(Cause::NotAStore),
        404 | 412 | 416 | 501 => Verdict::Take,
        507 => fail(Cause::Full),
        400 | 403 if is_full(code, &complaint.message) => fail(Cause::Full),
        400 | 401 | 403 => match code {
            "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                fail(Cause::WrongRegion { expected: region() })
            }
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthFailure" | "InvalidToken" | "NotSignedUp" => {
                fail(Cause::WrongKey)
            }
            "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => fail(Cause::Expired),
            "RequestTimeTooSkewed" => fail(Cause::ClockSkew),
            "RequestTimeout" => Verdict::Again { cause: Cause::Cut, detail, pause: None },
            "NotImplemented" => Verdict::Take,
            _ if answer.status == 401 => fail(Cause::WrongKey),
            _ if answer.status == 403 && answer.is_html() => fail(Cause::NotAStore),
            _ if answer.status == 403 => fail(Cause::NotAllowed),
            _ => fail(Cause::Rejected),
        },
        // A conditional PUT met another one of the same name: the next try tells.
        408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 | 509 => {
            if is_full(code, &complaint.message) {
                return fail(Cause::Full);
            }
            Verdict::Again { cause: Cause::Busy, detail, pause: retry_after(answer) }
        }
        405 => fail(Cause::NotAStore),
        500..=599 => Verdict::Again { cause: Cause::Busy, detail, pause: retry_after(answer) },
        _ => fail(Cause::Rejected),
    }
}

fn is_full(code: &str, message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    [
        "QuotaExceeded",
        "StorageFull",
        "XMinioStorageFull",
        "InsufficientStorage",
        "InsufficientCapacity",
        "storage_cap_exceeded",
    ]
    .contains(&code)
        || (lower.contains("cap exceeded") || lower.contains("quota") && lower.contains("exceed"))
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The host a redirection names.
fn target(answer: &Answer) -> String {
    let url = answer.header("location").and_then(|location| reqwest::Url::parse(location).ok());
    url.and_then(|url| url.host_str().map(|host| format!(", to {}", plain(host)))).unwrap_or_default()
}

/// What a store says, in few printable characters.
pub(super) fn shown(status: u16, code: &str, message: &str) -> String {
    let mut shown = format!("HTTP {status}");
    for part in [code, message] {
        if !part.is_empty() {
            shown.push(' ');
            shown.push_str(&plain(part));
        }
    }
    shown
}

fn plain(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Verdict, judge};
    use crate::store::{Cause, bucket::wire::Answer};

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn error(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>m</Message></Error>")
    }

    #[track_caller]
    fn fails(answer: &Answer, wanted: &Cause) {
        match judge(answer) {
            Verdict::Fail { cause, .. } => assert_eq!(cause, *wanted),
            other => unreachable!("{wanted:?} expected, {other:?}"),
        }
    }

    #[test]
    fn mistakes_of_people_are_told_apart() {
        fails(&answer(404, &[], &error("NoSuchBucket")), &Cause::NoBucket);
        fails(&answer(403, &[], &error("InvalidAccessKeyId")), &Cause::WrongKey);
        fails(&answer(403, &[], &error("SignatureDoesNotMatch")), &Cause::WrongKey);
        fails(&answer(400, &[], &error("ExpiredToken")), &Cause::Expired);
        fails(&answer(403, &[], &error("RequestTimeTooSkewed")), &Cause::ClockSkew);
        fails(&answer(403, &[], &error("AccessDenied")), &Cause::NotAllowed);
        fails(&answer(403, &[], ""), &Cause::NotAllowed);
        fails(&answer(404, &[("content-type", "text/html; charset=utf-8")], "<html>"), &Cause::NotAStore);
        fails(&answer(507, &[], ""), &Cause::Full);
        fails(
            &answer(403, &[], "<Error><Code>AccessDenied</Code><Message>storage cap exceeded</Message></Error>"),
            &Cause::Full,
        );
    }

    #[test]
    fn regions_come_from_header_or_error() {
        let expected = Cause::WrongRegion { expected: Some("eu-west-1".to_owned()) };
        fails(&answer(301, &[("x-amz-bucket-region", "eu-west-1")], ""), &expected);
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        fails(&answer(400, &[], body), &expected);
        fails(&answer(400, &[], &error("AuthorizationHeaderMalformed")), &Cause::WrongRegion { expected: None });
    }

    #[test]
    fn redirections_are_never_followed() {
        let Verdict::Fail { cause, detail } = judge(&answer(307, &[("location", "http://evil.example/x")], "")) else {
            unreachable!("a redirection was taken")
        };
        assert_eq!(cause, Cause::Redirected);
        assert!(detail.contains("evil.example"), "{detail}");
    }

    #[test]
    fn pauses_are_bounded_and_501_is_no_reason_to_try_again() {
        let Verdict::Again { pause, .. } = judge(&answer(503, &[("retry-after", "9999")], &error("SlowDown"))) else {
            unreachable!("503 is tried again")
        };
        assert_eq!(pause, Some(super::RETRY_AFTER_MAX));
        assert!(matches!(judge(&answer(501, &[], &error("NotImplemented"))), Verdict::Take));
        assert!(matches!(judge(&answer(500, &[], "")), Verdict::Again { pause: None, .. }));
    }
}
