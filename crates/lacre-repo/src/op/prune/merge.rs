//! Merging index segments: fewer and sorted ones, without what is about to go.

use std::collections::BTreeSet;

use lacre_format::{
    codec,
    ids::{Digest, PackName},
    name::{Named, ObjectName},
    object::Kind,
    segment::{SEGMENT_PACKS_MAX, Segment, SegmentPack},
};
use lacre_seal::structure::Structure;
use minicbor::bytes::ByteVec;

use crate::{
    catalog::KnownPack,
    error::Error,
    home::Signer,
    limits::{MERGED_SEGMENT_BYTES, SMALL_SEGMENTS_MIN},
    op::prune::survey::Survey,
    repository::Repository,
};

/// Which segments are replaced, and what the new ones name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Merge {
    pub(crate) obsolete: Vec<Digest>,
    pub(crate) packs: BTreeSet<PackName>,
}

/// Segments that name a pack that goes are replaced, and small ones with them once there are some.
pub(crate) fn plan(survey: &Survey, goes: &BTreeSet<PackName>) -> Merge {
    // A segment of which nothing is known is a damaged one that nothing needs.
    let stale = |packs: &Vec<PackName>| {
        packs.is_empty() || packs.iter().any(|name| goes.contains(name) || !survey.packs.contains_key(name))
    };
    let small = |packs: &Vec<PackName>| packs.len() < SEGMENT_PACKS_MAX / 2;
    let stale_ones = survey.segments.iter().filter(|(_, packs)| stale(packs)).count();
    let small_ones = survey.segments.values().filter(|packs| small(packs)).count();
    let mut merge = Merge::default();
    if stale_ones == 0 && small_ones < SMALL_SEGMENTS_MIN {
        return merge;
    }
    for (digest, packs) in survey.segments.iter().filter(|(_, packs)| stale(packs) || small(packs)) {
        merge.obsolete.push(*digest);
        let stays = packs.iter().filter(|name| !goes.contains(*name) && survey.packs.contains_key(*name));
        merge.packs.extend(stays.copied());
    }
    merge
}

impl Repository {
    /// Stores segments for the packs of a merge and for new ones, sorted by name.
    pub(crate) fn put_merged(
        &self,
        signer: &Signer,
        merge: &Merge,
        outputs: &[KnownPack],
    ) -> Result<Vec<Digest>, Error> {
        let mut names = merge.packs.clone();
        names.extend(outputs.iter().map(|pack| pack.name));
        let mut digests = Vec::new();
        let mut packs: Vec<SegmentPack> = Vec::new();
        let mut bytes = 0usize;
        for name in names {
            let known = match outputs.iter().find(|pack| pack.name == name) {
                Some(pack) => Some(pack.clone()),
                None => self.catalog()?.pack_by_name(name)?,
            };
            let Some(known) = known else { continue };
            bytes += known.footer.len();
            packs.push(SegmentPack { name, bytes: known.bytes, footer: ByteVec::from(known.footer) });
            if bytes >= MERGED_SEGMENT_BYTES || packs.len() >= SEGMENT_PACKS_MAX {
                digests.push(self.put_segment(signer, std::mem::take(&mut packs))?);
                bytes = 0;
            }
        }
        if !packs.is_empty() {
            digests.push(self.put_segment(signer, packs)?);
        }
        Ok(digests)
    }

    fn put_segment(&self, signer: &Signer, packs: Vec<SegmentPack>) -> Result<Digest, Error> {
        let plaintext = codec::to_cbor(&Segment { packs });
        let sealed = self.structure()?.seal(Structure::Segment, self.id(), &plaintext)?;
        drop(plaintext);
        let signed = signer.key.sign(Kind::Segment, self.id(), signer.home, codec::to_cbor(&sealed));
        drop(sealed);
        let object = signed.encode(Kind::Segment);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        self.put(&ObjectName::of(&Named::Segment(digest)), object)?;
        Ok(digest)
    }
}
