//! The policies of `docs/policies`, enforced by a server: each key can do its work, and nothing beyond it.

use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Key, Kind, Proxy, Weed};

use super::{back_up, in_bucket, newest_is, night, show_role, snapshots_in};

#[test]
fn a_backup_key_backs_up_and_deletes_nothing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    for bucket in [BUCKET_PLAIN, BUCKET_VERSIONED] {
        let mut sandbox = in_bucket(proxy.port(), bucket, "lacre", Key::Backup);
        // Making a repository is not its work.
        let refused = sandbox.run(&["init", "--kit-file", "refused"]);
        let code = refused.status.code().unwrap();
        assert!([2, 13].contains(&code), "{code}: {}", refused.stderr);
        assert!(refused.stderr.contains("right") && refused.stderr.contains("hint:"), "{}", refused.stderr);
        show_role(&mut sandbox, Key::Admin);
        let mut sandbox = in_bucket(proxy.port(), bucket, "lacre", Key::Admin);
        sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
        show_role(&mut sandbox, Key::Backup);
        proxy.forget();
        back_up(&sandbox, &night(1)).exits(0);
        back_up(&sandbox, &night(2)).exits(0);
        let records = proxy.records();
        assert!(
            records.iter().all(|record| record.status != Some(403)),
            "a backup asks for more than its policy gives"
        );
        assert!(records.iter().all(|record| ![Kind::Delete, Kind::DeleteVersion].contains(&record.kind)));
        // What the key cannot do, whoever holds it.
        let thief = weed.client(Key::Backup);
        let eye = weed.client(Key::Root);
        let before = eye.keys(bucket, "lacre/");
        for key in &before {
            assert_eq!(thief.delete(bucket, key).status, 403, "{key}");
        }
        for place in ["lacre/lacre.json", "lacre/policy/99999999-00", "lacre/keyring/1/bundle", "elsewhere"] {
            assert_eq!(thief.put(bucket, place, b"rubbish").status, 403, "{place}");
        }
        assert_eq!(eye.keys(bucket, "lacre/"), before);
        newest_is(&sandbox, &night(2));
        sandbox.run(&["check", "--read-data"]).exits(0);
    }
}

#[test]
fn a_restore_key_reads_everything_and_writes_nothing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Admin);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    show_role(&mut sandbox, Key::Restore);
    proxy.forget();
    newest_is(&sandbox, &night(1));
    sandbox.run(&["snapshots"]).exits(0);
    sandbox.run(&["restore", "latest:a", "--to-file", "out"]).exits(0);
    assert!(std::fs::read(sandbox.path("out")).unwrap() == night(1));
    let records = proxy.records();
    // This home could sign that it restored, so it tries to say so; nothing else is written, and nothing else is refused.
    let others = || records.iter().filter(|record| !record.target.contains("/log/"));
    assert!(others().all(|record| record.status != Some(403)), "a restore asks for more than its policy gives");
    assert!(others().all(|record| record.sent == 0), "a restore sends nothing");
    let refused = back_up(&sandbox, &night(2));
    let code = refused.status.code().unwrap();
    assert!([2, 13].contains(&code), "{code}: {}", refused.stderr);
    assert!(refused.stderr.contains("right") && refused.stderr.contains("hint:"), "{}", refused.stderr);
    assert_eq!(snapshots_in(&weed.client(Key::Root), BUCKET_PLAIN, "lacre"), 1);
    let before = weed.client(Key::Root).keys(BUCKET_PLAIN, "lacre/");
    for key in &before {
        assert_eq!(weed.client(Key::Restore).delete(BUCKET_PLAIN, key).status, 403);
        assert_eq!(weed.client(Key::Restore).put(BUCKET_PLAIN, key, b"rubbish").status, 403);
    }
    // A check has nothing to write that it could not do without.
    sandbox.run(&["check", "--read-data"]);
    newest_is(&sandbox, &night(1));
}

#[test]
fn maintenance_and_admin_keys_do_their_work() {
    let Some(weed) = Weed::start() else { return };
    let mut sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Admin);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    back_up(&sandbox, &night(2)).exits(0);
    show_role(&mut sandbox, Key::Maintenance);
    sandbox.run(&["forget", "--keep-last", "1"]).exits(0);
    sandbox.run(&["check", "--read-data"]).exits(0);
    let client = weed.client(Key::Maintenance);
    for place in ["lacre/lacre.json", "lacre/policy/99999999-00", "lacre/keyring/1/bundle", "elsewhere"] {
        assert_eq!(client.put(BUCKET_PLAIN, place, b"rubbish").status, 403, "{place}");
        assert_eq!(client.delete(BUCKET_PLAIN, place).status, 403, "{place}");
    }
    newest_is(&sandbox, &night(2));
}
