//! Pointer kits: sheets that say where the cells are and carry the keys to reach them, instead of the seal.
//!
//! In: places of cells and their keys. Out: the content of a sheet, and the same back. Such a sheet does not go stale when the seal is
//! changed; it opens whatever the cells hold. It must not know stores or what a place means.
//!
//! ```text
//! content = 4 | repository 16 | number u32 BE | payload
//! payload = count u8 | for each cell: place | 0, or 1 id secret token        (each text: length u16 BE, UTF-8; no token is empty)
//! ```

use std::fmt;

use lacre_format::ids::RepositoryId;
use zeroize::Zeroizing;

use crate::kit::KitError;

/// The kind of sheet as the first byte of its content.
pub(crate) const CONTENT_POINTER: u8 = 4;
/// Bytes of the content before the payload.
pub(crate) const HEAD_BYTES: usize = 1 + RepositoryId::LEN + 4;
/// Most cells of one sheet.
pub const POINTER_CELLS_MAX: usize = 16;
/// Most bytes of the payload: 255 numbered lines of eight.
pub const PAYLOAD_BYTES_MAX: usize = 255 * crate::kit::LINE_BYTES;

/// Keys of an object store on a sheet. Wiped when dropped, shown nowhere.
pub struct PointerKeys {
    /// The access key id.
    pub access_key_id: Zeroizing<String>,
    /// The secret access key.
    pub secret_access_key: Zeroizing<String>,
    /// The session token of temporary keys.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for PointerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PointerKeys(***)")
    }
}

/// A cell on a sheet.
#[derive(Debug)]
pub struct PointerCell {
    /// Where it is, as the policy names it.
    pub place: String,
    /// The keys to reach it; none for a command that has its own.
    pub keys: Option<PointerKeys>,
}

/// A printed way to the cells of a repository.
#[derive(Debug)]
pub struct PointerKit {
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// The number of this sheet, counted with those that carry the seal.
    pub number: u32,
    /// The cells.
    pub cells: Vec<PointerCell>,
}

impl PointerKit {
    /// Whether a sheet can carry all of this.
    pub fn fits(&self) -> bool {
        let texts = |cell: &PointerCell| {
            let keys = cell.keys.as_ref().map_or(1, |keys| {
                let token = keys.session_token.as_ref().map_or(0, |token| token.len());
                7 + keys.access_key_id.len() + keys.secret_access_key.len() + token
            });
            2 + cell.place.len() + keys
        };
        let bytes = 1 + self.cells.iter().map(texts).sum::<usize>();
        self.cells.len() <= POINTER_CELLS_MAX && bytes <= PAYLOAD_BYTES_MAX
    }

    /// Everything that the sheet says, in a fixed order.
    pub(crate) fn content(&self) -> Zeroizing<Vec<u8>> {
        // Reserved at once: a buffer that grows leaves unwiped copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + PAYLOAD_BYTES_MAX + 8));
        content.push(CONTENT_POINTER);
        content.extend_from_slice(self.repository.as_bytes());
        content.extend_from_slice(&self.number.to_be_bytes());
        content.push(u8::try_from(self.cells.len()).unwrap_or(u8::MAX));
        for cell in &self.cells {
            text(&mut content, &cell.place);
            match &cell.keys {
                None => content.push(0),
                Some(keys) => {
                    content.push(1);
                    text(&mut content, &keys.access_key_id);
                    text(&mut content, &keys.secret_access_key);
                    text(&mut content, keys.session_token.as_ref().map_or("", |token| token.as_str()));
                }
            }
        }
        content
    }

    /// Reads a content back.
    pub(crate) fn read(content: &[u8]) -> Result<Self, KitError> {
        let mut rest = content.strip_prefix(&[CONTENT_POINTER]).ok_or(KitError::ScanVersion)?;
        let repository = RepositoryId::new(take(&mut rest)?);
        let number = u32::from_be_bytes(take(&mut rest)?);
        let [count] = take(&mut rest)?;
        if usize::from(count) > POINTER_CELLS_MAX {
            return Err(KitError::Scan);
        }
        let mut cells = Vec::new();
        for _ in 0..count {
            let place = read_text(&mut rest)?.to_string();
            let keys = match take(&mut rest)? {
                [0] => None,
                [1] => {
                    let (access_key_id, secret_access_key) = (read_text(&mut rest)?, read_text(&mut rest)?);
                    let session_token = Some(read_text(&mut rest)?).filter(|token| !token.is_empty());
                    Some(PointerKeys { access_key_id, secret_access_key, session_token })
                }
                [_] => return Err(KitError::ScanVersion),
            };
            cells.push(PointerCell { place, keys });
        }
        if rest.is_empty() { Ok(Self { repository, number, cells }) } else { Err(KitError::Scan) }
    }
}

fn text(content: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    content.extend_from_slice(&length.to_be_bytes());
    content.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], KitError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(KitError::Scan)?;
    *rest = tail;
    Ok(*head)
}

fn read_text(rest: &mut &[u8]) -> Result<Zeroizing<String>, KitError> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (text, tail) = rest.split_at_checked(length).ok_or(KitError::Scan)?;
    *rest = tail;
    std::str::from_utf8(text).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| KitError::Scan)
}
