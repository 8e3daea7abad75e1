//! Policies: a second admin's count, a revoked admin's do not, and nobody revokes who stands before them.

use lacre_format::{
    ids::{Digest, Millis},
    policy::{Policy, Revocation, Role},
};

use crate::{
    common::{Machine, admin, publish, publish_after, view, writer},
    support::Bench,
};

fn revoke(policy: &mut Policy, whom: &Machine) {
    let pins = Revocation { at: Millis(0), twins: Vec::new(), snapshots: Vec::new(), objects: Vec::new() };
    policy.homes.iter_mut().find(|entry| entry.home == whom.home).unwrap().revoked = Some(pins);
}

fn enrolled(bench: &Bench) -> [Machine; 3] {
    let machines = [1, 2, 3].map(Machine::new);
    publish(bench, &admin(bench), |policy| {
        let roles = [Role::Admin, Role::Admin, Role::Maintenance];
        policy.homes.extend(machines.iter().zip(roles).map(|(machine, role)| machine.entry(role)));
    });
    machines
}

fn tip(bench: &Bench) -> (u32, Digest) {
    let view = view(&bench.repository);
    (view.policy.number, view.policy_digest)
}

#[test]
fn a_policy_counts_if_an_admin_of_the_one_before_signed_it() {
    let bench = Bench::new();
    let [second, third, maintenance] = enrolled(&bench);
    for nobody in [&maintenance, &writer(&bench), &Machine::new(9)] {
        let before = tip(&bench);
        publish(&bench, nobody, |policy| policy.min_verified = 99);
        assert_eq!(tip(&bench), before);
        assert!(view(&bench.repository).findings.iter().any(|finding| finding.what.contains("no admin of the policy")));
    }
    let digest = publish(&bench, &second, |policy| policy.min_verified = 4);
    assert_eq!(tip(&bench), (2, digest));
    // An admin enrolled by an admin; nobody counts before they were enrolled.
    let fourth = Machine::new(4);
    publish(&bench, &third, |policy| policy.homes.push(fourth.entry(Role::Admin)));
    let digest = publish(&bench, &fourth, |policy| policy.min_verified = 5);
    assert_eq!(tip(&bench), (4, digest));
}

#[test]
fn numbers_follow_one_another_unless_the_root_says_otherwise() {
    let bench = Bench::new();
    let [second, ..] = enrolled(&bench);
    let before = tip(&bench);
    publish(&bench, &second, |policy| policy.number = 1_000);
    assert_eq!(tip(&bench), before, "a leap would make every other admin's policy old");
    publish(&bench, &second, |policy| policy.previous = Some(Digest::new([1; 32])));
    assert_eq!(tip(&bench), before, "it follows none that is there");
    let digest = publish(&bench, &admin(&bench), |policy| policy.number = 50);
    assert_eq!(tip(&bench), (50, digest));
}

#[test]
fn a_revoked_admin_signs_nothing_beside_or_after_the_policy_that_says_so() {
    let bench = Bench::new();
    let [second, third, _] = enrolled(&bench);
    let good = publish(&bench, &second, |policy| policy.min_verified = 4);
    let (before, fork_at) = {
        let view = view(&bench.repository);
        (view.policy.clone(), view.policy_digest)
    };
    assert_eq!(good, fork_at);
    let revoking = publish(&bench, &admin(&bench), |policy| revoke(policy, &second));
    assert_eq!(tip(&bench), (3, revoking));
    assert_eq!(view(&bench.repository).policy.min_verified, 4, "what it signed before stays");
    // After it, and beside it: a longer line that begins before the revocation.
    publish(&bench, &second, |policy| policy.min_verified = 99);
    let fork = publish_after(&bench, &second, (&before, fork_at), |policy| policy.min_verified = 98);
    let mut side = before.clone();
    side.number += 1;
    let longer = publish_after(&bench, &second, (&side, fork), |policy| revoke(policy, &third));
    side.number += 1;
    publish_after(&bench, &second, (&side, longer), |policy| policy.min_verified = 97);
    assert_eq!(tip(&bench), (3, revoking));
    // Nor is anybody revoked by what does not count.
    let digest = publish(&bench, &third, |policy| policy.min_verified = 6);
    assert_eq!(tip(&bench), (4, digest));
}

#[test]
fn nobody_revokes_who_stands_before_them() {
    let bench = Bench::new();
    let [second, third, _] = enrolled(&bench);
    let (before, digest) = {
        let view = view(&bench.repository);
        (view.policy.clone(), view.policy_digest)
    };
    // Each revokes the other in a policy of the same number: the one who was enrolled first stays.
    publish_after(&bench, &third, (&before, digest), |policy| revoke(policy, &second));
    let senior = publish_after(&bench, &second, (&before, digest), |policy| revoke(policy, &third));
    assert_eq!(tip(&bench), (2, senior));
    assert!(!view(&bench.repository).home(second.home).unwrap().is_revoked());
    assert!(view(&bench.repository).home(third.home).unwrap().is_revoked());
}

#[test]
fn nobody_writes_themselves_before_who_stands_before_them() {
    let change = |swap: fn(&mut Policy)| {
        let bench = Bench::new();
        let [second, third, _] = enrolled(&bench);
        let (before, digest) = {
            let view = view(&bench.repository);
            (view.policy.clone(), view.policy_digest)
        };
        // A longer list, and a digest that wins a tie: neither decides.
        for number in 0..4u8 {
            publish_after(&bench, &third, (&before, digest), |policy| {
                swap(policy);
                revoke(policy, &second);
                policy.homes.push(Machine::new(0x40 + number).entry(Role::Admin));
            });
        }
        assert_eq!(tip(&bench), (1, digest), "nobody is revoked by who stands behind them");
        let senior = publish_after(&bench, &second, (&before, digest), |policy| revoke(policy, &third));
        assert_eq!(tip(&bench), (2, senior));
        let view = view(&bench.repository);
        assert!(view.home(third.home).unwrap().is_revoked() && !view.home(second.home).unwrap().is_revoked());
    };
    change(|_| {});
    change(|policy| {
        let (second, third) = (place(policy, 1), place(policy, 2));
        policy.homes.swap(second, third);
    });
    change(|policy| {
        let third = policy.homes.remove(place(policy, 2));
        policy.homes.insert(0, third);
    });
}

fn place(policy: &Policy, number: u8) -> usize {
    policy.homes.iter().position(|entry| entry.home == Machine::new(number).home).unwrap()
}

#[test]
fn no_admin_but_the_root_changes_or_leaves_out_a_home_that_was_there() {
    type Change = fn(&mut Policy, usize);
    let changes: [(&str, Change); 5] = [
        ("left out", |policy, at| drop(policy.homes.remove(at))),
        ("moved", |policy, at| policy.homes.swap(at, 0)),
        ("no admin any more", |policy, at| policy.homes[at].role = Role::Writer),
        ("given another key", |policy, at| policy.homes[at].key = Machine::new(0x77).key.public()),
        ("back again", |policy, _| {
            let revoked = policy.homes.iter_mut().find(|entry| entry.is_revoked()).unwrap();
            (revoked.revoked, revoked.revoked_at) = (None, None);
        }),
    ];
    for (what, change) in changes {
        let bench = Bench::new();
        let [second, third, maintenance] = enrolled(&bench);
        publish(&bench, &admin(&bench), |policy| revoke(policy, &maintenance));
        let before = tip(&bench);
        let changed = |policy: &mut Policy| {
            let at = policy.homes.iter().position(|entry| entry.home == second.home).unwrap();
            change(policy, at);
        };
        publish(&bench, &third, changed);
        assert_eq!(tip(&bench), before, "{what}");
        let digest = publish(&bench, &admin(&bench), changed);
        assert_eq!(tip(&bench), (3, digest), "{what}: the root may");
    }
}

#[test]
fn an_older_policy_than_this_host_has_seen_is_refused() {
    let bench = Bench::new();
    let digest = publish(&bench, &admin(&bench), |policy| policy.min_verified = 4);
    assert_eq!(tip(&bench), (1, digest));
    let newest = bench.files("policy").pop().unwrap();
    std::fs::remove_file(newest).unwrap();
    let refused = bench.repository.view().err().unwrap();
    assert!(refused.to_string().contains("this host has seen number 1"), "{refused}");
}
