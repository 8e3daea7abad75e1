//! `lacre.json`: which format, which repository, whose admin key. One line of JSON with a fixed spelling.

use crate::{
    error::FormatError,
    ids::{PublicKey, RepositoryId, Salt},
};

/// The content of `lacre.json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The repository: a hash of the two fields that follow.
    pub repository: RepositoryId,
    /// The admin's public key, which signs policies.
    pub admin: PublicKey,
    /// Makes the id unique even if one admin key makes several repositories.
    pub nonce: Salt,
}

/// Longest `lacre.json` that is read.
pub const MANIFEST_BYTES_MAX: u64 = 4096;

const HEAD: &str = "{\"format\":\"lacre\",\"version\":";
const WHAT: &str = "lacre.json";

impl Manifest {
    /// The text stored.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { repository, admin, nonce } = self;
        format!("{HEAD}1,\"repository\":\"{repository}\",\"admin\":\"{admin}\",\"nonce\":\"{nonce}\"}}\n")
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`FormatError::BadMagic`] when it is another program's file, [`FormatError::BadVersion`] when it is a later Lacre's,
    /// [`FormatError::Malformed`] when the fields are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = core::str::from_utf8(bytes).map_err(|_| FormatError::BadMagic { what: WHAT })?;
        let rest = text.strip_prefix(HEAD).ok_or(FormatError::BadMagic { what: WHAT })?;
        let version: String = rest.chars().take_while(char::is_ascii_digit).take(9).collect();
        let found: u64 = version.parse().map_err(|_| FormatError::malformed(WHAT, "no version"))?;
        if found != 1 {
            return Err(FormatError::BadVersion { what: WHAT, found, known: 1 });
        }
        let field = |name: &str| {
            let start = format!("\"{name}\":\"");
            let (_, after) = text.split_once(start.as_str())?;
            after.split_once('"').map(|(value, _)| value)
        };
        let missing = |name: &str| FormatError::malformed(WHAT, format!("field {name} is missing or damaged"));
        let repository = field("repository").and_then(|text| RepositoryId::parse(text).ok());
        let admin = field("admin").and_then(|text| PublicKey::parse(text).ok());
        let nonce = field("nonce").and_then(|text| Salt::parse(text).ok());
        let manifest = Self {
            repository: repository.ok_or_else(|| missing("repository"))?,
            admin: admin.ok_or_else(|| missing("admin"))?,
            nonce: nonce.ok_or_else(|| missing("nonce"))?,
        };
        if manifest.encode().as_bytes() == bytes { Ok(manifest) } else { Err(missing("order or spacing")) }
    }
}
