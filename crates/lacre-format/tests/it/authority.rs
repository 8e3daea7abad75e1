//! Who may sign what: every pair of role and event, of role and object, written down a second time.

use std::collections::BTreeMap;

use lacre_format::{authority::Authority, exercise::KINDS, object::Kind, policy::Role};

use crate::values;

const ROLES: [Role; 3] = [Role::Writer, Role::Maintenance, Role::Admin];

/// Which of writer, maintenance and admin are believed.
fn admitted(authority: Authority) -> [bool; 3] {
    ROLES.map(|role| authority.admits(role))
}

#[test]
fn every_event_has_its_roles() {
    let every = [true; 3];
    let maintenance = [false, true, true];
    let admin = [false, false, true];
    let table: BTreeMap<&str, [bool; 3]> = [
        ("event-forget", every),
        ("event-restore", every),
        ("event-restore-named", every),
        ("event-probe", every),
        ("event-run", every),
        ("event-late", every),
        ("event-drill", every),
        ("event-check", maintenance),
        ("event-prune", maintenance),
        ("event-repair", maintenance),
        ("event-loss", maintenance),
        ("event-unforget", admin),
        ("event-hold", admin),
        ("event-release", admin),
        ("event-kit", admin),
        ("event-claim", admin),
        ("event-claim-end", admin),
        ("event-erase-intent", admin),
        ("event-intent-end", admin),
        ("event-rotated", admin),
        ("event-destroyed", admin),
        ("event-attestation", admin),
        ("event-attestation-of-a-cell", admin),
        ("event-receipt", admin),
        ("event-revoking", admin),
        ("event-recipient-removed", admin),
        ("event-rewrapped", admin),
        ("event-person-intent", admin),
        ("event-rewritten", admin),
        ("event-erase-intent-guarded", admin),
        ("event-pointer", admin),
        ("event-approval", admin),
        ("event-adopt", admin),
    ]
    .into();
    for (name, event) in values::events() {
        let expected = table.get(name).unwrap_or_else(|| panic!("{name} has no line in the table"));
        assert_eq!(&admitted(Authority::of_event(&event)), expected, "{name}");
    }
    assert_eq!(values::events().len(), table.len(), "the table names an event that is not there");
}

#[test]
fn what_only_a_forget_needs_is_judged_by_the_policys_rules() {
    for (name, event) in values::events() {
        assert_eq!(Authority::of_event(&event) == Authority::Delegated, name == "event-forget", "{name}");
    }
}

#[test]
fn every_object_has_its_roles() {
    for kind in KINDS {
        let expected = match kind {
            Kind::Session | Kind::SessionEnd | Kind::Snapshot | Kind::KeyEntry | Kind::KeyEnvelope => {
                [true, false, true]
            }
            Kind::Void | Kind::GcPlan | Kind::GcStep | Kind::RebuiltReach => [false, true, true],
            Kind::Policy | Kind::BundleList => [false, false, true],
            Kind::LogEntry | Kind::Segment | Kind::Join => [true; 3],
            Kind::Pack | Kind::Parity | Kind::Reach | Kind::Bundle | Kind::Suppression | Kind::Rollup => [false; 3],
        };
        assert_eq!(admitted(Authority::of_object(*kind)), expected, "{kind:?}");
    }
}
