//! Webhooks: one request in the shape a chat or a monitor expects.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Message, http, http::Request, patiently, url};
use crate::{
    config::operate::{Occasion, Template, Webhook},
    exit::Exit,
};

/// The longest text Discord takes, characters.
const DISCORD_CHARACTERS_MAX: usize = 2000;

/// Sends a message.
///
/// # Errors
/// What did not work, without the URL.
pub fn send(webhook: &Webhook, message: &Message) -> Result<(), String> {
    let address = url(&webhook.url)?;
    let mut request = shape(webhook, message, address)?;
    if let Some(token) = &webhook.token {
        let token = token.fetch().map_err(|error| error.message())?;
        request.headers.push(("authorization", format!("Bearer {}", token.expose())));
    }
    let answer = patiently(|| http::send(&request))?;
    http::accepted(&request.url, &answer)
}

/// The request of a message.
fn shape(webhook: &Webhook, message: &Message, address: String) -> Result<Request, String> {
    let with_json = |body: Vec<u8>| Request {
        method: Method::POST,
        url: address.clone(),
        headers: vec![("content-type", "application/json".to_owned())],
        body,
    };
    if let Some(body) = &webhook.body {
        let filled = fill(body, message);
        serde_json::from_str::<Value>(&filled)
            .map_err(|error| format!("its body is not JSON once it is filled in: {error}"))?;
        return Ok(with_json(filled.into_bytes()));
    }
    let of = |value: Value| with_json(value.to_string().into_bytes());
    Ok(match webhook.template {
        Template::Slack => of(json!({ "text": format!("*{}*\n{}", slack(&message.title), slack(&message.text)) })),
        Template::Discord => of(json!({
            "content": format!("**{}**\n{}", message.title, message.text).chars().take(DISCORD_CHARACTERS_MAX).collect::<String>(),
            "allowed_mentions": { "parse": [] },
        })),
        Template::Ntfy => ntfy(message, address),
        Template::Kuma => kuma(message, &address),
        Template::Json => of(everything(message)),
    })
}

/// Everything a message says, also what programs are given.
pub fn everything(message: &Message) -> Value {
    json!({
        "event": message.occasion.name(),
        "title": message.title,
        "text": message.text,
        "run": message.run,
        "exit": message.exit.map(Exit::code),
        "duration_ms": message.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Slack's three signs.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn ntfy(message: &Message, address: String) -> Request {
    let (priority, tags) = match message.occasion {
        Occasion::Failure | Occasion::Drill | Occasion::Erasure => ("high", "rotating_light"),
        Occasion::Stale => ("high", "hourglass"),
        Occasion::Recovery | Occasion::Success => ("default", "white_check_mark"),
    };
    // A header holds ASCII only.
    let title: String = message.title.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect();
    let headers = vec![("title", title), ("priority", priority.to_owned()), ("tags", tags.to_owned())];
    Request { method: Method::POST, url: address, headers, body: message.text.clone().into_bytes() }
}

/// A push is a GET; only the end of a run is a sign of life, because a start would hide a run that hangs.
fn kuma(message: &Message, address: &str) -> Request {
    let is_up = message.exit.is_none_or(|exit| matches!(exit, Exit::Done | Exit::Findings));
    let status = if is_up { "up" } else { "down" };
    let base = address.split('?').next().unwrap_or(address);
    let ping = message.took.map_or_else(String::new, |took| took.as_millis().to_string());
    let url = format!("{base}?status={status}&msg={}&ping={ping}", percent(&message.title));
    Request { method: Method::GET, url, headers: Vec::new(), body: Vec::new() }
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Puts values into a body of the operator's own; each is escaped as JSON text is.
fn fill(body: &str, message: &Message) -> String {
    let text = |value: &str| {
        let quoted = Value::String(value.to_owned()).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let exit = message.exit.map_or_else(String::new, |exit| exit.code().to_string());
    let values = [
        ("title", text(&message.title)),
        ("text", text(&message.text)),
        ("event", message.occasion.name().to_owned()),
        ("run", message.run.clone().unwrap_or_default()),
        ("exit", exit),
    ];
    // One pass from left to right, so that a value that looks like a placeholder stays what it is.
    let mut out = String::new();
    let mut rest = body;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let hit =
            values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|rest| rest.starts_with('}')));
        match hit {
            Some((name, value)) => {
                out.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Message, Occasion, Template, Webhook, shape};
    use crate::{config::operate::UrlSource, exit::Exit};

    fn message() -> Message {
        Message {
            occasion: Occasion::Failure,
            title: "backup <astro> failed".to_owned(),
            detail: None,
            text: "it said \"no\"\nlacre backup astro".to_owned(),
            run: Some("4d1f".to_owned()),
            exit: Some(Exit::SourceFailed),
            took: Some(Duration::from_millis(1500)),
        }
    }

    fn webhook(template: Template, body: Option<&str>) -> Webhook {
        let url = UrlSource::Plain("https://chat.example/x".parse().unwrap());
        Webhook { name: "chat".into(), url, template, body: body.map(str::to_owned), token: None, on: vec![] }
    }

    fn sent(template: Template, body: Option<&str>) -> Value {
        let request = shape(&webhook(template, body), &message(), "https://chat.example/x".into()).unwrap();
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn every_template_has_the_shape_its_server_expects() {
        assert_eq!(
            sent(Template::Slack, None),
            json!({"text": "*backup &lt;astro&gt; failed*\nit said \"no\"\nlacre backup astro"})
        );
        let discord = sent(Template::Discord, None);
        assert!(discord["content"].as_str().unwrap().starts_with("**backup <astro> failed**\n"));
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        assert_eq!(sent(Template::Json, None)["exit"], 14);
        let ntfy = shape(&webhook(Template::Ntfy, None), &message(), "https://ntfy.sh/t".into()).unwrap();
        assert!(ntfy.headers.contains(&("priority", "high".to_owned())) && ntfy.body.starts_with(b"it said"));
        let kuma = shape(&webhook(Template::Kuma, None), &message(), "https://kuma/api/push/k?status=up&msg=OK".into());
        let url = kuma.unwrap().url;
        assert_eq!(url, "https://kuma/api/push/k?status=down&msg=backup%20%3Castro%3E%20failed&ping=1500");
    }

    #[test]
    fn a_body_of_the_operators_own_is_filled_in_as_json() {
        let filled = sent(Template::Json, Some(r#"{"m": "{title}: {text}", "e": {exit}, "x": "{unknown}"}"#));
        assert_eq!(
            filled,
            json!({"m": "backup <astro> failed: it said \"no\"\nlacre backup astro", "e": 14, "x": "{unknown}"})
        );
        assert!(shape(&webhook(Template::Json, Some("{title}")), &message(), "https://x/".into()).is_err());
    }
}
