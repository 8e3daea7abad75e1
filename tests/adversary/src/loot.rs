//! What the adversary holds, and the secrets that lie in it.
//!
//! In: objects, files, the strings of kits. Out: seals, identities, structure keys, stream secrets and index keys found in them, by the
//! shapes that sections 12, 13 and 15 of the document give them. Files are recognised by what is in them, not by what they are called.

use std::collections::BTreeSet;

use minicbor::bytes::ByteArray;

use crate::{age_file::Identity, keys::Key};

/// Every byte that was taken.
#[derive(Clone, Default)]
pub struct Loot {
    /// Every version of every object, by name.
    pub objects: Vec<(String, Vec<u8>)>,
    /// Files of hosts, by path; one path may have many versions.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the QR codes of kits say.
    pub kits: Vec<String>,
}

/// The secrets among the loot.
#[derive(Default)]
pub struct Secrets {
    /// Seeds of seal generations.
    pub seeds: BTreeSet<Key>,
    /// Private keys of recipients.
    pub identities: Vec<Identity>,
    /// Structure keys.
    pub structures: BTreeSet<Key>,
    /// Seeds of signing keys.
    pub signing: BTreeSet<Key>,
    /// Whatever has just the length of a key: stream secrets, index keys.
    pub bare: BTreeSet<Key>,
}

impl Loot {
    /// Every byte, objects and their names included.
    pub fn bytes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let kits = self.kits.iter().map(|kit| ("kit", kit.as_bytes()));
        let all = self.objects.iter().chain(&self.files);
        all.map(|(name, bytes)| (name.as_str(), bytes.as_slice())).chain(kits)
    }

    /// Looks for secrets in all files and kits.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        for (_, bytes) in &self.files {
            secrets.take(bytes);
        }
        for kit in &self.kits {
            secrets.take(kit.as_bytes());
            secrets.seeds.extend(seed_of_kit(kit));
        }
        secrets
    }
}

impl Secrets {
    fn take(&mut self, bytes: &[u8]) {
        self.seeds.extend(slots(bytes));
        self.bare.extend(Key::try_from(bytes).ok());
        type KeyFile = (ByteArray<16>, ByteArray<32>, ByteArray<32>);
        if let Ok((_, signing, structure)) = minicbor::decode::<KeyFile>(bytes) {
            self.signing.insert(*signing);
            self.structures.insert(*structure);
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
            self.identities
                .extend(words.filter(|word| word.starts_with("AGE-SECRET-KEY-")).filter_map(Identity::parse));
        }
    }
}

/// The seeds in slots of a cell, wherever in the bytes they begin.
fn slots(bytes: &[u8]) -> Vec<Key> {
    const MAGIC: &[u8] = b"lacreC";
    /// Magic, version, repository, number, hash: then comes the seed.
    const BEFORE: usize = 6 + 2 + 16 + 4 + 8;
    let at = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC).map(|(at, _)| at);
    at.filter_map(|at| bytes.get(at + BEFORE..at + BEFORE + 32)?.try_into().ok()).collect()
}

/// The seed in the QR code of a seal kit: `LACRE-KIT-1:` and Base32 of version, repository, number, hash, kit number, seed, check.
fn seed_of_kit(text: &str) -> Option<Key> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut content = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for letter in text.trim().strip_prefix("LACRE-KIT-1:")?.bytes() {
        let value = u32::try_from(ALPHABET.iter().position(|known| *known == letter)?).ok()?;
        bits = (bits << 5 | value) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            content.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    let before = 1 + 16 + 4 + 8 + 4;
    content.get(before..before + 32)?.try_into().ok()
}
