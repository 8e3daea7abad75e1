//! The seal in buckets of its own, and a sheet that leads a bare machine to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Key, Weed};

use crate::support::sandbox::Sandbox;

fn cell(weed: &Weed, bucket: &str, credentials: &str) -> String {
    format!("s3://{bucket}/cell?region=us-east-1&endpoint={}&credentials={credentials}", weed.endpoint())
}

/// A repository in a folder whose seal lies in two buckets with keys of their own.
fn ready() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let config = sandbox.path("lacre.toml");
    let tables: String = [("one", "ONE"), ("two", "TWO")]
        .iter()
        .map(|(name, variable)| {
            format!("[credential.{name}]\naccess_key_id_env = \"{variable}_ID\"\nsecret_access_key_env = \"{variable}_SECRET\"\n")
        })
        .collect();
    fs::write(&config, tables).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &config);
    for (variable, key) in [("ONE", Key::Other), ("TWO", Key::Root)] {
        sandbox.set(&format!("{variable}_ID"), key.id()).set(&format!("{variable}_SECRET"), key.secret());
    }
    sandbox
}

#[test]
fn a_pointer_kit_opens_the_backups_on_a_bare_machine_and_does_not_go_stale() {
    let Some(weed) = Weed::start() else { return };
    let sandbox = ready();
    let (one, two) = (cell(&weed, BUCKET_PLAIN, "one"), cell(&weed, BUCKET_VERSIONED, "two"));
    let made = sandbox.run(&["init", "--no-kit", "--seal-cell", &one, "--seal-cell", &two, "--json"]).exits(0).json();
    assert_eq!(made["cells"].as_array().unwrap().len(), 2);
    let text = super::night(1);
    super::back_up(&sandbox, &text).exits(0);
    let issued = sandbox.run(&["kit", "issue", "--pointer", "--kit-file", "sheet", "--json"]).exits(0).json();
    assert_eq!((issued["kit"].as_u64(), issued["identity_sheet_file"].is_null()), (Some(1), true));
    let sheet = fs::read_to_string(sandbox.path("sheet")).unwrap();
    assert!(!sheet.contains(&Key::Root.secret()), "secrets are words");
    let words =
        sheet.lines().rfind(|line| line.starts_with("check")).unwrap().trim_start_matches("check").trim().to_owned();
    sandbox.run(&["kit", "ack", "1", "--checksum", "acorn actor agent alarm"]).exits(15);
    sandbox.run(&["kit", "ack", "1", "--checksum", &words]).exits(0);
    let status = sandbox.run(&["seal", "status", "--json"]).exits(0).json();
    assert_eq!((status["holders_verified"].as_u64(), status["ok"].as_bool()), (Some(2), Some(true)), "{status}");
    assert_eq!(status["pointer_kits"][0]["verified"], true);

    // The seal changes twice; the sheet is the same, and the machine has nothing but it, the identity and the repository.
    for _ in 0..2 {
        assert_eq!(sandbox.run(&["seal", "rotate", "--json"]).exits(0).json()["state"], "closed");
    }
    let versions = weed.client(Key::Root).versions(BUCKET_VERSIONED, "cell/seal/");
    assert_eq!(versions.len(), 1, "no version of an old seal is left: {versions:?}");
    let mut bare = Sandbox::new();
    bare.set("LACRE_REPO", sandbox.repository());
    let identity = crate::commands::keys_of(&sandbox).join("identity.txt");
    fs::copy(identity, bare.path("identity")).unwrap();
    fs::write(bare.path("typed"), sheet.to_lowercase()).unwrap();
    let refused = bare.run(&["--identity", "identity", "restore", "latest", "--stdout"]).exits(2);
    assert!(refused.stderr.contains("[credential.one]") && refused.stderr.contains("--kit"), "{}", refused.stderr);
    let restored = bare.run(&["--identity", "identity", "restore", "latest", "--stdout", "--kit", "typed"]).exits(0);
    assert!(restored.stdout == text, "other bytes came out");
    // A sheet with keys that were changed since leads nowhere, and says so.
    let wrong: String =
        sheet.lines().filter(|line| !line.starts_with("repository")).map(|line| format!("{line}\n")).collect();
    fs::write(bare.path("typed"), wrong).unwrap();
    let refused = bare.run(&["--identity", "identity", "restore", "latest", "--stdout", "--kit", "typed"]).exits(2);
    assert!(refused.stderr.contains("repository"), "{}", refused.stderr);
}

#[test]
fn a_cell_in_the_repositorys_bucket_or_behind_its_keys_is_refused() {
    let Some(weed) = Weed::start() else { return };
    let mut sandbox = ready();
    super::point(&mut sandbox, weed.port(), BUCKET_PLAIN, "lacre");
    super::show_role(&mut sandbox, Key::Admin);
    sandbox.set("ONE_ID", Key::Admin.id()).set("ONE_SECRET", Key::Admin.secret());
    let refused = sandbox.run(&["init", "--no-kit", "--seal-cell", &cell(&weed, BUCKET_PLAIN, "two")]).exits(15);
    assert!(refused.stderr.contains("repository's own bucket"), "{}", refused.stderr);
    let refused = sandbox.run(&["init", "--no-kit", "--seal-cell", &cell(&weed, BUCKET_VERSIONED, "one")]).exits(15);
    assert!(refused.stderr.contains("repository's own keys"), "{}", refused.stderr);
    sandbox.run(&["init", "--no-kit", "--seal-cell", &cell(&weed, BUCKET_VERSIONED, "two")]).exits(0);
    // Two buckets behind one key are lost together.
    let refused = sandbox.run(&["seal", "add-cell", &cell(&weed, BUCKET_PLAIN, "two")]).exits(15);
    assert!(refused.stderr.contains("repository's own bucket"), "{}", refused.stderr);
    let text = super::night(2);
    super::back_up(&sandbox, &text).exits(0);
    super::newest_is(&sandbox, &text);
    // Without the cell's keys nothing opens, and what is missing is named.
    sandbox.unset("TWO_ID");
    let refused = sandbox.run(&["cat", "latest:a", "data"]).exits(2);
    assert!(refused.stderr.contains("TWO_ID"), "{}", refused.stderr);
    super::back_up(&sandbox, &super::night(3)).exits(0);
}
