//! The TLS half of a target, with libpq's defaults.
//!
//! In: settled parameters and the environment. Out: how much is proved, by whose certificates. Nothing here connects.

use std::{path::PathBuf, str::FromStr};

use super::parameter;
use crate::driver::postgres::{
    conninfo::{self, Environment, Parameters},
    error::{Error, Result},
};

/// How much TLS proves, weakest first; the names are libpq's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only if the server insists.
    Allow,
    /// TLS if the server has it.
    Prefer,
    /// TLS, whoever answers (unless a root certificate is given: then as `verify-ca`, as libpq does).
    Require,
    /// TLS with a certificate from a trusted issuer.
    VerifyCa,
    /// TLS with a trusted certificate that carries the host's name.
    VerifyFull,
}

impl SslMode {
    /// The name libpq uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| parameter("sslmode", text, "use disable, allow, prefer, require, verify-ca or verify-full"))
    }
}

/// Where trusted issuers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// None given: the certificate cannot be checked.
    None,
    /// A PEM file.
    File(PathBuf),
    /// What the operating system trusts.
    System,
}

/// The TLS half of a target.
#[derive(Debug, Clone)]
pub struct Tls {
    /// How much is proved.
    pub mode: SslMode,
    /// Trusted issuers.
    pub roots: Roots,
    /// Certificate and key files of the client.
    pub client: Option<(PathBuf, PathBuf)>,
    /// TLS begins at once, without asking first (PostgreSQL 17).
    pub direct: bool,
}

/// Reads the TLS parameters with libpq's defaults and its rule that `system` roots need `verify-full`.
pub(super) fn tls(parameters: &Parameters, environment: &Environment) -> Result<Tls> {
    let get = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let in_home =
        |name: &str| environment.home().map(|home| home.join(".postgresql").join(name)).filter(|path| path.is_file());
    let system = get("sslrootcert") == Some("system");
    let mode = match get("sslmode") {
        Some(text) => text.parse()?,
        None if system => SslMode::VerifyFull,
        None if get("requiressl") == Some("1") => SslMode::Require,
        None => SslMode::Prefer,
    };
    if system && mode != SslMode::VerifyFull {
        return Err(parameter("sslmode", mode.name(), "sslrootcert=system needs verify-full"));
    }
    let roots = match get("sslrootcert") {
        Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
        None => in_home("root.crt").map_or(Roots::None, Roots::File),
    };
    if let (Roots::File(path), true) = (&roots, mode >= SslMode::VerifyCa)
        && !path.is_file()
    {
        return Err(Error::ConnectionFile {
            path: path.clone(),
            role: "sslrootcert",
            why: "there is no such file".to_owned(),
        });
    }
    if roots == Roots::None && mode >= SslMode::VerifyCa {
        return Err(parameter(
            "sslmode",
            mode.name(),
            "there is no root certificate: give sslrootcert=FILE or sslrootcert=system",
        ));
    }
    let certificate = get("sslcert").map(PathBuf::from).or_else(|| in_home("postgresql.crt"));
    let key = get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) if get("sslcertmode") != Some("disable") => {
            if let Some(why) = conninfo::key_file_exposed(&key) {
                return Err(Error::ConnectionFile { path: key, role: "sslkey", why });
            }
            Some((certificate, key))
        }
        _ => None,
    };
    Ok(Tls { mode, roots, client, direct: get("sslnegotiation") == Some("direct") })
}
