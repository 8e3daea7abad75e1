//! Bad days: programs and servers that fail at the worst moment.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lacre::driver::postgres::error::Error;
use lacre::driver::postgres::report::Watch;
use lacre::driver::postgres::restore::{Choice, Ready, Veto, plan};
use lacre::driver::postgres::target::Target;

use super::memory::{Ear, Memory, dump, dump_watched, environment, permissive, quiet, restore, target};
use crate::support::cluster::{Cluster, test_dir};

/// A folder with the real programs, and a `pg_dump` that does something else once it is not asked for its version.
fn fake_tools(cluster: &Cluster, folder: &Path, version: &str, script: &str) {
    for tool in ["pg_dumpall", "pg_restore"] {
        std::os::unix::fs::symlink(cluster.tools().join(tool), folder.join(tool)).unwrap();
    }
    let real = cluster.tools().join("pg_dump");
    let text = format!(
        "#!/bin/sh\nreal={}\nif [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) {version}'; exit 0; fi\n{script}\n",
        real.display()
    );
    let path = folder.join("pg_dump");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_fake(cluster: &Cluster, version: &str, script: &str) -> Result<Memory, Error> {
    let folder = test_dir("bin");
    // pg_dumpall looks for a pg_dump of its own version beside its real self.
    fake_tools(cluster, folder.path(), version, script);
    let bin = folder.path().to_str().unwrap().to_owned();
    let target = Target::resolve(&cluster.socket_url("d"), &environment(&[("LACRE_PG_BIN", &bin)])).unwrap();
    dump(&target).map(|(memory, _)| memory)
}

fn filled() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select n, repeat(md5(n::text), 8) as m from generate_series(1, 40000) n; create table u (id int primary key); insert into u select generate_series(1, 10)");
    cluster
}

#[test]
fn what_pg_dump_can_do_wrong_has_a_name_each() {
    let cluster = filled();
    let check = |script: &str| with_fake(&cluster, "15.99", script).err().unwrap();
    let nothing = check("exit 0");
    assert!(matches!(nothing, Error::DumpEmpty { .. }), "{nothing}");
    let truncated = check("\"$real\" \"$@\" | head -c 1000000; exit 0");
    assert!(matches!(&truncated, Error::DumpTruncated { bytes, .. } if *bytes == 1_000_000), "{truncated}");
    let garbage = check("echo 'this is no archive at all, sorry'; exit 0");
    assert!(matches!(&garbage, Error::Garbage { why, .. } if why.contains("this is no archi")), "{garbage}");
    let trailing = check("\"$real\" \"$@\"; echo more");
    assert!(matches!(trailing, Error::Garbage { .. }), "{trailing}");
    let late = check("\"$real\" \"$@\"; echo 'pg_dump: error: disk on fire' >&2; exit 3");
    assert!(
        matches!(&late, Error::ToolFailed { status, stderr, .. } if status == "exit status 3" && stderr.contains("disk on fire")),
        "{late}"
    );
    let killed = check("\"$real\" \"$@\" | head -c 2000000; kill -9 $$");
    assert!(matches!(&killed, Error::ToolFailed { status, .. } if status == "killed by signal 9"), "{killed}");
    let old = with_fake(&cluster, "14.2", "exit 0").err().unwrap();
    assert!(matches!(&old, Error::ClientTooOld { client, server_major: 15, .. } if client == "14.2"), "{old}");
    assert!(old.hint().unwrap().contains("postgresql-client-15"));
    let flood = check("yes 'pg_dump: error: again' | head -c 3000000 >&2; exit 1");
    assert!(matches!(&flood, Error::ToolFailed { stderr, .. } if stderr.len() < 1000), "{flood}");
}

#[test]
fn an_archive_of_an_unknown_version_is_kept_whole() {
    let cluster = filled();
    let script = "printf 'PGDMP\\001\\077\\000\\004\\010\\001'; head -c 100000 /dev/zero";
    let memory = with_fake(&cluster, "15.99", script).unwrap();
    assert_eq!(memory.bytes("archive").len(), 100_011);
    assert!(!memory.streams.iter().any(|stream| stream.name == "toc"));
    assert_eq!(memory.facts["archive.form"], "opaque");
    let error = restore(&target(&cluster.socket_url("x")), &memory, permissive()).unwrap_err();
    assert!(matches!(error, Error::NotRestorable(_)), "{error}");
}

#[test]
fn a_server_that_dies_mid_dump_is_told_from_a_program_that_fails() {
    let mut cluster = filled();
    let postmaster =
        cluster.sql("postgres", "select pg_read_file('postmaster.pid', 0, 20)").lines().next().unwrap().to_owned();
    // The dump gets halfway, the server dies with all its processes (one left alone may end its work first), the dump goes on.
    let script = format!(
        "(\"$real\" \"$@\"; echo $? > \"$0.status\") | (head -c 1000000; kill -9 {postmaster} $(cat /proc/{postmaster}/task/{postmaster}/children); cat); exit $(cat \"$0.status\")"
    );
    let error = with_fake(&cluster, "15.99", &script).err().unwrap();
    assert!(matches!(error, Error::ServerGone { .. }), "{error}");
    cluster.crash();
    let error = dump(&target(&cluster.socket_url("d"))).err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[test]
fn an_interrupted_dump_kills_the_whole_group() {
    let cluster = filled();
    let folder = test_dir("bin");
    fake_tools(
        &cluster,
        folder.path(),
        "15.99",
        "\"$real\" \"$@\" | head -c 1000000; sleep 600 & echo $! > \"$0.sleep\"; wait",
    );
    let target =
        Target::resolve(&cluster.socket_url("d"), &environment(&[("LACRE_PG_BIN", folder.path().to_str().unwrap())]))
            .unwrap();
    let ear = Arc::new(Ear::default());
    let watch: Arc<dyn Watch> = ear.clone();
    let sleeper = folder.path().join("pg_dump.sleep");
    let stopper = std::thread::spawn(move || {
        while !sleeper.exists() {
            std::thread::yield_now();
        }
        ear.stop.store(true, Ordering::SeqCst);
        sleeper
    });
    let error = dump_watched(&target, &watch).err().unwrap();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
    let pid = std::fs::read_to_string(stopper.join().unwrap()).unwrap();
    // Killed is not gone: the kernel takes a moment, and longer if nobody collects the orphan.
    let alive =
        || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    while alive() {
        std::thread::yield_now();
    }
}

#[test]
fn a_damaged_stream_leaves_nothing_behind() {
    let cluster = filled();
    let (mut memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    memory.damaged = Some("public.t".to_owned());
    let before = cluster.tables("d");
    let error = restore(&target(&cluster.socket_url("d")), &memory, permissive()).unwrap_err();
    assert!(
        matches!(&error, Error::Stopped { left: None, source, .. } if matches!(source.as_ref(), Error::Source { stream, .. } if stream == "public.t")),
        "{error:?}"
    );
    assert_eq!(cluster.tables("d"), before);
    assert!(!cluster.has_database("d_lacre_0badcafe"));
}

#[test]
fn a_server_that_dies_mid_restore_leaves_only_a_side_database() {
    let mut cluster = filled();
    let (mut memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    let postmaster =
        cluster.sql("postgres", "select pg_read_file('postmaster.pid', 0, 20)").lines().next().unwrap().to_owned();
    memory.on_read = Some(Box::new(move |name| {
        if name == "public.t" {
            assert!(std::process::Command::new("kill").args(["-9", &postmaster]).status().unwrap().success());
        }
    }));
    let error = restore(&target(&cluster.socket_url("d")), &memory, permissive()).unwrap_err();
    assert!(matches!(&error, Error::Stopped { left: Some(side), .. } if side == "d_lacre_0badcafe"), "{error:?}");
    assert!(error.hint().unwrap().contains("d_lacre_0badcafe"));
    cluster.crash();
    cluster.restart();
    assert!(cluster.has_database("d_lacre_0badcafe"));
    // The next restore of the same snapshot takes the abandoned name over.
    memory.on_read = None;
    let report = restore(&target(&cluster.socket_url("d")), &memory, permissive()).unwrap();
    assert!(report.findings.iter().any(|finding| finding.object == "d_lacre_0badcafe"), "{:?}", report.findings);
    assert!(!cluster.has_database("d_lacre_0badcafe"));
    assert_eq!(report.kept.as_deref(), Some("d_before_20261122T231500Z"));
}

#[test]
fn an_interrupted_restore_leaves_nothing_behind() {
    let cluster = filled();
    let (memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    let ear = Arc::new(Ear::default());
    *ear.stop_at.lock().unwrap() = Some("public.t".to_owned());
    let watch: Arc<dyn Watch> = ear;
    let made = plan(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap();
    let error = made.execute(&watch, &mut |_| Ok(())).unwrap_err();
    assert!(
        matches!(&error, Error::Stopped { source, left: None, .. } if matches!(source.as_ref(), Error::Cancelled(_))),
        "{error:?}"
    );
    assert!(!cluster.has_database("new"));
    assert!(!cluster.has_database("new_lacre_0badcafe"));
}

#[test]
fn rows_that_are_not_the_saved_rows_are_never_shown() {
    let cluster = filled();
    let (mut memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    for stream in &mut memory.streams {
        if stream.name == "public.u" {
            stream.rows.count = Some(11);
        }
    }
    let error = restore(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap_err();
    assert!(
        matches!(&error, Error::RowsDiffer { side, what } if side == "new_lacre_0badcafe" && what.contains("public.u")),
        "{error:?}"
    );
    assert!(!cluster.has_database("new"));
    assert!(cluster.has_database("new_lacre_0badcafe"));
    // A complete one that was kept for a look is never removed by a later restore.
    for stream in &mut memory.streams {
        if stream.name == "public.u" {
            stream.rows.count = Some(10);
        }
    }
    restore(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap();
    assert!(cluster.has_database("new_lacre_0badcafe"));
    assert!(cluster.has_database("new"));
}

#[test]
fn the_last_look_can_say_no() {
    let cluster = filled();
    let (memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    let made = plan(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap();
    let looked = &mut |ready: &Ready| Err(Veto::Keep(format!("{} fails a query", ready.database)));
    let error = made.execute(&quiet(), looked).unwrap_err();
    assert!(matches!(&error, Error::Vetoed { why, .. } if why == "new fails a query"), "{error:?}");
    assert!(!cluster.has_database("new") && cluster.has_database("new_lacre_0badcafe"));
}

#[test]
fn what_nobody_may_have_any_more_is_removed_or_named() {
    let cluster = filled();
    let (memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    let made = plan(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap();
    let error = made.execute(&quiet(), &mut |_| Err(Veto::Remove("it was erased".to_owned()))).unwrap_err();
    assert!(matches!(&error, Error::Withdrawn { left: None, .. }), "{error:?}");
    assert!(error.to_string().ends_with("must not be shown, and was removed: it was erased"), "{error}");
    assert_eq!(error.hint(), None);
    assert!(!cluster.has_database("new") && !cluster.has_database("new_lacre_0badcafe"));
    // A server that does not let go of it: the command that does stands there.
    let made = plan(&target(&cluster.socket_url("new")), &memory, permissive()).unwrap();
    let looked = &mut |ready: &Ready| {
        cluster.sql("postgres", &format!("alter database {} is_template true", ready.side));
        Err(Veto::Remove("it was erased".to_owned()))
    };
    let error = made.execute(&quiet(), looked).unwrap_err();
    assert!(error.to_string().contains("could not be removed") && error.to_string().ends_with(": it was erased"));
    assert!(error.hint().is_some_and(|hint| hint.ends_with("dropdb \"new_lacre_0badcafe\"")), "{error:?}");
    assert!(!cluster.has_database("new") && cluster.has_database("new_lacre_0badcafe"));
}

#[test]
fn what_nobody_asked_for_is_refused_before_anything_happens() {
    let cluster = filled();
    let (memory, _) = dump(&target(&cluster.socket_url("d"))).unwrap();
    let refused =
        |database: &str, options| plan(&target(&cluster.socket_url(database)), &memory, options).err().unwrap();
    let filled_target =
        refused("d", lacre::driver::postgres::restore::RestoreOptions { swap: Choice::Refuse, ..permissive() });
    assert!(
        matches!(&filled_target, Error::TargetNotEmpty { contents, .. } if contents.starts_with("2 tables")),
        "{filled_target}"
    );
    let missing =
        refused("new", lacre::driver::postgres::restore::RestoreOptions { create: Choice::Refuse, ..permissive() });
    assert!(matches!(missing, Error::TargetMissing { .. }), "{missing}");
    cluster.sql("postgres", "create role weak login");
    let url = cluster.socket_url("new").replace("postgres@", "weak@");
    let weak = plan(&target(&url), &memory, permissive()).err().unwrap();
    assert!(matches!(weak, Error::NotAllowed { .. }), "{weak}");
}
