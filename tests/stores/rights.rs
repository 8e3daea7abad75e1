//! The policies of `docs/policies`, enforced by a server: each key can do its work, and nothing beyond it.

use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Key, Kind, Proxy, Record, Weed};

use super::{back_up, in_bucket, newest_is, night, show_role, snapshots_in};
use crate::support::sandbox::{Sandbox, files_under};

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
        let rollup = format!("lacre/rollup/00000001-{}", "ab".repeat(32));
        for place in ["lacre/lacre.json", "lacre/policy/99999999-00", "lacre/keyring/1/bundle", &rollup, "elsewhere"] {
            assert_eq!(thief.put(bucket, place, b"rubbish").status, 403, "{place}");
        }
        assert_eq!(eye.keys(bucket, "lacre/"), before);
        newest_is(&sandbox, &night(2));
        sandbox.run(&["check", "--read-data"]).exits(0);
    }
}

/// What is asked of the store while the newest night is read in every way.
fn restored(sandbox: &Sandbox, proxy: &Proxy, to: &str) -> Vec<Record> {
    proxy.forget();
    newest_is(sandbox, &night(1));
    sandbox.run(&["snapshots"]).exits(0);
    sandbox.run(&["restore", "latest:a", "--to-file", to]).exits(0);
    assert!(std::fs::read(sandbox.path(to)).unwrap() == night(1));
    proxy.records()
}

fn nothing_is_sent(records: &[Record]) {
    let refused: Vec<_> = records.iter().filter(|record| record.status == Some(403)).collect();
    assert!(refused.is_empty(), "a restore asks for more than its policy gives: {refused:?}");
    assert!(records.iter().all(|record| record.sent == 0), "a restore sends nothing");
}

#[test]
fn a_restore_key_reads_everything_and_writes_nothing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Admin);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    show_role(&mut sandbox, Key::Restore);
    // This home could sign that it restored. Nobody says that these keys only read, so it tries to once, and learns it.
    let tried = restored(&sandbox, &proxy, "first");
    let refused: Vec<_> = tried.iter().filter(|record| record.status == Some(403)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|record| record.target.contains("/log/")), "{refused:?}");
    nothing_is_sent(&restored(&sandbox, &proxy, "second"));
    // Where the configuration says so, it is not even tried once.
    let learned = files_under(&sandbox.home()).into_iter().find(|file| file.ends_with("log-refused"));
    std::fs::remove_file(learned.unwrap()).unwrap();
    let config = sandbox.path("lacre.toml");
    std::fs::write(&config, "read_only = true\n").unwrap();
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &config);
    nothing_is_sent(&restored(&sandbox, &proxy, "third"));
    let refused = back_up(&sandbox, &night(2)).exits(1);
    assert!(refused.stderr.contains("read_only") && refused.stderr.contains("hint:"), "{}", refused.stderr);
    sandbox.unset("LACRE_CONFIG");
    std::fs::remove_file(&config).unwrap();
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
    let eye = weed.client(Key::Root);
    let mut old = Vec::new();
    for number in 3..5 {
        show_role(&mut sandbox, Key::Admin);
        back_up(&sandbox, &night(number)).exits(0);
        show_role(&mut sandbox, Key::Maintenance);
        sandbox.run(&["forget", "--keep-last", "1"]).exits(0);
        sandbox.run(&["repo", "prune"]).exits(0);
        // One takes the place of the other.
        let rollups = eye.keys(BUCKET_PLAIN, "lacre/rollup/");
        assert!(rollups.len() == 1 && rollups != old, "{rollups:?} after {old:?}");
        old = rollups;
    }
    let client = weed.client(Key::Maintenance);
    for place in ["lacre/lacre.json", "lacre/policy/99999999-00", "lacre/keyring/1/bundle", "elsewhere"] {
        assert_eq!(client.put(BUCKET_PLAIN, place, b"rubbish").status, 403, "{place}");
        assert_eq!(client.delete(BUCKET_PLAIN, place).status, 403, "{place}");
    }
    newest_is(&sandbox, &night(4));
}
