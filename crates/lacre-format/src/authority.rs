//! Who may sign what (protocol rule 1): the table that every reader judges by.
//!
//! In: an event of a log or the kind of an object. Out: which roles are believed when they sign it. It verifies nothing; the vault
//! looks up the signer's role in the policy and asks here.

use crate::{log::Event, object::Kind, policy::Role};

/// Whose signature is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authority {
    /// Every home, of what it did itself: it changes nothing that is another's.
    Own,
    /// Whoever makes backups: sessions and snapshots of its own.
    Writing,
    /// Every home within the rules of the policy: a writer for its own snapshots, maintenance for all; an admin without rules.
    Delegated,
    /// Maintenance and admin.
    Maintenance,
    /// Admin alone.
    Admin,
    /// What lies there is fixed by its name or by another signature; nobody signs it.
    Unsigned,
}

impl Authority {
    /// Whether a home of this role is believed, as far as the role decides.
    #[must_use]
    pub const fn admits(self, role: Role) -> bool {
        match self {
            Self::Own | Self::Delegated => true,
            Self::Writing => matches!(role, Role::Writer | Role::Admin),
            Self::Maintenance => matches!(role, Role::Maintenance | Role::Admin),
            Self::Admin => matches!(role, Role::Admin),
            Self::Unsigned => false,
        }
    }

    /// What an event of a log needs.
    #[must_use]
    pub const fn of_event(event: &Event) -> Self {
        match event {
            // Nobody else is bound by them; an unknown event changes nothing here.
            Event::Restore(_)
            | Event::Drill(_)
            | Event::Probe(_)
            | Event::Run(_)
            | Event::Late(_)
            | Event::Unknown(_) => Self::Own,
            Event::Forget(_) => Self::Delegated,
            Event::Check(_) | Event::Prune(_) | Event::Repair(_) | Event::Loss(_) => Self::Maintenance,
            Event::Unforget(_)
            | Event::Hold(_)
            | Event::Release(_)
            | Event::Kit(_)
            | Event::Claim(_)
            | Event::ClaimEnd(_)
            | Event::EraseIntent(_)
            | Event::Rotated(_)
            | Event::Destroyed(_)
            | Event::Attestation(_)
            | Event::Receipt(_)
            | Event::IntentEnd(_)
            | Event::PersonIntent(_)
            | Event::Rewritten(_)
            | Event::Revoking(_)
            | Event::RecipientRemoved(_)
            | Event::Rewrapped(_)
            | Event::Adopt(_)
            | Event::Pointer(_)
            | Event::Approval(_) => Self::Admin,
        }
    }

    /// What an object of this kind needs.
    #[must_use]
    pub const fn of_object(kind: Kind) -> Self {
        match kind {
            // Each entry of a log is judged by its event; a segment says nothing that a pack's own footer does not overrule; what is said
            // about joining travels by hand and is judged by whoever takes it.
            Kind::LogEntry | Kind::Segment | Kind::Join => Self::Own,
            Kind::Session | Kind::SessionEnd | Kind::Snapshot | Kind::KeyEntry | Kind::KeyEnvelope => Self::Writing,
            Kind::Void | Kind::GcPlan | Kind::GcStep | Kind::RebuiltReach => Self::Maintenance,
            Kind::Policy | Kind::BundleList => Self::Admin,
            Kind::Pack | Kind::Parity | Kind::Reach | Kind::Bundle | Kind::Suppression | Kind::Rollup => Self::Unsigned,
        }
    }
}
