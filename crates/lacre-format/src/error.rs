//! What can be wrong with bytes.

/// Why bytes were not accepted. Every decoder of this crate returns this and never panics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A text is not an id of this kind.
    #[error("not a valid {what}")]
    BadId {
        /// The type of the id.
        what: &'static str,
    },
    /// The object does not start with the magic bytes of its kind.
    #[error("not a {what}: the first bytes are not Lacre's")]
    BadMagic {
        /// The kind of object expected.
        what: &'static str,
    },
    /// The object is of the right kind but of a version this program does not know.
    #[error("{what} is of format version {found}, and this program reads version {known}")]
    BadVersion {
        /// The kind of object expected.
        what: &'static str,
        /// The version found.
        found: u64,
        /// The version this program reads.
        known: u64,
    },
    /// The object ends before its content does.
    #[error("{what} is cut short")]
    Truncated {
        /// The kind of object.
        what: &'static str,
    },
    /// The object goes on after its content ends.
    #[error("{what} has {bytes} bytes too many")]
    TrailingBytes {
        /// The kind of object.
        what: &'static str,
        /// How many bytes are left over.
        bytes: usize,
    },
    /// A field holds a value that is not allowed there.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The kind of object.
        what: &'static str,
        /// Which rule is broken.
        why: String,
    },
    /// A length or count is beyond its bound.
    #[error("{what} is too large: {found} where {allowed} is the most")]
    TooLarge {
        /// The kind of object or field.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The bound.
        allowed: u64,
    },
}

impl FormatError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}
