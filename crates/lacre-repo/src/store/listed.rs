//! What a listing is made of.
//!
//! In: nothing. Out: objects with their lengths and times, and whatever else lies in a store and was not followed.

use jiff::Timestamp;

/// One object in a [`Listing`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectMeta {
    /// Its full name, segments separated by `/`.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When the store last wrote it, by the store's own clock; the epoch if the store does not say.
    pub modified: Timestamp,
}

/// Something under a repository that is no object of ours and was not followed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Foreign {
    /// Where it lies, relative to the store; unusual characters are replaced.
    pub name: String,
    /// What it is.
    pub kind: ForeignKind,
}

/// Why an entry is foreign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum ForeignKind {
    /// A symbolic link, wherever it points.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// A directory where an object should be.
    Directory,
    /// A file or directory that could not be read.
    Unreadable,
    /// A name with characters no object has.
    BadName,
    /// A directory deeper than any that is listed.
    TooDeep,
}

/// What a listing found, both parts sorted by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<ObjectMeta>,
    /// Everything else.
    pub foreign: Vec<Foreign>,
}

impl Listing {
    /// The objects of this listing that lie below a prefix such as `packs`.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ObjectMeta> + 'a {
        let is_below =
            move |object: &&ObjectMeta| object.name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        self.objects.iter().filter(is_below)
    }
}
