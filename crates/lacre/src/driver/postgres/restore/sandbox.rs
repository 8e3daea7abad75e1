//! What a rehearsed restore does not make, because it would act elsewhere or by itself.
//!
//! In: a table of contents. Out: the entries that are left out, and why. A subscription would pull from its publisher (and keep the
//! database from being dropped); an event trigger fires on the restore's own statements; a scheduler's extension runs its jobs; a user
//! mapping holds the password of another server; refreshing a materialized view runs whatever its query runs. What no list can know, such
//! as a check constraint whose function sends mail, is left: `docs/OPERATIONS.md` says so.

use std::collections::{BTreeMap, BTreeSet};

use lacre_dump::archive::Toc;

use super::{Choice, Isolation, RestoreOptions};

/// Kinds of entries that act on their own, or hold the way to another server.
const KINDS: &[&[u8]] = &[
    b"EVENT TRIGGER",
    b"PUBLICATION",
    b"PUBLICATION TABLE",
    b"PUBLICATION TABLES IN SCHEMA",
    b"SUBSCRIPTION",
    b"SUBSCRIPTION TABLE",
    b"USER MAPPING",
];

/// Extensions whose background workers act on rows of theirs, and the schemas those rows lie in.
const SCHEDULERS: &[(&[u8], &[u8])] =
    &[(b"pg_cron", b"cron"), (b"pgagent", b"pgagent"), (b"pg_net", b"net"), (b"pg_background", b"pg_background")];

/// Extensions through which a query reaches beyond its database; names that end in `_fdw` are among them.
const GATES: &[&[u8]] =
    &[b"dblink", b"http", b"pg_net", b"plperlu", b"plpython3u", b"plpythonu", b"plr", b"plsh", b"pltclu"];

/// Entries that are not made, each in words.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOut(BTreeMap<i32, String>);

impl LeftOut {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, dump_id: i32) -> bool {
        self.0.contains_key(&dump_id)
    }

    /// What is left out, in words, each kind once.
    pub(super) fn words(&self) -> BTreeSet<&str> {
        self.0.values().map(String::as_str).collect()
    }
}

/// Options of `pg_restore` that keep a rehearsal to itself.
pub(super) fn arguments(options: &RestoreOptions) -> &'static [&'static str] {
    match (options.isolation, options.globals) {
        (Isolation::Open, _) => &[],
        // Roles were made for it: owners and rights are rehearsed too.
        (Isolation::Sandbox, Choice::Allow) => &["--no-tablespaces", "--no-security-labels"],
        (Isolation::Sandbox, Choice::Refuse) => {
            &["--no-tablespaces", "--no-security-labels", "--no-owner", "--no-privileges"]
        }
    }
}

/// Chooses what is left out.
pub(super) fn left_out(toc: &Toc, isolation: Isolation) -> LeftOut {
    let mut found = BTreeMap::new();
    if isolation == Isolation::Open {
        return LeftOut(found);
    }
    let schedulers: Vec<&(&[u8], &[u8])> =
        SCHEDULERS.iter().filter(|(name, _)| toc.extensions().any(|entry| entry.tag() == *name)).collect();
    let is_gated = toc.extensions().any(|entry| GATES.contains(&entry.tag()) || entry.tag().ends_with(b"_fdw"))
        || toc.of_kind(b"SERVER").next().is_some();
    for entry in toc.entries() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // A comment, label or right names the kind of what it is on: `EVENT TRIGGER audit`.
        let is_remark = matches!(entry.desc(), b"COMMENT" | b"ACL" | b"SECURITY LABEL");
        let about =
            |kind: &[u8]| entry.desc() == kind || (is_remark && entry.tag().starts_with(&[kind, b" "].concat()));
        let scheduler = schedulers.iter().find(|(name, schema)| {
            let own = entry.desc() == b"EXTENSION" && entry.tag() == *name;
            let on_it = is_remark && entry.tag() == [b"EXTENSION ", *name].concat();
            own || on_it || entry.namespace() == Some(*schema)
        });
        let why = if let Some(kind) = KINDS.iter().find(|kind| about(kind)) {
            format!("{} entries", text(kind).to_lowercase())
        } else if let Some((name, _)) = scheduler {
            format!("extension {} and its rows", text(name))
        } else if is_gated && entry.desc() == b"MATERIALIZED VIEW DATA" {
            "refreshes of materialized views, which may reach other servers".to_owned()
        } else {
            continue;
        };
        found.insert(entry.dump_id(), why);
    }
    LeftOut(found)
}
