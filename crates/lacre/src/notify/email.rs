//! Mail: one message to the configured addresses, over TLS.
//!
//! In: server, addresses, where the password comes from. Out: whether the server took it. A password is never sent unencrypted, and
//! without TLS only this machine itself is talked to.

use std::{fs, time::Duration};

use lettre::{
    Message as Mail, SmtpTransport, Transport as _,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{Fault, Message, patiently};
use crate::config::operate::Email;

/// How long one step of a conversation may take.
const STEP_TIMEOUT: Duration = super::ATTEMPT_TIMEOUT;
/// The longest file of a certificate authority, bytes.
const CA_BYTES_MAX: u64 = 1024 * 1024;

/// A mail server's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How it is protected.
    pub protection: Protection,
    /// Who logs in.
    pub user: Option<String>,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, or nothing at all.
    StartTls,
    /// STARTTLS if the server, which is this machine, offers it.
    Local,
}

impl Server {
    /// Reads `smtps://user@host:port` or `smtp://user@host:port`.
    ///
    /// # Errors
    /// A sentence saying what would be accepted.
    pub fn parse(url: &str) -> Result<Server, String> {
        let fail = || "it is not a mail server; write smtps://user@host or smtp://user@host".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(fail)?;
        let rest = rest.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("it holds a password; name its place with password_file or one of its kind".to_owned());
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().map_err(|_| fail())?)),
            _ => (place, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if bare.is_empty() || bare.contains(['/', '?', '#', ' ']) {
            return Err(fail());
        }
        let is_here =
            bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let (protection, usual) = match scheme {
            "smtps" => (Protection::Tls, 465),
            "smtp" if is_here && user.is_none() => (Protection::Local, 25),
            "smtp" => (Protection::StartTls, 587),
            _ => return Err(fail()),
        };
        Ok(Server { protection, user: user.map(unescaped), host: bare, port: port.unwrap_or(usual) })
    }
}

/// `%40` and its kind, which a user's name needs in a URL.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a message.
///
/// # Errors
/// What the server or the way to it said.
pub fn send(email: &Email, message: &Message) -> Result<(), String> {
    let server = Server::parse(email.smtp.expose())?;
    let mail = compose(email, &server, message)?;
    let transport = connect(email, &server)?;
    patiently(|| transport.send(&mail).map(drop).map_err(|error| fault(&server, &error)))
}

/// Talks to the server without sending anything: connection, TLS, log-in.
///
/// # Errors
/// What the server or the way to it said.
pub fn probe(email: &Email) -> Result<(), String> {
    let server = Server::parse(email.smtp.expose())?;
    addresses(email, &server)?;
    if server.user.is_some() && email.password.is_none() {
        return Err("smtp names a user, and nothing says where the password is: add password_file or one of its kind"
            .to_owned());
    }
    match connect(email, &server)?.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{}:{} does not answer as a mail server", server.host, server.port)),
        Err(error) => Err(fault(&server, &error).what),
    }
}

fn fault(server: &Server, error: &lettre::transport::smtp::Error) -> Fault {
    let mut what = format!("{}:{}: {error}", server.host, server.port);
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !what.contains(&text) {
            what.push_str(": ");
            what.push_str(&text);
        }
        next = cause.source();
    }
    // What the server refuses for good, and what is no server of this kind, is refused again.
    let again = !(error.is_permanent() || error.is_tls() || error.is_client());
    Fault { what, again }
}

fn connect(email: &Email, server: &Server) -> Result<SmtpTransport, String> {
    let tls = match server.protection {
        Protection::Tls => Tls::Wrapper(parameters(email, server)?),
        Protection::StartTls => Tls::Required(parameters(email, server)?),
        Protection::Local => Tls::Opportunistic(parameters(email, server)?),
    };
    let mut builder =
        SmtpTransport::builder_dangerous(&server.host).port(server.port).tls(tls).timeout(Some(STEP_TIMEOUT));
    if let (Some(user), Some(password)) = (&server.user, &email.password) {
        let password = password.fetch().map_err(|error| error.message())?;
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

fn parameters(email: &Email, server: &Server) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(path) = &email.ca_file {
        let fail = |why: String| format!("the certificate authority {} cannot be read: {why}", path.display());
        let length = fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
        if length > CA_BYTES_MAX {
            return Err(fail(format!("it is longer than {CA_BYTES_MAX} bytes")));
        }
        let pem = fs::read(path).map_err(|error| fail(error.to_string()))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| fail(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| format!("TLS cannot be set up: {error}"))
}

/// The sender and the receivers.
fn addresses(email: &Email, server: &Server) -> Result<(Mailbox, Vec<Mailbox>), String> {
    let usual = || {
        let user = server.user.clone().unwrap_or_else(|| "lacre".to_owned());
        if user.contains('@') { user } else { format!("{user}@{}", server.host) }
    };
    let parse = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is no mail address: {error}"));
    let from = parse(&email.from.clone().unwrap_or_else(usual))?;
    let to = email.to.iter().map(|text| parse(text)).collect::<Result<Vec<Mailbox>, String>>()?;
    if to.is_empty() { Err("nobody is named in to".to_owned()) } else { Ok((from, to)) }
}

fn compose(email: &Email, server: &Server, message: &Message) -> Result<Mail, String> {
    let (from, to) = addresses(email, server)?;
    let subject: String = message.title.chars().filter(|character| !character.is_control()).collect();
    let mut builder = Mail::builder().from(from).subject(format!("[lacre] {subject}"));
    for receiver in to {
        builder = builder.to(receiver);
    }
    let run = message.run.as_ref().map_or_else(String::new, |run| format!("\n\nrun {run}"));
    let detail = message.detail.as_ref().map_or_else(String::new, |detail| format!("\n\n{detail}"));
    let body = format!("{}\n\n{}{detail}{run}\n", message.title, message.text);
    builder.header(ContentType::TEXT_PLAIN).body(body).map_err(|error| format!("the mail cannot be composed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Protection, Server};

    #[test]
    fn servers_are_read_from_their_urls() {
        let parsed = |url: &str| {
            let server = Server::parse(url).unwrap();
            (server.protection, server.user, server.host, server.port)
        };
        let user = |name: &str| Some(name.to_owned());
        assert_eq!(parsed("smtps://ops@mail.example"), (Protection::Tls, user("ops"), "mail.example".into(), 465));
        assert_eq!(
            parsed("smtp://ops%40example.org@mail.example:2525/"),
            (Protection::StartTls, user("ops@example.org"), "mail.example".into(), 2525)
        );
        assert_eq!(parsed("smtp://a@b.c@mail.example").1, user("a@b.c"));
        assert_eq!(parsed("smtp://localhost"), (Protection::Local, None, "localhost".into(), 25));
        assert_eq!(parsed("smtp://[::1]:2525").2, "::1");
        // A password is never sent in the open, not even to this machine.
        assert_eq!(parsed("smtp://ops@localhost").0, Protection::StartTls);
        for bad in
            ["smtps://ops:hunter2@mail.example", "http://mail.example", "mail.example", "smtps://", "smtps://h:x"]
        {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
