//! An open repository: a store, this host's home, a catalog, and what signatures allow to be believed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use lacre_format::{
    codec,
    erasure::PersonJobs,
    header::{Header, Label},
    ids::{Digest, JobName, PackName, RepositoryId},
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    name::{Named, ObjectName},
    object::Kind,
    segment::{SEGMENT_BYTES_MAX, Salted, Segment},
    signed::Signed,
};
use lacre_seal::{
    secret::repository_id,
    structure::{Structure, StructureKey},
};

use crate::{
    catalog::{Catalog, KnownPack},
    cell::{Cell, CellPlace, CellReach, FilesOnly},
    error::Error,
    home::{Home, Pin, RepositoryHome},
    ledger::Intent,
    monitor::{Finding, Severity, SharedClock},
    pack,
    parity::ParityChoice,
    prefetch::{prefetch, read_all},
    rollup,
    signatures::Signatures,
    store::{Listing, Store},
    view::{Source, VIEWED, View, finding_of, label_of, of_the_object},
};

/// What a backup and a restore look at when they begin: a view, and where frames lie.
const LOOKED_AT: [&str; 9] = ["index", "log", "packs", "policy", "reach", "rollup", "snap", "void", "gc"];

/// What a store held at one moment: what is believed of it, and the listing that was made for it. A command that resolves a name, gathers
/// keys and opens a snapshot does so from one of these, and from afar that is one listing instead of five.
pub struct Look {
    /// What is believed.
    pub view: View,
    /// Also where indexes, packs and reach maps lie.
    pub(crate) listing: Listing,
}

/// An open repository.
pub struct Repository {
    manifest: Manifest,
    store: Store,
    home: RepositoryHome,
    clock: SharedClock,
    catalog: Mutex<Catalog>,
    structure: Mutex<Option<StructureKey>>,
    reach: Arc<dyn CellReach>,
    parity: ParityChoice,
    standing: Standing,
    signatures: Arc<Signatures>,
}

/// What a store is to this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// The repository itself.
    Primary,
    /// A copy of it: whatever is written there by itself makes it another repository, so nothing is.
    Copy {
        /// Its name in the configuration.
        name: String,
    },
}

/// Where a store is, for messages.
#[must_use]
pub fn place(store: &Store) -> String {
    store.place()
}

/// The id of the repository in a store; nothing else in it is looked at.
///
/// # Errors
/// [`Error::NoRepository`], errors of the store.
pub fn id_in(store: &Store) -> Result<RepositoryId, Error> {
    read_manifest(store).map(|manifest| manifest.repository)
}

pub(crate) fn read_manifest(store: &Store) -> Result<Manifest, Error> {
    let name = ObjectName::of(&Named::Manifest);
    let bytes = match store.get(&name, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Err(Error::NoRepository { place: place(store) }),
        Err(error) => return Err(error.into()),
    };
    let manifest = Manifest::decode(&bytes).map_err(|error| Error::format(&name, error))?;
    if repository_id(&manifest.admin, &manifest.nonce) == manifest.repository {
        Ok(manifest)
    } else {
        Err(Error::damaged(&name, "its repository id is not made of its admin key"))
    }
}

/// This host's files for a repository, whose admin key must be the one it has pinned.
fn known_home(home: &Home, manifest: &Manifest) -> Result<RepositoryHome, Error> {
    let home = home.repository(manifest.repository)?;
    match home.pin()? {
        Some(pin) if pin.admin != manifest.admin => {
            Err(Error::damaged("lacre.json", "its admin key is not the one this host has pinned"))
        }
        _ => Ok(home),
    }
}

impl Repository {
    /// Opens the repository in a store.
    ///
    /// # Errors
    /// [`Error::NoRepository`]; [`Error::Format`] when it is of another format version; [`Error::Damaged`] when it is not the
    /// repository this host knows.
    pub fn open(store: Store, home: &Home, clock: SharedClock) -> Result<Self, Error> {
        let manifest = read_manifest(&store)?;
        Self::with_manifest(store, home, clock, manifest)
    }

    /// Opens a copy of a repository for reading: nothing is recorded in it and nothing is written to it.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open_copy(store: Store, home: &Home, clock: SharedClock, name: &str) -> Result<Self, Error> {
        let manifest = read_manifest(&store)?;
        let home = known_home(home, &manifest)?;
        Self::copy_with(store, home, clock, manifest, name)
    }

    /// The same repository seen in a copy of it.
    pub(crate) fn seen_in_copy(&self, store: &Store, name: &str) -> Result<Self, Error> {
        let manifest = self.manifest;
        let seen = Self::copy_with(store.clone(), self.home.clone(), self.clock.clone(), manifest, name)?;
        Ok(seen.with_cells(Arc::clone(&self.reach)))
    }

    fn copy_with(
        store: Store,
        home: RepositoryHome,
        clock: SharedClock,
        manifest: Manifest,
        name: &str,
    ) -> Result<Self, Error> {
        home.make_copies()?;
        let catalog = Mutex::new(Catalog::open(&home.copy_catalog(name))?);
        let standing = Standing::Copy { name: name.to_owned() };
        Ok(Self::of_parts(manifest, store, home, clock, catalog, standing))
    }

    pub(crate) fn with_manifest(
        store: Store,
        home: &Home,
        clock: SharedClock,
        manifest: Manifest,
    ) -> Result<Self, Error> {
        let home = known_home(home, &manifest)?;
        if let Err(error) = home.keep_manifest(&manifest) {
            // It would help only if the store lost its own.
            tracing::warn!(%error, "the repository's manifest is not kept in the home");
        }
        let catalog = Mutex::new(Catalog::open(&home.catalog())?);
        Ok(Self::of_parts(manifest, store, home, clock, catalog, Standing::Primary))
    }

    fn of_parts(
        manifest: Manifest,
        store: Store,
        home: RepositoryHome,
        clock: SharedClock,
        catalog: Mutex<Catalog>,
        standing: Standing,
    ) -> Self {
        let (structure, reach, parity) = (Mutex::new(None), Arc::new(FilesOnly), ParityChoice::default());
        let signatures = Arc::default();
        Self { manifest, store, home, clock, catalog, structure, reach, parity, standing, signatures }
    }

    /// The signatures that were verified through it.
    pub(crate) const fn signatures(&self) -> &Arc<Signatures> {
        &self.signatures
    }

    /// The same with a way to cells that are not files of this host.
    #[must_use]
    pub fn with_cells(mut self, reach: Arc<dyn CellReach>) -> Self {
        self.reach = reach;
        self
    }

    /// Opens a cell of the policy; nothing when it is a file of another host.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Cell`] when it cannot be reached.
    pub(crate) fn cell(&self, name: &str) -> Result<Option<Cell>, Error> {
        Cell::open_over(&CellPlace::parse(name)?, &self.reach)
    }

    pub(crate) const fn reach_of_cells(&self) -> &Arc<dyn CellReach> {
        &self.reach
    }

    /// The same repository, whose new packs get parity as chosen.
    #[must_use]
    pub fn with_parity(self, parity: ParityChoice) -> Self {
        Self { parity, ..self }
    }

    /// Whether this is a copy, in which nothing is recorded.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.standing != Standing::Primary
    }

    /// What this repository is made of.
    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn refuse_in_copy(&self) -> Result<(), Error> {
        match &self.standing {
            Standing::Primary => Ok(()),
            Standing::Copy { name } => Err(Error::Refused {
                why: format!(
                    "this is the copy {name:?}, to which only `lacre copy sync` writes; if the repository it was made of is gone for ever: `lacre repo adopt`"
                ),
            }),
        }
    }

    pub(crate) const fn parity(&self) -> ParityChoice {
        self.parity
    }

    /// Whether new packs get parity.
    pub(crate) fn keeps_parity(&self) -> bool {
        self.parity.is_kept(&self.store)
    }

    /// The repository's id.
    #[must_use]
    pub const fn id(&self) -> RepositoryId {
        self.manifest.repository
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// This host's files for the repository.
    #[must_use]
    pub const fn home(&self) -> &RepositoryHome {
        &self.home
    }

    pub(crate) const fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn catalog(&self) -> Result<MutexGuard<'_, Catalog>, Error> {
        self.catalog.lock().map_err(|_| Error::Bug { why: "a thread panicked while it used the catalog".to_owned() })
    }

    /// The same catalog once more, for work during which others need it.
    pub(crate) fn catalog_again(&self) -> Result<Catalog, Error> {
        Catalog::open(&self.home.catalog())
    }

    /// The structure key: from this host's writer key, or from a root opened earlier.
    pub(crate) fn structure(&self) -> Result<StructureKey, Error> {
        let mut known =
            self.structure.lock().map_err(|_| Error::Bug { why: "a thread panicked with a key".to_owned() })?;
        if known.is_none() {
            *known = Some(self.home.structure_key()?);
        }
        let key = known.as_ref().ok_or(Error::KeyMissing { what: "the structure key" })?;
        Ok(StructureKey::from_bytes(&key.to_key_file()))
    }

    /// Whether labels and reach maps can be read on this host.
    pub(crate) fn has_structure(&self) -> bool {
        self.structure().is_ok()
    }

    /// Remembers the structure key that a root carries.
    pub(crate) fn learn_structure(&self, key: &[u8; 32]) {
        if let Ok(mut known) = self.structure.lock() {
            known.get_or_insert_with(|| StructureKey::from_bytes(key));
        }
    }

    /// What the store says now; pins the newest policy.
    ///
    /// # Errors
    /// [`Error::Damaged`] when no policy is valid or the newest is older than one this host has seen; errors of the store.
    pub fn view(&self) -> Result<View, Error> {
        // Before the listing: what another process of this host sees meanwhile is no older policy shown to this one.
        let pin = self.home.pin()?;
        self.view_of(&self.store.list_many(&rollup::listed())?, pin)
    }

    /// What the store says now, every object read under its own name: an audit takes nothing out of a rollup.
    pub(crate) fn view_of_objects(&self) -> Result<View, Error> {
        let pin = self.home.pin()?;
        self.view_of(&self.store.list_many(&VIEWED)?, pin)
    }

    /// What the store says now, with the listing it was read from, which also holds indexes, packs and reach maps.
    ///
    /// # Errors
    /// As [`Repository::view`].
    pub fn look(&self) -> Result<Look, Error> {
        let pin = self.home.pin()?;
        let listing = self.store.list_many(&LOOKED_AT)?;
        Ok(Look { view: self.view_of(&listing, pin)?, listing })
    }

    /// What a listing says that was made after the pin was read; pins the newest policy.
    pub(crate) fn view_of(&self, listing: &Listing, pin: Option<Pin>) -> Result<View, Error> {
        let structure = self.structure().ok();
        let catalog = self.catalog()?;
        let small = VIEWED.iter().flat_map(|prefix| listing.below(prefix));
        prefetch(&self.store, &catalog, listing, small)?;
        let sent = self.home.sent()?;
        let source = Source {
            store: &self.store,
            catalog: &catalog,
            manifest: &self.manifest,
            pin: pin.as_ref(),
            structure: structure.as_ref(),
            signatures: &self.signatures,
            sent: &sent,
        };
        let mut view = View::of_listing(&source, listing)?;
        drop(catalog);
        self.settle_persons(&mut view);
        let newest = Pin { admin: self.manifest.admin, policy: view.policy.number, digest: view.policy_digest };
        let is_known = |pin: Option<Pin>| pin.is_some_and(|pin| pin == newest || pin.policy > newest.policy);
        if is_known(pin) || is_known(self.home.pin()?) {
            return Ok(view);
        }
        match self.home.keep_pin(&newest) {
            Ok(()) => {}
            // Reading goes on without it; a backup cannot, because it writes into the same directory.
            Err(Error::File(error)) if error.is_no_room() => {
                let advice =
                    "make room on the disk of LACRE_HOME: until then an older policy would not be noticed here";
                self.warn(&mut view, error.to_string(), advice);
            }
            Err(error) => return Err(error),
        }
        Ok(view)
    }

    fn warn(&self, view: &mut View, what: String, advice: &str) {
        view.findings.push(Finding::new(Severity::Warning, what, self.home.directory().display(), advice));
    }

    /// Applies the predicates of erasures of persons, on a host that can read jobs.
    pub(crate) fn settle_persons(&self, view: &mut View) {
        if view.ledger.standing_persons().next().is_none() {
            return;
        }
        let Ok(structure) = self.structure() else { return };
        let job_of = |header: &Header| self.label(&structure, header).ok().map(|label| label.job);
        let jobs_of = |intent: &Intent| self.jobs_of_person(&structure, intent);
        view.settle_predicates(&job_of, &jobs_of);
    }

    /// The jobs an erasure of a person is about.
    pub(crate) fn jobs_of_person(&self, structure: &StructureKey, intent: &Intent) -> Option<Vec<JobName>> {
        let record = &intent.person.as_ref()?.record;
        let what = Structure::PersonJobs(record.id);
        let plaintext = structure.open(what, self.id(), record.salt, &record.jobs).ok()?;
        codec::from_cbor::<PersonJobs>("person jobs", &plaintext).ok().map(|jobs| jobs.jobs)
    }

    /// The label of a snapshot.
    pub(crate) fn label(&self, structure: &StructureKey, header: &Header) -> Result<Label, Error> {
        label_of(structure, self.id(), header)
    }

    /// Keeps a small object that was stored just now. Only a cache: an operation that has done its work does not fail for it.
    pub(crate) fn remember(&self, name: &ObjectName, object: &[u8]) {
        if let Err(error) = self.catalog().and_then(|catalog| catalog.keep_object(name.as_str(), object)) {
            tracing::warn!(%error, %name, "the object is not cached");
        }
    }

    /// Reads new index segments into the catalog, and the footers of packs no segment names; what the store does not list any more is
    /// forgotten.
    ///
    /// # Errors
    /// Errors of the store; damaged segments and packs are findings.
    pub fn refresh(&self, view: &View) -> Result<Vec<Finding>, Error> {
        // Known before the listing: what another run of this host stores meanwhile is not taken for gone.
        let segments = self.catalog()?.segments()?;
        let packs = self.catalog()?.pack_names()?;
        let listing = self.store.list_many(&["index", "packs"])?;
        let findings = self.refresh_from(view, &listing)?;
        self.drop_unlisted(&segments, &packs, &listing)?;
        Ok(findings)
    }

    /// As [`Repository::refresh`], from a listing made just now of at least `index` and `packs`.
    pub(crate) fn refresh_from(&self, view: &View, listing: &Listing) -> Result<Vec<Finding>, Error> {
        match self.refresh_catalog(view, listing) {
            Err(Error::Cache { path, reason }) => {
                // A disk without room is no reason not to read: everything is read again, into memory.
                tracing::warn!(path = %path.display(), reason, "the catalog is kept in memory");
                *self.catalog()? = Catalog::in_memory(&path)?;
                self.refresh_catalog(view, listing)
            }
            done => done,
        }
    }

    fn refresh_catalog(&self, view: &View, listing: &Listing) -> Result<Vec<Finding>, Error> {
        let structure = self.structure()?;
        let mut findings = Vec::new();
        let mut unreadable = Vec::new();
        let mut wanted = Vec::new();
        for object in listing.below("index") {
            let Some((name, Named::Segment(digest))) = ObjectName::parse(&object.name) else {
                findings.push(crate::view::foreign_name(&object.name));
                continue;
            };
            if !self.catalog()?.has_segment(&digest)? {
                wanted.push((name, object.bytes));
            }
        }
        read_all(&self.store, &wanted, SEGMENT_BYTES_MAX, &mut |name, object| {
            let read = object.map_err(Error::from).and_then(|bytes| self.open_segment(view, &structure, name, &bytes));
            match read {
                Ok((digest, packs)) => {
                    findings.extend(self.contradictions(&structure, name, &packs)?);
                    self.catalog()?.add_packs(Some(&digest), &packs)
                }
                // It was listed and is gone: merged ones replace it, or the footers of its packs.
                Err(Error::Store(error)) if error.is_not_found() => Ok(()),
                Err(error) if of_the_object(&error) || matches!(error, Error::Store(_)) => {
                    unreadable.push((name.clone(), error));
                    Ok(())
                }
                Err(error) => Err(error),
            }
        })?;
        findings.extend(self.refresh_packs(&structure, listing)?);
        let is_superseded = !unreadable.is_empty() && self.all_in_segments(listing)?;
        findings.extend(unreadable.into_iter().map(|(name, error)| match is_superseded {
            true => {
                let advice = "nothing needs it: other segments name every pack, and lacre repo prune removes it";
                Finding::new(Severity::Note, error.to_string(), name, advice)
            }
            false => {
                let advice = "its packs are read from their own footers instead; lacre repo repair makes a new one";
                finding_of(&error, name, advice)
            }
        }));
        Ok(findings)
    }

    /// Whether segments that were read name every pack of a listing.
    pub(crate) fn all_in_segments(&self, listing: &Listing) -> Result<bool, Error> {
        for name in crate::locate::packs_listed(&listing.objects).into_keys() {
            if !self.catalog()?.is_in_segment(name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a segment says of packs that are known otherwise: a pack's own footer decides.
    fn contradictions(
        &self,
        structure: &StructureKey,
        segment: &ObjectName,
        packs: &[KnownPack],
    ) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for said in packs {
            let known = self.catalog()?.pack_by_name(said.name)?;
            let Some(known) = known.filter(|known| known != said) else { continue };
            match self.read_pack_footer(structure, said.name, known.bytes) {
                Ok(own) if own != known => self.catalog()?.correct_pack(&own)?,
                Ok(_) => {}
                Err(Error::Store(error)) if error.is_not_found() => continue,
                Err(error @ (Error::Format { .. } | Error::Damaged { .. } | Error::Store(_))) => {
                    tracing::warn!(pack = %said.name, %error, "its own footer does not read");
                }
                Err(error) => return Err(error),
            }
            let what = format!("it describes pack {} otherwise than another segment does", said.name);
            let advice = "the pack's own footer counts; somebody else may hold a writer's key";
            findings.push(Finding::new(Severity::Warning, what, segment, advice));
        }
        Ok(findings)
    }

    fn refresh_packs(&self, structure: &StructureKey, listing: &Listing) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for object in listing.below("packs") {
            let Some((name, Named::Pack(pack_name))) = ObjectName::parse(&object.name) else {
                findings.push(crate::view::foreign_name(&object.name));
                continue;
            };
            if self.catalog()?.pack_by_name(pack_name)?.is_some() {
                continue;
            }
            match self.read_pack_footer(structure, pack_name, object.bytes) {
                Ok(known) => self.catalog()?.add_packs(None, &[known])?,
                // A collection deleted it since the listing.
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error @ (Error::Format { .. } | Error::Damaged { .. } | Error::Store(_))) => {
                    let advice =
                        "frames in it cannot be found; `lacre repo check --read-data` says which snapshots need it";
                    findings.push(Finding::new(Severity::Damage, error.to_string(), name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    /// Forgets what was known before a listing was made and is not in it. A pack that a listed segment names and the store does not
    /// list is missing, and an audit has to be able to say so.
    fn drop_unlisted(&self, segments: &[Digest], packs: &[(PackName, u64)], listing: &Listing) -> Result<(), Error> {
        let listed: BTreeSet<&str> = listing.objects.iter().map(|object| object.name.as_str()).collect();
        let mut catalog = self.catalog()?;
        for digest in
            segments.iter().filter(|digest| !listed.contains(ObjectName::of(&Named::Segment(**digest)).as_str()))
        {
            catalog.drop_segment(digest)?;
        }
        let mut gone = Vec::new();
        for (name, _) in packs.iter().filter(|(name, _)| !listed.contains(ObjectName::of(&Named::Pack(*name)).as_str()))
        {
            if !catalog.is_in_segment(*name)? {
                gone.push(*name);
            }
        }
        if gone.is_empty() { Ok(()) } else { catalog.drop_packs(&gone) }
    }

    pub(crate) fn read_pack_footer(
        &self,
        structure: &StructureKey,
        name: PackName,
        bytes: u64,
    ) -> Result<KnownPack, Error> {
        pack::read_footer(&self.store, structure, self.id(), name, bytes)
    }

    fn open_segment(
        &self,
        view: &View,
        structure: &StructureKey,
        name: &ObjectName,
        bytes: &[u8],
    ) -> Result<(Digest, Vec<KnownPack>), Error> {
        let digest = Digest::new(*blake3::hash(bytes).as_bytes());
        if ObjectName::of(&Named::Segment(digest)) != *name {
            return Err(Error::damaged(name, "its bytes do not hash to its name"));
        }
        let format = |error| Error::format(name, error);
        let signed = Signed::decode(Kind::Segment, bytes).map_err(format)?;
        view.verify(Kind::Segment, name, &signed)?;
        if !view.names_segment(&digest) {
            view.stands(Kind::Segment, name, &signed)?;
        }
        let salted: Salted = codec::from_cbor("index segment", &signed.payload).map_err(format)?;
        let plaintext = structure
            .open(Structure::Segment, self.id(), salted.salt, &salted.ciphertext)
            .map_err(|error| Error::damaged(name, error.to_string()))?;
        let segment: Segment = codec::from_cbor("index segment", &plaintext).map_err(format)?;
        let known = |pack: lacre_format::segment::SegmentPack| {
            let footer: Vec<u8> = pack.footer.into();
            let decoded = lacre_format::pack::Footer::decode(&footer).map_err(format)?;
            Ok(KnownPack { id: decoded.pack, name: pack.name, bytes: pack.bytes, footer })
        };
        Ok((digest, segment.packs.into_iter().map(known).collect::<Result<Vec<_>, Error>>()?))
    }
}
