//! A machine asks, an admin answers, it joins: no private key travels, and nothing that was changed on the way is taken.

use lacre_format::{policy::Role, root::Shape};
use lacre_repo::{
    Error, Kind as ErrorKind, Repository,
    op::{backup::BackupOptions, join, keys::ReadKeys},
};

use crate::{
    common::{admin, enrol, host, id_of, publish, view},
    support::{Bench, backup, read, rows},
};

#[test]
fn a_machine_that_joined_backs_up_and_reads_nothing() {
    let bench = Bench::new();
    let table = rows(300, 1);
    let first = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let second = enrol(&bench, "db2", Role::Writer);
    let made = backup(&second, "app", &[("t", Shape::Rows, &rows(300, 2))], BackupOptions::default()).unwrap();
    // It names jobs, so it holds the structure key; it opens none of them, for it has neither identity nor seal.
    let listed = second.snapshots().unwrap();
    assert_eq!(listed.findings, []);
    assert!(listed.rows.iter().all(|row| row.label.is_some()));
    for snapshot in [first, made.snapshot] {
        let refused = read(&second, snapshot, &ReadKeys::default(), "t").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoKey, "{refused}");
    }
    assert_eq!(bench.read(made.snapshot, "t"), rows(300, 2));
    assert_eq!(bench.check_all().findings, []);
    let policy = view(&bench.repository).policy;
    let entry = policy.homes.iter().find(|entry| entry.home == id_of(&second)).unwrap();
    assert_eq!((entry.role, entry.label.as_str()), (Role::Writer, "db2"));
}

#[test]
fn no_private_key_is_in_what_travels() {
    let bench = Bench::new();
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    let request = join::read_request(&asked.text).unwrap();
    assert_eq!(request.fingerprint, asked.fingerprint, "both sides see the same words");
    let enrolled = bench.repository.enrol(&asked.text, Role::Writer, Some("the database"), "/there").unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    assert_eq!((token.fingerprint.as_str(), token.grant.url.as_str()), (enrolled.fingerprint.as_str(), "/there"));
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
    // Every secret that either machine keeps, looked for in both texts and in every object of the store.
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for keys in [home.repository(bench.repository.id()).unwrap(), bench.repository.home().clone()] {
        let writer = keys.writer_keys().unwrap();
        secrets.push(writer.signer.key.to_key_file().to_vec());
        secrets.push(writer.structure.to_key_file().to_vec());
    }
    secrets.push(admin(&bench).key.to_key_file().to_vec());
    let texts = [asked.text, enrolled.token].map(|text| decoded(&text));
    let objects = bench.files("").into_iter().map(|path| std::fs::read(path).unwrap());
    for bytes in texts.into_iter().chain(objects) {
        let found = secrets.iter().any(|secret| bytes.windows(secret.len()).any(|window| window == secret));
        assert!(!found, "a private key lies in {} bytes that others see", bytes.len());
    }
    // The one-time key is gone from the machine: the token serves nobody again.
    let again = join::join(bench.store.clone(), &home, &token, bench.clock.clone()).err().unwrap();
    assert!(matches!(&again, Error::Refused { why } if why.contains("used already")), "{again}");
}

/// The bytes of a text in base64 with the URL alphabet.
fn decoded(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let body = text.rsplit_once("request-").or_else(|| text.rsplit_once("join-")).unwrap().1;
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text[text.len() - body.len()..].bytes() {
        let value = alphabet.iter().position(|known| *known == byte).unwrap();
        (bits, count) = (bits << 6 | u32::try_from(value).unwrap(), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let bench = Bench::new();
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    for at in (14..asked.text.len()).step_by(53) {
        let mut text = asked.text.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        let refused = bench.repository.enrol(&text, Role::Writer, None, "/x").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage, "byte {at}: {refused}");
    }
    assert_eq!(view(&bench.repository).policy.number, 0, "nobody was enrolled");
    let enrolled = bench.repository.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    for at in (11..enrolled.token.len()).step_by(61) {
        let mut text = enrolled.token.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let taken = join::read_token(&String::from_utf8(text).unwrap())
            .and_then(|token| join::join(bench.store.clone(), &home, &token, bench.clock.clone()));
        assert!(taken.is_err(), "byte {at}");
    }
    let token = join::read_token(&enrolled.token).unwrap();
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
}

#[test]
fn a_token_serves_one_machine_and_one_repository() {
    let bench = Bench::new();
    let (home, thief) = (host(&bench, "db2"), host(&bench, "thief"));
    let asked = join::ask(&home, "db2").unwrap();
    join::ask(&thief, "db2").unwrap();
    let enrolled = bench.repository.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    let stolen = join::join(bench.store.clone(), &thief, &token, bench.clock.clone()).err().unwrap();
    assert_eq!(stolen.kind(), ErrorKind::Refused, "{stolen}");
    let other = Bench::new();
    let elsewhere = join::join(other.store.clone(), &home, &token, bench.clock.clone()).err().unwrap();
    assert!(elsewhere.to_string().contains("another repository"), "{elsewhere}");
    // Another repository's admin, who answers the same request, is pinned only for that repository.
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
}

#[test]
fn asking_again_repeats_the_answer_and_another_role_needs_another_request() {
    let bench = Bench::new();
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    let first = bench.repository.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    let again = bench.repository.enrol(&asked.text, Role::Writer, None, "/y").unwrap();
    assert_eq!((first.policy, again.policy), (1, 1), "one policy enrols it");
    let other = bench.repository.enrol(&asked.text, Role::Admin, None, "/x").unwrap_err();
    assert!(other.to_string().contains("another role"), "{other}");
    let token = join::read_token(&again.token).unwrap();
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
    let twice = join::ask(&home, "db2").unwrap();
    let enrolled = bench.repository.enrol(&twice.text, Role::Writer, None, "/x").unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    let refused = join::join(bench.store.clone(), &home, &token, bench.clock.clone()).err().unwrap();
    assert!(refused.to_string().contains("keys of that role already"), "{refused}");
}

#[test]
fn a_machine_pins_the_policy_that_enrols_it_before_it_reads_any() {
    let bench = Bench::new();
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    let enrolled = bench.repository.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    // A store that hides the newest policy shows the machine a repository it is not part of.
    let newest = bench.files("policy").pop().unwrap();
    let hidden = std::fs::read(&newest).unwrap();
    std::fs::remove_file(&newest).unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    let refused = join::join(bench.store.clone(), &home, &token, bench.clock.clone()).err().unwrap();
    assert!(refused.to_string().contains("this host has seen number 1"), "{refused}");
    std::fs::write(&newest, hidden).unwrap();
    let (second, joined) = join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
    assert_eq!(joined.policy, 1);
    // And for ever after none that is older than the newest it has seen.
    publish(&bench, &admin(&bench), |policy| policy.min_verified = 7);
    assert_eq!(view(&second).policy.min_verified, 7);
    std::fs::remove_file(bench.files("policy").pop().unwrap()).unwrap();
    let refused = second.view().err().unwrap();
    assert!(refused.to_string().contains("this host has seen number 2"), "{refused}");
}

#[test]
fn a_token_whose_signer_is_no_admin_is_refused() {
    let bench = Bench::new();
    let second = enrol(&bench, "admin2", Role::Admin);
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    let enrolled = second.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    bench.repository.revoke(second.home().admin_key().unwrap().home).unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    let refused = join::join(bench.store.clone(), &home, &token, bench.clock.clone()).err().unwrap();
    assert!(refused.to_string().contains("no admin of the repository signed it"), "{refused}");
}

#[test]
fn each_role_can_do_its_part_and_no_more() {
    let bench = Bench::new();
    let table = rows(300, 1);
    let made = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let maintenance = enrol(&bench, "keeper", Role::Maintenance);
    let refused = maintenance.begin_backup(
        &lacre_format::ids::JobName::parse("app").unwrap(),
        BackupOptions::default(),
        std::sync::Arc::new(lacre_repo::Silent),
    );
    assert!(matches!(refused.err(), Some(Error::KeyMissing { .. })), "its key is no writer's");
    for refused in [maintenance.forget_one(made), maintenance.hold(made, "x"), maintenance.unforget(made)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoKey);
    }
    bench.repository.forget_one(made).unwrap();
    let kept = backup(&bench.repository, "app", &[("t", Shape::Rows, &rows(300, 5))], BackupOptions::default());
    let kept = kept.unwrap().snapshot;
    let pruned = prune(&maintenance);
    assert_eq!(pruned.snapshots, 1, "{pruned:?}");
    assert_eq!(bench.read(kept, "t"), rows(300, 5));
    // A writer may do none of it.
    let second = enrol(&bench, "db2", Role::Writer);
    let refused = second.prune(&eager(), &lacre_repo::Silent).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NoKey, "{refused}");
    // A second admin enrols, holds and publishes; its policies are believed everywhere.
    let admin = enrol(&bench, "admin2", Role::Admin);
    admin.hold(kept, "audit").unwrap();
    let home = host(&bench, "db3");
    let asked = join::ask(&home, "db3").unwrap();
    let enrolled = admin.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    assert_eq!(view(&second).policy.number, enrolled.policy);
    assert!(view(&bench.repository).held.contains_key(&kept));
}

pub(crate) fn eager() -> lacre_repo::op::prune::PruneOptions {
    lacre_repo::op::prune::PruneOptions {
        economy: lacre_repo::op::prune::Economy {
            gain_percent_min: 0.0,
            dead_percent_min: 0.1,
            repack_percent_max: 100.0,
        },
        skew_max: std::time::Duration::MAX,
        ..Default::default()
    }
}

fn prune(repository: &Repository) -> lacre_repo::op::prune::PruneReport {
    repository.prune(&eager(), &lacre_repo::Silent).unwrap()
}

#[test]
fn two_admins_do_not_change_the_policy_at_once() {
    let bench = Bench::new();
    let second = enrol(&bench, "admin2", Role::Admin);
    // The second admin claims and dies.
    let claim = lacre_format::erasure::Claim {
        id: lacre_format::ids::Token::new([5; 16]),
        from: view(&bench.repository).policy.generation,
        purpose: lacre_format::erasure::Purpose::Policy,
        adopts: None,
    };
    let keys = second.home().admin_key().unwrap();
    let machine = crate::common::Machine { home: keys.home, key: keys.key };
    machine.say(&bench, &lacre_format::log::Event::Claim(claim));
    let home = host(&bench, "db2");
    let asked = join::ask(&home, "db2").unwrap();
    let refused = bench.repository.enrol(&asked.text, Role::Writer, None, "/x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(view(&bench.repository).policy.number, 1, "nothing was published");
    // Back again it goes on under the claim it had left.
    second.enrol(&asked.text, Role::Writer, None, "/x").unwrap();
    assert_eq!(view(&bench.repository).ledger.open_claims().count(), 0);
}
