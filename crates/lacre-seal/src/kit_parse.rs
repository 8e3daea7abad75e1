//! Reading printed sheets back: typed text and scanned strings.
//!
//! In: text from a person or a camera. Out: a [`Kit`], or the line that is wrong. This module must not keep or repeat what
//! was typed.

use std::collections::BTreeMap;

use lacre_format::ids::{GenerationId, RepositoryId};
use zeroize::Zeroizing;

use crate::identity::AgeSecretKey;
use crate::kit::{
    BASE32, CONTENT_SEAL, IdentitySheet, Kit, KitChecksum, KitError, KitLine, LINE_BYTES, LINES, POINTER_PREFIX,
    QR_PREFIX, SECRET_BYTES, SealKit, SheetKey, generation_bytes, line_check,
};
use crate::outer::SealSeed;
use crate::pointer::{CONTENT_POINTER, HEAD_BYTES, PAYLOAD_BYTES_MAX, PointerKit};
use crate::words;

/// Words of one line, at most; more is a mistake in any line.
const TOKENS_MAX: usize = 64;

/// Splits a typed line into words and numbers.
pub(crate) fn tokens(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || ",.:;)(".contains(c)).filter(|token| !token.is_empty())
}

/// Reads a sheet in either form.
pub(crate) fn parse(text: &str) -> Result<Kit, KitError> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let Some(first) = first else {
        return Err(KitError::Empty);
    };
    let starts = |prefix: &str| first.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if starts("LACRE-KIT-") {
        return parse_scan(text);
    }
    if starts("LACRE-PTR-") {
        return parse_pointer_scan(text);
    }
    if starts("AGE-SECRET-KEY-") {
        let compact = compact(text);
        let secret = AgeSecretKey::parse(&compact).map_err(|_| KitError::Scan)?;
        return Ok(Kit::Identity(IdentitySheet { secret }));
    }
    Typed::read(text)?.finish()
}

/// A scanned or pasted string without comments and white space.
fn compact(text: &str) -> Zeroizing<String> {
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        kept.extend(line.chars().filter(|c| !c.is_whitespace()));
    }
    kept
}

fn parse_scan(text: &str) -> Result<Kit, KitError> {
    let mut compact = compact(text);
    compact.make_ascii_uppercase();
    let digits = compact.strip_prefix(QR_PREFIX).ok_or(KitError::ScanVersion)?;
    let bytes = base32_decode(digits, SealKit::CONTENT_BYTES + 4).ok_or(KitError::Scan)?;
    let (content, check) = bytes.split_at_checked(SealKit::CONTENT_BYTES).ok_or(KitError::Scan)?;
    let (&kind, rest) = content.split_first().ok_or(KitError::Scan)?;
    if crate::kit::checksum_of(content).to_bytes() != check {
        return Err(KitError::Scan);
    }
    if kind != CONTENT_SEAL {
        return Err(KitError::ScanVersion);
    }
    let mut fields = rest;
    let repository: [u8; 16] = take(&mut fields)?;
    let generation_number = u32::from_be_bytes(take(&mut fields)?);
    let generation = GenerationId { number: generation_number, hash: take(&mut fields)? };
    let number: [u8; 4] = take(&mut fields)?;
    let seed = Zeroizing::new(take::<SECRET_BYTES>(&mut fields)?);
    seal_kit(repository, generation, u32::from_be_bytes(number), seed).map(Kit::Seal)
}

fn parse_pointer_scan(text: &str) -> Result<Kit, KitError> {
    let mut compact = compact(text);
    compact.make_ascii_uppercase();
    let digits = compact.strip_prefix(POINTER_PREFIX).ok_or(KitError::ScanVersion)?;
    let bytes = digits.len() * 5 / 8;
    if bytes > HEAD_BYTES + PAYLOAD_BYTES_MAX + 4 {
        return Err(KitError::Scan);
    }
    let bytes = base32_decode(digits, bytes).ok_or(KitError::Scan)?;
    let (content, check) =
        bytes.len().checked_sub(4).and_then(|at| bytes.split_at_checked(at)).ok_or(KitError::Scan)?;
    if crate::kit::checksum_of(content).to_bytes() != check {
        return Err(KitError::Scan);
    }
    PointerKit::read(content).map(Kit::Pointer)
}

fn take<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], KitError> {
    let (head, rest) = fields.split_first_chunk::<N>().ok_or(KitError::Scan)?;
    *fields = rest;
    Ok(*head)
}

/// Builds a kit and proves that the seed is the one of the generation that it names.
fn seal_kit(
    repository: [u8; 16],
    generation: GenerationId,
    number: u32,
    seed: Zeroizing<[u8; SECRET_BYTES]>,
) -> Result<SealKit, KitError> {
    let kit = SealKit {
        repository: RepositoryId::new(repository),
        generation_number: generation.number,
        number,
        seed: SealSeed::from_bytes(seed),
    };
    if kit.generation() == generation { Ok(kit) } else { Err(KitError::OtherGeneration) }
}

/// Decodes exactly `expected` bytes; leftover bits must be zero.
fn base32_decode(digits: &str, expected: usize) -> Option<Zeroizing<Vec<u8>>> {
    if digits.len() != (expected * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    let mut pending = 0u32;
    let mut bits = 0u32;
    for digit in digits.bytes() {
        let value = BASE32.iter().position(|known| *known == digit)?;
        pending = ((pending & 0xff) << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((pending >> bits) & 0xff).ok()?);
        }
    }
    if pending & ((1 << bits) - 1) != 0 || bytes.len() != expected { None } else { Some(bytes) }
}

/// The lines of a sheet as far as they were typed, each already checked by its check word.
#[derive(Default)]
struct Typed {
    repository: Option<[u8; 16]>,
    generation: Option<GenerationId>,
    number: Option<[u8; 4]>,
    key: Option<[u8; 1]>,
    cells: Option<[u8; 2]>,
    words: BTreeMap<u8, Zeroizing<[u8; LINE_BYTES]>>,
    check: Option<[u8; 4]>,
}

impl Typed {
    /// Reads all lines in whatever order they come.
    fn read(text: &str) -> Result<Self, KitError> {
        let mut typed = Typed::default();
        // Lines come in any order, and only a pointer kit has more than four with numbers.
        let is_pointer = text.lines().any(|row| {
            let name = tokens(row.trim()).next();
            name.is_some_and(|name| name.eq_ignore_ascii_case("cells"))
        });
        let lines_max = if is_pointer { usize::from(u8::MAX) } else { LINES };
        for (index, row) in text.lines().enumerate() {
            let row = row.trim();
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let mut all: Vec<&str> = tokens(row).take(TOKENS_MAX).collect();
            if all.is_empty() {
                continue;
            }
            let name = all.remove(0).to_ascii_lowercase();
            typed.take_line(&name, &all, index + 1, lines_max)?;
        }
        Ok(typed)
    }

    fn take_line(&mut self, name: &str, rest: &[&str], row: usize, lines_max: usize) -> Result<(), KitError> {
        match name {
            "repository" => keep(&mut self.repository, hex_line(KitLine::Repository, rest)?, KitLine::Repository),
            "generation" => keep(&mut self.generation, generation_line(rest)?, KitLine::Generation),
            "kit" => keep(&mut self.number, number_line(rest)?, KitLine::Kit),
            "key" => keep(&mut self.key, key_line(rest)?, KitLine::Key),
            "cells" => keep(&mut self.cells, length_line(rest)?, KitLine::Cells),
            "check" => keep(&mut self.check, check_line(rest)?, KitLine::Check),
            other => {
                let number = other.parse::<u8>().map_err(|_| KitError::UnknownLine { row })?;
                if number == 0 || usize::from(number) > lines_max {
                    return Err(KitError::UnknownLine { row });
                }
                let line = KitLine::Words(number);
                let words = Zeroizing::new(word_line::<LINE_BYTES>(line, rest)?);
                match self.words.get(&number) {
                    Some(earlier) if *earlier != words => Err(KitError::Twice { line }),
                    _ => {
                        self.words.insert(number, words);
                        Ok(())
                    }
                }
            }
        }
    }

    /// The bytes of the numbered lines, as many as there have to be.
    fn secret(&self, bytes: usize) -> Result<Zeroizing<Vec<u8>>, KitError> {
        let lines = bytes.div_ceil(LINE_BYTES);
        let mut secret = Zeroizing::new(Vec::with_capacity(lines * LINE_BYTES));
        for number in (1u8..=u8::MAX).take(lines) {
            let words = self.words.get(&number).ok_or(KitError::Missing { line: KitLine::Words(number) })?;
            secret.extend_from_slice(&words[..]);
        }
        let padding_is_zero = secret.iter().skip(bytes).all(|byte| *byte == 0);
        if !padding_is_zero || self.words.len() > lines {
            return Err(KitError::TotalChecksum);
        }
        secret.truncate(bytes);
        Ok(secret)
    }

    /// A pointer kit from its lines.
    fn finish_pointer(&self, bytes: usize) -> Result<Kit, KitError> {
        let secret = self.secret(bytes)?;
        let repository = self.repository.ok_or(KitError::Missing { line: KitLine::Repository })?;
        let number = self.number.ok_or(KitError::Missing { line: KitLine::Kit })?;
        let foreign = [(self.generation.is_some(), KitLine::Generation), (self.key.is_some(), KitLine::Key)];
        if let Some((_, line)) = foreign.into_iter().find(|(there, _)| *there) {
            return Err(KitError::Foreign { line });
        }
        let mut content = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + secret.len()));
        content.push(CONTENT_POINTER);
        content.extend_from_slice(&repository);
        content.extend_from_slice(&number);
        content.extend_from_slice(&secret);
        if crate::kit::checksum_of(&content).to_bytes() != self.check.unwrap_or_default() {
            return Err(KitError::TotalChecksum);
        }
        PointerKit::read(&content).map(Kit::Pointer)
    }

    /// Puts the lines together and checks the whole.
    fn finish(self) -> Result<Kit, KitError> {
        if let Some(bytes) = self.cells {
            self.check.ok_or(KitError::Missing { line: KitLine::Check })?;
            return self.finish_pointer(usize::from(u16::from_be_bytes(bytes)));
        }
        let mut secret = Zeroizing::new([0u8; SECRET_BYTES]);
        secret.copy_from_slice(&self.secret(SECRET_BYTES)?);
        let check = KitChecksum::from_bytes(self.check.ok_or(KitError::Missing { line: KitLine::Check })?);
        let kit = if let Some([code]) = self.key {
            let foreign = [
                (self.repository.is_some(), KitLine::Repository),
                (self.generation.is_some(), KitLine::Generation),
                (self.number.is_some(), KitLine::Kit),
            ];
            if let Some((_, line)) = foreign.into_iter().find(|(there, _)| *there) {
                return Err(KitError::Foreign { line });
            }
            let kind = if code == SheetKey::Hybrid.code() { SheetKey::Hybrid } else { SheetKey::Classic };
            Kit::Identity(IdentitySheet::from_bytes(kind, &secret))
        } else {
            let missing = |line| move || KitError::Missing { line };
            let repository = self.repository.ok_or_else(missing(KitLine::Repository))?;
            let generation = self.generation.ok_or_else(missing(KitLine::Generation))?;
            let number = self.number.ok_or_else(missing(KitLine::Kit))?;
            Kit::Seal(seal_kit(repository, generation, u32::from_be_bytes(number), secret)?)
        };
        if kit.checksum() == check { Ok(kit) } else { Err(KitError::TotalChecksum) }
    }
}

/// Keeps a line; the same line once more is fine, another one is not.
fn keep<T: PartialEq>(slot: &mut Option<T>, typed: T, line: KitLine) -> Result<(), KitError> {
    match slot {
        Some(earlier) if *earlier != typed => Err(KitError::Twice { line }),
        _ => {
            *slot = Some(typed);
            Ok(())
        }
    }
}

/// A line of words with its check word.
fn word_line<const N: usize>(line: KitLine, typed: &[&str]) -> Result<[u8; N], KitError> {
    if typed.len() != N + 1 {
        return Err(KitError::WordCount { line, expected: N + 1, actual: typed.len() });
    }
    let mut bytes = [0u8; N];
    for (index, (byte, word)) in bytes.iter_mut().zip(typed).enumerate() {
        *byte = words::byte(word).ok_or(KitError::UnknownWord { line, position: index + 1 })?;
    }
    verify(line, &bytes, typed.last().copied(), N + 1)?;
    Ok(bytes)
}

/// Compares the check word of a line.
fn verify(line: KitLine, bytes: &[u8], check: Option<&str>, position: usize) -> Result<(), KitError> {
    let typed = check.and_then(words::byte).ok_or(KitError::UnknownWord { line, position })?;
    if typed == line_check(line, bytes) { Ok(()) } else { Err(KitError::LineChecksum { line }) }
}

/// Hexadecimal digits in any grouping, then the check word.
fn hex_line<const N: usize>(line: KitLine, typed: &[&str]) -> Result<[u8; N], KitError> {
    let (check, groups) = typed.split_last().ok_or(KitError::Field { line })?;
    let bytes = hex_bytes(groups).ok_or(KitError::Field { line })?;
    verify(line, &bytes, Some(check), typed.len())?;
    Ok(bytes)
}

fn hex_bytes<const N: usize>(groups: &[&str]) -> Option<[u8; N]> {
    let digits: String = groups.concat();
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The number of a generation, its short hash, and the check word.
fn generation_line(typed: &[&str]) -> Result<GenerationId, KitError> {
    let line = KitLine::Generation;
    let field = || KitError::Field { line };
    let (check, fields) = typed.split_last().ok_or_else(field)?;
    let (number, groups) = fields.split_first().ok_or_else(field)?;
    let number: u32 = number.parse().map_err(|_| field())?;
    let hash: [u8; 8] = hex_bytes(groups).ok_or_else(field)?;
    let generation = GenerationId { number, hash };
    verify(line, &generation_bytes(generation), Some(check), typed.len())?;
    Ok(generation)
}

/// The number of a kit and the check word.
fn number_line(typed: &[&str]) -> Result<[u8; 4], KitError> {
    let line = KitLine::Kit;
    let [number, check] = typed else {
        return Err(KitError::Field { line });
    };
    let number: u32 = number.parse().map_err(|_| KitError::Field { line })?;
    verify(line, &number.to_be_bytes(), Some(check), 2)?;
    Ok(number.to_be_bytes())
}

/// The length of what the numbered lines carry, and the check word.
fn length_line(typed: &[&str]) -> Result<[u8; 2], KitError> {
    let line = KitLine::Cells;
    let [length, check] = typed else {
        return Err(KitError::Field { line });
    };
    let length: u16 = length.parse().map_err(|_| KitError::Field { line })?;
    if usize::from(length) > PAYLOAD_BYTES_MAX {
        return Err(KitError::Field { line });
    }
    verify(line, &length.to_be_bytes(), Some(check), 2)?;
    Ok(length.to_be_bytes())
}

/// The kind of a key and the check word.
fn key_line(typed: &[&str]) -> Result<[u8; 1], KitError> {
    let line = KitLine::Key;
    let [name, check] = typed else {
        return Err(KitError::Field { line });
    };
    let known = [SheetKey::Classic, SheetKey::Hybrid];
    let kind = known.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name)).ok_or(KitError::Field { line })?;
    verify(line, &[kind.code()], Some(check), 2)?;
    Ok([kind.code()])
}

/// The four words over everything; they have no check word of their own.
pub(crate) fn check_line(typed: &[&str]) -> Result<[u8; 4], KitError> {
    let line = KitLine::Check;
    if typed.len() != 4 {
        return Err(KitError::WordCount { line, expected: 4, actual: typed.len() });
    }
    let mut bytes = [0u8; 4];
    for (index, (byte, word)) in bytes.iter_mut().zip(typed).enumerate() {
        *byte = words::byte(word).ok_or(KitError::UnknownWord { line, position: index + 1 })?;
    }
    Ok(bytes)
}
