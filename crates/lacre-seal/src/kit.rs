//! The printed sheets: the seal kit and the identity sheet, as text that people can type and as a string for a QR code.
//!
//! In: a seal seed with the names of what it opens, or an age secret key. Out: text, or the same back from text that was
//! typed or scanned. This module must not know where the text goes, and none of its errors repeats a typed word: the
//! words are the secret.
//!
//! # Text form
//!
//! Every line that counts starts with its name and ends with a check word; lines that start with `#` are for people.
//!
//! ```text
//! repository  0011 2233 4455 6677 8899 aabb ccdd eeff  <check>     (seal kit)
//! generation  3 0123 4567 89ab cdef  <check>                       (seal kit: number and short hash)
//! kit         2  <check>                                           (seal kit: number of the copy)
//! key         post-quantum  <check>                                (identity sheet)
//! cells       137  <check>                                         (pointer kit: bytes of the ways to the cells)
//! 1..4        eight words, one for each byte of the secret  <check>   (pointer kit: as many lines as its bytes need)
//! check       four words over everything
//! ```
//!
//! A check word stands for a CRC-8 with the primitive polynomial x^8+x^4+x^3+x^2+1 over the number of the line and its
//! bytes. It notices with certainty any single wrong word of a line, any two exchanged words, and a line typed under
//! another number. The four words of the last line are a BLAKE3 hash over the whole content. They are also what a person
//! types back to say that the kit exists; they tell nothing about the secret.
//!
//! # QR form
//!
//! `LACRE-KIT-1:` and the content in Base32 (RFC 4648, no padding) for a seal kit; `LACRE-PTR-1:` and the same for a pointer kit
//! ([`crate::pointer`]); the secret key itself,
//! `AGE-SECRET-KEY-...`, for an identity sheet, so that other age tools can read it. Both use only characters of the
//! QR alphanumeric mode.

use std::fmt;
use std::fmt::Write as _;

use lacre_format::ids::{GenerationId, RepositoryId};
use zeroize::Zeroizing;

use crate::bech;
use crate::identity::{AgeSecretKey, Identity, X25519_SECRET_PREFIX};
use crate::kit_parse;
use crate::outer::{SealSeed, hex};
use crate::pointer::{HEAD_BYTES, PointerKit};
use crate::pq::PqIdentity;
use crate::words;

/// Bytes of the secret on every sheet.
pub(crate) const SECRET_BYTES: usize = 32;

/// Bytes, and therefore words, of a numbered line.
pub(crate) const LINE_BYTES: usize = 8;

/// Numbered lines of a sheet.
pub(crate) const LINES: usize = SECRET_BYTES / LINE_BYTES;

/// The start of the QR form of a seal kit.
pub(crate) const QR_PREFIX: &str = "LACRE-KIT-1:";

/// The start of the QR form of a pointer kit.
pub(crate) const POINTER_PREFIX: &str = "LACRE-PTR-1:";

/// The largest text that is parsed, in bytes.
pub const KIT_TEXT_BYTES_MAX: usize = 64 * 1024;

/// What is hashed in front of the content of a sheet; no key is derived from it.
const CHECKSUM_MAGIC: &[u8] = b"LKT1";

/// A line of a sheet, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KitLine {
    /// The line `repository`.
    Repository,
    /// The line `generation`.
    Generation,
    /// The line `kit`.
    Kit,
    /// The line `key` of an identity sheet.
    Key,
    /// The line `cells` of a pointer kit.
    Cells,
    /// A numbered line, 1 to 4; of a pointer kit, 1 to 255.
    Words(u8),
    /// The last line, `check`.
    Check,
}

impl KitLine {
    /// The byte that stands for the line in its check word.
    pub(crate) fn tag(self) -> u8 {
        match self {
            KitLine::Words(number) => number,
            KitLine::Repository => 0x10,
            KitLine::Generation => 0x11,
            KitLine::Kit => 0x12,
            KitLine::Key => 0x13,
            KitLine::Cells => 0x15,
            KitLine::Check => 0x14,
        }
    }
}

impl fmt::Display for KitLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KitLine::Repository => f.write_str("line \"repository\""),
            KitLine::Generation => f.write_str("line \"generation\""),
            KitLine::Kit => f.write_str("line \"kit\""),
            KitLine::Key => f.write_str("line \"key\""),
            KitLine::Cells => f.write_str("line \"cells\""),
            KitLine::Words(number) => write!(f, "line {number}"),
            KitLine::Check => f.write_str("line \"check\""),
        }
    }
}

/// What is wrong with a typed or scanned sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// Nothing was typed, or only comments.
    #[error("the sheet is empty")]
    Empty,
    /// The text is longer than any sheet.
    #[error("the sheet has {length} bytes, more than {KIT_TEXT_BYTES_MAX}")]
    TooLong {
        /// Its size in bytes.
        length: usize,
    },
    /// A line has no known name.
    #[error("row {row} of the text starts with no known line name")]
    UnknownLine {
        /// The row of the text, counted from 1.
        row: usize,
    },
    /// A line is not there.
    #[error("{line} is missing")]
    Missing {
        /// Which line.
        line: KitLine,
    },
    /// A line is there twice with different content.
    #[error("{line} is there twice and differs")]
    Twice {
        /// Which line.
        line: KitLine,
    },
    /// A line belongs to the other kind of sheet.
    #[error("{line} does not belong on this kind of sheet")]
    Foreign {
        /// Which line.
        line: KitLine,
    },
    /// A line has too many or too few words.
    #[error("{line} has {actual} words, {expected} were expected")]
    WordCount {
        /// Which line.
        line: KitLine,
        /// Words that the line has.
        expected: usize,
        /// Words that were typed.
        actual: usize,
    },
    /// A word is not in the list.
    #[error("word {position} of {line} is not in the word list")]
    UnknownWord {
        /// Which line.
        line: KitLine,
        /// Which word, counted from 1.
        position: usize,
    },
    /// A number or hexadecimal group is malformed.
    #[error("{line} is malformed")]
    Field {
        /// Which line.
        line: KitLine,
    },
    /// The check word of a line does not fit its words.
    #[error("{line} has a mistake: its check word does not fit")]
    LineChecksum {
        /// Which line.
        line: KitLine,
    },
    /// Every line is right, but the four check words of the sheet do not fit.
    #[error("the lines do not belong together: the four check words do not fit")]
    TotalChecksum,
    /// The seed is not the one of the generation that the sheet names.
    #[error("the words do not make the seal of the generation that the sheet names")]
    OtherGeneration,
    /// The QR string is damaged.
    #[error("the scanned string is damaged or cut off")]
    Scan,
    /// The QR string is of a newer kind.
    #[error("the scanned string is of an unknown kind; a newer version made it")]
    ScanVersion,
}

/// The four words that stand for a sheet.
///
/// They are public: they identify a sheet without telling anything about its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KitChecksum([u8; 4]);

impl KitChecksum {
    /// Takes the four bytes as stored.
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        KitChecksum(bytes)
    }

    /// The four bytes.
    pub fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// Reads four typed words; case, hyphens, commas and white space do not matter.
    pub fn parse(typed: &str) -> Result<Self, KitError> {
        let typed: Vec<&str> = kit_parse::tokens(typed).take(8).collect();
        kit_parse::check_line(&typed).map(KitChecksum)
    }
}

/// Four words separated by spaces.
impl fmt::Display for KitChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0.map(words::word);
        write!(f, "{a} {b} {c} {d}")
    }
}

/// A printed copy of a seal generation.
pub struct SealKit {
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// The number of the seal generation; its short hash follows from the seed.
    pub generation_number: u32,
    /// The number of this copy.
    pub number: u32,
    /// The seed of the generation.
    pub seed: SealSeed,
}

/// A printed age secret key.
pub struct IdentitySheet {
    /// The secret key.
    pub secret: AgeSecretKey,
}

/// A printed sheet.
pub enum Kit {
    /// What may still be read.
    Seal(SealKit),
    /// Who may read.
    Identity(IdentitySheet),
    /// Where what may still be read is kept.
    Pointer(PointerKit),
}

impl Kit {
    /// The text for a printer or a file.
    pub fn encode_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(32 * 1024));
        let title = match self {
            Kit::Seal(_) => SEAL_TITLE,
            Kit::Identity(_) => IDENTITY_TITLE,
            Kit::Pointer(_) => POINTER_TITLE,
        };
        text.push_str(title);
        match self {
            Kit::Seal(kit) => {
                let repository = kit.repository.as_bytes();
                let generation = kit.generation();
                line(&mut text, KitLine::Repository, "repository", &groups(repository), repository);
                let fields = format!("{} {}", generation.number, groups(&generation.hash));
                line(&mut text, KitLine::Generation, "generation", &fields, &generation_bytes(generation));
                line(&mut text, KitLine::Kit, "kit", &kit.number.to_string(), &kit.number.to_be_bytes());
            }
            Kit::Identity(sheet) => {
                let _ = writeln!(text, "# {}", sheet.secret.recipient().label());
                let kind = sheet.kind();
                line(&mut text, KitLine::Key, "key", kind.name(), &[kind.code()]);
            }
            Kit::Pointer(kit) => {
                let repository = kit.repository.as_bytes();
                let bytes = u16::try_from(self.secret().len()).unwrap_or(u16::MAX);
                for cell in &kit.cells {
                    let _ = writeln!(text, "# {}", cell.place);
                }
                line(&mut text, KitLine::Repository, "repository", &groups(repository), repository);
                line(&mut text, KitLine::Kit, "kit", &kit.number.to_string(), &kit.number.to_be_bytes());
                line(&mut text, KitLine::Cells, "cells", &bytes.to_string(), &bytes.to_be_bytes());
            }
        }
        text.push('\n');
        for (number, piece) in (1u8..=u8::MAX).zip(self.secret().chunks(LINE_BYTES)) {
            let mut whole = Zeroizing::new([0u8; LINE_BYTES]);
            whole[..piece.len()].copy_from_slice(piece);
            push_words(&mut text, number, &whole[..]);
        }
        let _ = writeln!(text, "\n{:<11} {}", "check", self.checksum());
        text
    }

    /// The string for a QR code in alphanumeric mode.
    pub fn encode_qr(&self) -> Zeroizing<String> {
        match self {
            Kit::Seal(kit) => scan(QR_PREFIX, kit.content(), self.checksum()),
            Kit::Pointer(kit) => scan(POINTER_PREFIX, kit.content(), self.checksum()),
            Kit::Identity(sheet) => Zeroizing::new(sheet.secret.expose().to_owned()),
        }
    }

    /// Reads either form, in any case and with any white space; lines may come in any order.
    ///
    /// Errors name the line of the sheet that is wrong.
    pub fn parse(text: &str) -> Result<Kit, KitError> {
        if text.len() > KIT_TEXT_BYTES_MAX {
            return Err(KitError::TooLong { length: text.len() });
        }
        kit_parse::parse(text)
    }

    /// The four words that a person types back to acknowledge the sheet.
    pub fn checksum(&self) -> KitChecksum {
        let content = match self {
            Kit::Seal(kit) => kit.content(),
            Kit::Identity(sheet) => sheet.content(),
            Kit::Pointer(kit) => kit.content(),
        };
        checksum_of(&content)
    }

    /// The secret bytes of the sheet: 32, or the ways to the cells.
    fn secret(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Kit::Seal(kit) => Zeroizing::new(kit.seed.to_cell_bytes().to_vec()),
            Kit::Identity(sheet) => Zeroizing::new(sheet.bytes().to_vec()),
            Kit::Pointer(kit) => {
                let content = kit.content();
                Zeroizing::new(content.get(HEAD_BYTES..).unwrap_or_default().to_vec())
            }
        }
    }
}

/// The QR form: the start, then content and check bytes in Base32.
fn scan(prefix: &str, content: Zeroizing<Vec<u8>>, checksum: KitChecksum) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 2 * content.len() + 16));
    text.push_str(prefix);
    let mut whole = Zeroizing::new(Vec::with_capacity(content.len() + 4));
    whole.extend_from_slice(&content);
    whole.extend_from_slice(&checksum.to_bytes());
    base32_encode(&mut text, &whole);
    text
}

/// The checksum of the content of a sheet.
pub(crate) fn checksum_of(content: &[u8]) -> KitChecksum {
    let digest = blake3::Hasher::new().update(CHECKSUM_MAGIC).update(content).finalize();
    let [a, b, c, d, ..] = *digest.as_bytes();
    KitChecksum([a, b, c, d])
}

/// The kind of sheet as the first byte of its content.
pub(crate) const CONTENT_SEAL: u8 = 1;

/// The kinds of key on an identity sheet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SheetKey {
    Classic,
    Hybrid,
}

impl SheetKey {
    pub(crate) fn code(self) -> u8 {
        match self {
            SheetKey::Classic => 2,
            SheetKey::Hybrid => 3,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            SheetKey::Classic => "classic",
            SheetKey::Hybrid => "post-quantum",
        }
    }
}

impl SealKit {
    /// Bytes of the content: kind, repository, generation with its hash, number of the copy, seed.
    pub(crate) const CONTENT_BYTES: usize = 1 + 16 + 12 + 4 + SECRET_BYTES;

    /// The generation that the kit is a copy of.
    pub fn generation(&self) -> GenerationId {
        GenerationId { number: self.generation_number, hash: self.seed.public().hash8() }
    }

    /// Everything that the sheet says, in a fixed order.
    pub(crate) fn content(&self) -> Zeroizing<Vec<u8>> {
        let mut content = Zeroizing::new(Vec::with_capacity(Self::CONTENT_BYTES + 4));
        content.push(CONTENT_SEAL);
        content.extend_from_slice(self.repository.as_bytes());
        content.extend_from_slice(&generation_bytes(self.generation()));
        content.extend_from_slice(&self.number.to_be_bytes());
        content.extend_from_slice(self.seed.expose());
        content
    }
}

impl IdentitySheet {
    pub(crate) fn kind(&self) -> SheetKey {
        match self.secret.identity() {
            Identity::AgePq(_) => SheetKey::Hybrid,
            _ => SheetKey::Classic,
        }
    }

    /// The 32 bytes of the key.
    fn bytes(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        let mut bytes = Zeroizing::new([0u8; SECRET_BYTES]);
        match self.secret.identity() {
            Identity::AgePq(key) => bytes.copy_from_slice(key.seed()),
            _ => {
                let decoded = bech::decode(self.secret.expose(), X25519_SECRET_PREFIX, SECRET_BYTES);
                bytes.copy_from_slice(&decoded.expect("the text of a secret key was checked when it was made"));
            }
        }
        bytes
    }

    /// Builds a sheet from its kind and bytes.
    pub(crate) fn from_bytes(kind: SheetKey, bytes: &[u8; SECRET_BYTES]) -> Self {
        let text = match kind {
            SheetKey::Hybrid => PqIdentity::from_seed(bytes).to_text(),
            SheetKey::Classic => bech::encode(X25519_SECRET_PREFIX, bytes),
        };
        IdentitySheet { secret: AgeSecretKey::from_text(text) }
    }

    fn content(&self) -> Zeroizing<Vec<u8>> {
        let mut content = Zeroizing::new(Vec::with_capacity(1 + SECRET_BYTES));
        content.push(self.kind().code());
        content.extend_from_slice(&self.bytes()[..]);
        content
    }
}

/// A generation as a sheet keeps it: the number, then the short hash.
pub(crate) fn generation_bytes(generation: GenerationId) -> [u8; 12] {
    let mut bytes = [0u8; 12];
    bytes[..4].copy_from_slice(&generation.number.to_be_bytes());
    bytes[4..].copy_from_slice(&generation.hash);
    bytes
}

/// The check byte of a line: CRC-8 over its tag and its bytes.
pub(crate) fn line_check(line: KitLine, bytes: &[u8]) -> u8 {
    const POLYNOMIAL: u8 = 0x1d;
    let mut crc = 0xff_u8;
    for byte in [line.tag()].iter().chain(bytes) {
        crc ^= byte;
        for _ in 0..8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
        }
    }
    crc
}

/// Writes a named line with its check word.
fn line(text: &mut String, line: KitLine, name: &str, fields: &str, bytes: &[u8]) {
    let _ = writeln!(text, "{name:<11} {fields}  {}", words::word(line_check(line, bytes)));
}

/// Writes a numbered line: its words, then the check word.
fn push_words(text: &mut String, number: u8, piece: &[u8]) {
    let _ = write!(text, "{number:<2}");
    for byte in piece {
        let _ = write!(text, " {:<6}", words::word(*byte));
    }
    let check = line_check(KitLine::Words(number), piece);
    let _ = writeln!(text, "  {}", words::word(check));
}

/// Hexadecimal in groups of four digits.
fn groups(bytes: &[u8]) -> String {
    bytes.chunks(2).map(hex).collect::<Vec<_>>().join(" ")
}

/// The alphabet of Base32 (RFC 4648, section 6).
pub(crate) const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Appends the Base32 form of some bytes without padding.
fn base32_encode(text: &mut String, bytes: &[u8]) {
    let mut pending = 0u32;
    let mut bits = 0u32;
    for byte in bytes {
        pending = ((pending & 0x1f) << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(base32_digit(pending >> bits));
        }
    }
    if bits > 0 {
        text.push(base32_digit(pending << (5 - bits)));
    }
}

fn base32_digit(value: u32) -> char {
    let index = usize::try_from(value & 0x1f).expect("five bits fit");
    char::from(BASE32[index])
}

const SEAL_TITLE: &str = "\
# LACRE SEAL KIT
#
# This sheet keeps the backups of one repository readable if every other copy of its seal is lost.
# It opens nothing without a recipient's secret key. Keep it away from those keys and from the backups.
# When the seal has been rotated, destroy this sheet: as long as it exists, what was erased could come back.
#
# To use it, type the lines below that do not start with '#'. The first four letters of a word are enough.
# The last word of a line checks that line.

";

const POINTER_TITLE: &str = "\
# LACRE POINTER KIT
#
# This sheet says where the seal of one repository is kept and carries the keys to reach it there. It stays right when
# the seal is rotated. It opens nothing without a recipient's secret key. Keep it away from those keys and from the backups.
#
# To use it, type the lines below that do not start with '#'. The first four letters of a word are enough.
# The last word of a line checks that line.

";

const IDENTITY_TITLE: &str = "\
# LACRE IDENTITY SHEET
#
# Whoever holds this sheet and the seal of the repository can read its backups. Keep it in a safe,
# and not together with the seal kit.
#
# To use it, type the lines below that do not start with '#'. The first four letters of a word are enough.
# The last word of a line checks that line. The QR code is the same key for any age tool.
";
