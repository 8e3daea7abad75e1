//! The two encodings: CBOR (RFC 8949) for what is small and self-describing, a bounded byte cursor with LEB128 variable
//! length integers for what is large (nodes, footers, reach maps).

use minicbor::{Decode, Decoder, Encode, decode::Error as DecodeError};

use crate::error::FormatError;

/// Encodes a value as CBOR.
#[must_use]
pub fn to_cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_default()
}

/// Decodes exactly one CBOR value that fills `bytes`.
///
/// # Errors
/// [`FormatError::Truncated`] when the bytes end before the value does, [`FormatError::Malformed`] with the decoder's reason,
/// [`FormatError::TrailingBytes`] when something follows the value.
pub fn from_cbor<'b, T: Decode<'b, ()>>(what: &'static str, bytes: &'b [u8]) -> Result<T, FormatError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode().map_err(|error| refused(what, &error))?;
    let left = bytes.len().saturating_sub(decoder.position());
    if left == 0 { Ok(value) } else { Err(FormatError::TrailingBytes { what, bytes: left }) }
}

/// Names what a CBOR decoder did not like.
pub(crate) fn refused(what: &'static str, error: &DecodeError) -> FormatError {
    if error.is_end_of_input() {
        FormatError::Truncated { what }
    } else {
        FormatError::malformed(what, error.to_string())
    }
}

/// Decodes a list of at most `MAX` items, which grows with the input and never with a count that the input merely claims.
pub(crate) fn list<'b, C, T: Decode<'b, C>, const MAX: usize>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    for item in decoder.array_iter_with::<C, T>(context)? {
        if items.len() >= MAX {
            return Err(DecodeError::message(format!("a list of more than {MAX} items")));
        }
        items.push(item?);
    }
    Ok(items)
}

/// Reads fields off a byte slice and never past its end.
#[derive(Clone)]
pub struct Cursor<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte; `what` names the object in errors.
    #[must_use]
    pub const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(FormatError::Truncated { what: self.what })?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(FormatError::Truncated { what: self.what })?;
        self.rest = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] at the end.
    pub fn byte(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes an unsigned LEB128 integer in its shortest form.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] at the end, [`FormatError::Malformed`] over 64 bits or with needless trailing zeros.
    pub fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0u32..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted.checked_shr(shift) == Some(bits));
            value |= shifted.ok_or_else(|| FormatError::malformed(self.what, "a number over 64 bits"))?;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(FormatError::malformed(self.what, "a number not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(FormatError::malformed(self.what, "a number over 64 bits"))
    }

    /// Takes a variable length integer of at most `allowed`.
    ///
    /// # Errors
    /// As [`Cursor::varint`], and [`FormatError::TooLarge`] beyond the bound.
    pub fn bounded(&mut self, allowed: u32) -> Result<u32, FormatError> {
        let found = self.varint()?;
        u32::try_from(found).ok().filter(|value| *value <= allowed).ok_or(FormatError::TooLarge {
            what: self.what,
            found,
            allowed: u64::from(allowed),
        })
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`FormatError::TrailingBytes`] when something is left.
    pub const fn finish(self) -> Result<(), FormatError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(FormatError::TrailingBytes { what: self.what, bytes: self.rest.len() })
        }
    }
}

/// Appends an unsigned LEB128 integer in its shortest form.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
