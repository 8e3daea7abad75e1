//! One connection of our own, used from ordinary threads.
//!
//! In: a target. Out: blocking calls: statements, rows as text, COPY in and COPY out. Every statement's failure names what was being done
//! and on what; the server's DETAIL and CONTEXT never leave this file, because they quote rows.

use std::{
    future::poll_fn,
    io::{Cursor, Write},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_core::Stream;
use futures_sink::Sink;
use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, CopyInSink, NoTls, SimpleQueryMessage, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{Error, Result},
    limits, quote,
    target::{Endpoint, Host, SslMode, Target},
    tls,
};

/// The threads that move bytes for every connection of one operation.
#[derive(Clone)]
pub struct Reactor {
    runtime: Arc<Runtime>,
}

impl Reactor {
    /// Starts two threads.
    ///
    /// # Errors
    /// [`Error::Io`] when threads cannot be started.
    pub fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lacre-pg")
            .enable_all()
            .build()
            .map_err(|source| Error::Io { doing: "starting network threads".to_owned(), source })?;
        Ok(Self { runtime: Arc::new(runtime) })
    }
}

/// Why a connection ended, for messages after the fact.
type LastWords = Arc<Mutex<Option<String>>>;

/// One connection. Dropping it ends it; an open transaction is rolled back by the server.
pub struct Session {
    reactor: Reactor,
    client: Client,
    target: Target,
    last_words: LastWords,
}

/// One row of text; `None` is SQL NULL.
pub type TextRow = Vec<Option<String>>;

/// The name of the setting that travels through the start of a connection: a pooler refuses it, drops it or cannot show it later.
const PROBE: &str = "lacre.probe";

impl Session {
    /// Connects to the first host that answers, and refuses connection poolers.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::AuthFailed`], [`Error::DatabaseMissing`], [`Error::Tls`], [`Error::Pooler`].
    pub fn connect(reactor: &Reactor, target: &Target) -> Result<Self> {
        let config = Arc::new(tls::client_config(&target.tls)?);
        let mut reasons = Vec::new();
        for endpoint in &target.endpoints {
            match connect_endpoint(reactor, target, endpoint, &config) {
                Ok(session) => {
                    session.refuse_pooler()?;
                    return Ok(session);
                }
                // As libpq: only a host that does not answer lets the next one try.
                Err(Error::Unreachable { why, .. }) => reasons.push(why),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unreachable { target: target.server(), why: reasons.join("; ") })
    }

    /// The target, narrowed to the host that answered.
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn refuse_pooler(&self) -> Result<()> {
        let seen =
            self.value("checking for a pooler", &format!("SELECT pg_catalog.current_setting('{PROBE}', true)"))?;
        if seen.as_deref() == Some("1") {
            return Ok(());
        }
        Err(Error::Pooler {
            target: self.target.server(),
            why: "settings sent when connecting do not reach the server".to_owned(),
        })
    }

    /// Runs statements whose rows do not matter.
    ///
    /// # Errors
    /// [`Error::Statement`] or [`Error::ServerGone`], naming `doing`.
    pub fn run(&self, doing: &str, sql: &str) -> Result<()> {
        self.reactor.runtime.block_on(self.client.batch_execute(sql)).map_err(|error| self.failed(doing, &error))
    }

    /// Runs one query and returns all its rows as text.
    ///
    /// # Errors
    /// As [`Session::run`]; also when a value is not UTF-8.
    pub fn rows(&self, doing: &str, sql: &str) -> Result<Vec<TextRow>> {
        let messages =
            self.reactor.runtime.block_on(self.client.simple_query(sql)).map_err(|error| self.failed(doing, &error))?;
        let mut rows = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                let cells: std::result::Result<TextRow, _> =
                    (0..row.len()).map(|at| row.try_get(at).map(|cell| cell.map(str::to_owned))).collect();
                rows.push(cells.map_err(|error| self.failed(doing, &error))?);
            }
        }
        Ok(rows)
    }

    /// Runs one query and returns the first value of the first row.
    ///
    /// # Errors
    /// As [`Session::rows`].
    pub fn value(&self, doing: &str, sql: &str) -> Result<Option<String>> {
        Ok(self.rows(doing, sql)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// As [`Session::value`] for a number.
    ///
    /// # Errors
    /// As [`Session::rows`]; also when the value is not a number.
    pub fn number(&self, doing: &str, sql: &str) -> Result<i64> {
        let text = self.value(doing, sql)?.unwrap_or_default();
        text.parse().map_err(|_| Error::Statement {
            doing: doing.to_owned(),
            target: self.target.to_string(),
            why: format!("the answer {text:?} is not a number"),
            sqlstate: None,
        })
    }

    /// Calls a function whose arguments are a large object and bytes of it.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn put_large_object(&self, oid: u32, offset: i64, bytes: &[u8]) -> Result<()> {
        self.reactor
            .runtime
            .block_on(self.client.execute("SELECT pg_catalog.lo_put($1, $2, $3)", &[&oid, &offset, &bytes]))
            .map(drop)
            .map_err(|error| self.failed("writing a large object", &error))
    }

    /// Reads at most so many bytes of a large object from an offset on; none when there is no such object.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn large_object(&self, oid: u32, offset: i64, length: i32) -> Result<Option<Vec<u8>>> {
        let read = self
            .reactor
            .runtime
            .block_on(self.client.query_one("SELECT pg_catalog.lo_get($1, $2, $3)", &[&oid, &offset, &length]));
        match read.and_then(|row| row.try_get::<_, Vec<u8>>(0)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.code().is_some_and(|code| code.code() == "42704") => Ok(None),
            Err(error) => Err(self.failed("reading a large object", &error)),
        }
    }

    /// Begins a `COPY ... FROM STDIN`. Dropping the writer without [`CopyWriter::finish`] makes the server forget the rows.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn copy_in(&self, doing: &str, sql: &str) -> Result<CopyWriter<'_>> {
        let sink =
            self.reactor.runtime.block_on(self.client.copy_in(sql)).map_err(|error| self.failed(doing, &error))?;
        Ok(CopyWriter {
            session: self,
            doing: doing.to_owned(),
            sink: Box::pin(sink),
            buffer: Vec::with_capacity(limits::COPY_BUFFER_BYTES),
            failure: None,
        })
    }

    /// Runs a `COPY ... TO STDOUT` and hands its bytes over, one row or more at a time.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::Io`] when `sink` fails.
    pub fn copy_out(&self, doing: &str, sql: &str, sink: &mut dyn Write) -> Result<()> {
        let mut stream = Box::pin(
            self.reactor.runtime.block_on(self.client.copy_out(sql)).map_err(|error| self.failed(doing, &error))?,
        );
        while let Some(bytes) = self.reactor.runtime.block_on(poll_fn(|context| stream.as_mut().poll_next(context))) {
            let bytes = bytes.map_err(|error| self.failed(doing, &error))?;
            sink.write_all(&bytes).map_err(|source| Error::Io { doing: doing.to_owned(), source })?;
        }
        Ok(())
    }

    /// Sets what makes text mean the same here as it meant where it was dumped.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn pin(&self) -> Result<()> {
        self.run(
            "setting up the session",
            "SELECT pg_catalog.set_config('search_path', '', false); SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres; \
             SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; SET xmlbinary = base64; SET xmloption = content; \
             SET row_security = off; SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
             SET check_function_bodies = off; SET standard_conforming_strings = on; SET synchronize_seqscans = off; \
             SET default_transaction_read_only = off; SET client_min_messages = warning; SET array_nulls = on",
        )
    }

    /// Turns a client error into ours, without the parts that quote rows.
    fn failed(&self, doing: &str, error: &tokio_postgres::Error) -> Error {
        let target = self.target.to_string();
        if let Some(database) = error.as_db_error() {
            let code = database.code().code();
            let why = format!("{} (SQLSTATE {code})", quote::one_line(database.message()));
            return if is_gone(code) {
                Error::ServerGone { doing: doing.to_owned(), target, why }
            } else {
                Error::Statement { doing: doing.to_owned(), target, why, sqlstate: Some(code.to_owned()) }
            };
        }
        let last = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if error.is_closed() || self.client.is_closed() {
            let why = last.unwrap_or_else(|| chain(error));
            return Error::ServerGone { doing: doing.to_owned(), target, why };
        }
        Error::Statement { doing: doing.to_owned(), target, why: chain(error), sqlstate: None }
    }
}

/// SQLSTATEs after which the session does not exist any more.
fn is_gone(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05") || code.starts_with("08")
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    quote::one_line(&text)
}

fn connect_endpoint(
    reactor: &Reactor,
    target: &Target,
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
) -> Result<Session> {
    let socket = matches!(endpoint.host, Host::Socket(_));
    // libpq ignores sslmode on Unix sockets: nobody sits in between.
    let attempts: &[config::SslMode] = match target.tls.mode {
        _ if socket => &[config::SslMode::Disable],
        SslMode::Disable => &[config::SslMode::Disable],
        SslMode::Allow => &[config::SslMode::Disable, config::SslMode::Require],
        SslMode::Prefer => &[config::SslMode::Prefer, config::SslMode::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[config::SslMode::Require],
    };
    let mut first = None;
    for mode in attempts {
        match connect_once(reactor, target, endpoint, tls, *mode) {
            Ok(session) => return Ok(session),
            // Another mode helps against a handshake or a rule of pg_hba.conf, not against a missing database or a closed port.
            Err(error @ (Error::Tls { .. } | Error::AuthFailed { .. })) => {
                let _ = first.get_or_insert(error);
            }
            Err(error) => return Err(first.unwrap_or(error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::Unreachable {
        target: endpoint.name(),
        why: "no way to connect was left to try".to_owned(),
    }))
}

fn connect_once(
    reactor: &Reactor,
    target: &Target,
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    mode: config::SslMode,
) -> Result<Session> {
    let config = configuration(target, endpoint, mode)?;
    let last_words: LastWords = Arc::default();
    let words = Arc::clone(&last_words);
    let connecting = async {
        let client = if mode == config::SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await?;
            drop(tokio::spawn(drive(connection, words)));
            client
        } else {
            let (client, connection) = config.connect(MakeRustlsConnect::new(ClientConfig::clone(tls))).await?;
            drop(tokio::spawn(drive(connection, words)));
            client
        };
        Ok::<Client, tokio_postgres::Error>(client)
    };
    // The library bounds only the TCP handshake; a server that accepts and then says nothing would hold us for ever.
    let limit = target.connect_timeout.map(|limit| limit + Duration::from_secs(1));
    let outcome = reactor.runtime.block_on(async {
        match limit {
            Some(limit) => tokio::time::timeout(limit, connecting).await.map_err(|_| limit),
            None => Ok(connecting.await),
        }
    });
    match outcome {
        Ok(Ok(client)) => {
            Ok(Session { reactor: reactor.clone(), client, target: target.with_endpoint(endpoint), last_words })
        }
        Ok(Err(error)) => Err(connect_failed(target, endpoint, &error)),
        Err(limit) => Err(Error::Unreachable {
            target: endpoint.name(),
            why: format!("{}: no answer within {} seconds", endpoint.name(), limit.as_secs()),
        }),
    }
}

async fn drive<S, T>(connection: tokio_postgres::Connection<S, T>, words: LastWords)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if let Err(error) = connection.await {
        *words.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain(&error));
    }
}

fn configuration(target: &Target, endpoint: &Endpoint, mode: config::SslMode) -> Result<Config> {
    let mut config = Config::new();
    config.user(&target.user).dbname(target.database()).port(endpoint.port).application_name("lacre").ssl_mode(mode);
    match &endpoint.host {
        Host::Socket(folder) => {
            config.host_path(folder);
        }
        Host::Tcp(name, address) => {
            config.host(name);
            if let Some(address) = address {
                config.hostaddr(*address);
            }
        }
    }
    if let Some(password) = &endpoint.password {
        config.password(password.as_bytes());
    }
    if let Some(limit) = target.connect_timeout {
        config.connect_timeout(limit);
    }
    if target.tls.direct {
        config.ssl_negotiation(config::SslNegotiation::Direct);
    }
    let given = target.parameter("options").unwrap_or_default();
    config.options(format!("{given} -c {PROBE}=1").trim());
    session_attributes(&mut config, target)?;
    keepalives(&mut config, target)?;
    Ok(config)
}

/// Applies `target_session_attrs` and `channel_binding`.
fn session_attributes(config: &mut Config, target: &Target) -> Result<()> {
    let refused = |name: &str, value: &str| Error::Parameter {
        name: name.to_owned(),
        value: value.to_owned(),
        why: "it is not supported".to_owned(),
    };
    match target.parameter("target_session_attrs") {
        None | Some("any") => {}
        Some("read-write" | "primary") => {
            config.target_session_attrs(config::TargetSessionAttrs::ReadWrite);
        }
        Some("read-only" | "standby") => {
            config.target_session_attrs(config::TargetSessionAttrs::ReadOnly);
        }
        Some(other) => return Err(refused("target_session_attrs", other)),
    }
    match target.parameter("channel_binding") {
        None | Some("prefer") => {}
        Some("disable") => {
            config.channel_binding(config::ChannelBinding::Disable);
        }
        Some("require") => {
            config.channel_binding(config::ChannelBinding::Require);
        }
        Some(other) => return Err(refused("channel_binding", other)),
    }
    Ok(())
}

/// Applies libpq's TCP settings.
fn keepalives(config: &mut Config, target: &Target) -> Result<()> {
    let number = |name: &str| -> Result<Option<u64>> {
        let Some(text) = target.parameter(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| Error::Parameter {
            name: name.to_owned(),
            value: text.to_owned(),
            why: "it is not a number".to_owned(),
        })
    };
    config.keepalives(number("keepalives")? != Some(0));
    if let Some(seconds) = number("keepalives_idle")?.filter(|seconds| *seconds > 0) {
        config.keepalives_idle(Duration::from_secs(seconds));
    }
    if let Some(seconds) = number("keepalives_interval")?.filter(|seconds| *seconds > 0) {
        config.keepalives_interval(Duration::from_secs(seconds));
    }
    if let Some(count) =
        number("keepalives_count")?.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0)
    {
        config.keepalives_retries(count);
    }
    if let Some(milliseconds) = number("tcp_user_timeout")?.filter(|milliseconds| *milliseconds > 0) {
        config.tcp_user_timeout(Duration::from_millis(milliseconds));
    }
    Ok(())
}

/// Sorts the reasons a connection does not come about.
fn connect_failed(target: &Target, endpoint: &Endpoint, error: &tokio_postgres::Error) -> Error {
    let server = endpoint.name();
    let Some(database) = error.as_db_error() else {
        let why = chain(error);
        if why.contains("TLS")
            || why.contains("certificate")
            || why.contains("handshake")
            || why.contains("server does not support TLS")
        {
            return Error::Tls { target: server, why };
        }
        if why.contains("password missing") || why.contains("authentication") {
            return Error::AuthFailed {
                target: server,
                user: target.user.clone(),
                why: "the server asks for a password and none was found".to_owned(),
            };
        }
        return Error::Unreachable { why: format!("{server}: {why}"), target: server };
    };
    let code = database.code().code();
    let why = format!("{} (SQLSTATE {code})", quote::one_line(database.message()));
    match code {
        "28P01" | "28000" => Error::AuthFailed { target: server, user: target.user.clone(), why },
        "3D000" => Error::DatabaseMissing { database: target.database().to_owned(), target: server },
        _ if why.contains("unsupported startup parameter") || why.contains("unsupported startup option") => {
            Error::Pooler { target: server, why }
        }
        _ => Error::Unreachable { why: format!("{server}: {why}"), target: server },
    }
}

/// Rows on their way into a table.
pub struct CopyWriter<'a> {
    session: &'a Session,
    doing: String,
    sink: Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>,
    buffer: Vec<u8>,
    failure: Option<Error>,
}

impl CopyWriter<'_> {
    fn send(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = Cursor::new(std::mem::replace(&mut self.buffer, Vec::with_capacity(limits::COPY_BUFFER_BYTES)));
        let mut sink = self.sink.as_mut();
        let sent = self.session.reactor.runtime.block_on(async {
            poll_fn(|context| sink.as_mut().poll_ready(context)).await?;
            sink.as_mut().start_send(bytes)
        });
        sent.map_err(|error| self.session.failed(&self.doing, &error))
    }

    /// Ends the COPY; returns the rows the server counted.
    ///
    /// # Errors
    /// As [`Session::run`]; the first failure of a write counts.
    pub fn finish(mut self) -> Result<u64> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.send()?;
        let session = self.session;
        session
            .reactor
            .runtime
            .block_on(self.sink.as_mut().finish())
            .map_err(|error| session.failed(&self.doing, &error))
    }

    /// The server's reason after a write failed, more telling than the write's own error.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Asks the server why it closed the COPY, once sending failed.
    fn settle(&mut self, error: Error) -> std::io::Error {
        let finished = self.session.reactor.runtime.block_on(self.sink.as_mut().finish());
        let error = match finished {
            Err(told) if told.as_db_error().is_some() => self.session.failed(&self.doing, &told),
            _ => error,
        };
        let text = error.to_string();
        self.failure = Some(error);
        std::io::Error::other(text)
    }
}

impl Write for CopyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.failure.is_some() {
            return Err(std::io::Error::other("the COPY failed before"));
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= limits::COPY_BUFFER_BYTES
            && let Err(error) = self.send()
        {
            return Err(self.settle(error));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let runtime = Arc::clone(&self.session.reactor.runtime);
        let flushed = runtime.block_on(poll_fn(|context| self.sink.as_mut().poll_flush(context)));
        flushed.map_err(|error| std::io::Error::other(chain(&error)))
    }
}
