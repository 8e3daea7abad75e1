//! A real PostgreSQL: its archives are taken apart, come back bit-exactly, and what is written is restored by `pg_restore`.
//!
//! The server is started by the test in a temporary folder, on a Unix socket only. Without PostgreSQL the test fails, unless
//! `LACRE_SKIP_POSTGRES=1` is set; `LACRE_PG_BIN` names the folder of its programs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lacre_dump::archive::{Section, write_schema_only};
use lacre_dump::copy::RowCounter;
use lacre_dump::plain::{EndCheck, Format, Piece, Splitter, Verdict};

use crate::parts::{Parts, check_round_trip, take_apart};
use crate::selection::select;

const SCHEMA: &str = include_str!("../vectors/schema.sql");

const MORE: &str = "
CREATE EXTENSION hstore;
CREATE TABLE public.long_rows (id integer, body text);
INSERT INTO public.long_rows SELECT i, repeat(md5(i::text), 32768) FROM generate_series(1, 3) AS i;
CREATE TABLE public.many (id bigint PRIMARY KEY, body text, bytes bytea, tags hstore);
INSERT INTO public.many SELECT i, repeat('b', i % 300), decode(md5(i::text), 'hex'), hstore('k', i::text) FROM generate_series(1, 50000) AS i;
SELECT lo_from_bytea(0, convert_to(repeat('large object ', i * 1000), 'UTF8')) FROM generate_series(0, 20) AS i;
";

/// A running server that stops when dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
}

fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("LACRE_PG_BIN") {
        return folder.into();
    }
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is not installed; set LACRE_PG_BIN, or LACRE_SKIP_POSTGRES=1 to go without")
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output
}

impl Server {
    pub(crate) fn start() -> Option<Server> {
        if std::env::var_os("LACRE_SKIP_POSTGRES").is_some_and(|value| value == "1") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let server = Server { folder, bin: programs() };
        let data = server.path().join("data");
        let options =
            format!("-k {} -c listen_addresses= -c fsync=off -c full_page_writes=off", server.path().display());
        run(server
            .unprivileged("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "--no-sync"])
            .args(["-E", "UTF8", "--locale=C.UTF-8"]));
        let log = server.path().join("log");
        // Output must not be piped: the server would hold the pipe open.
        let started = server
            .unprivileged("pg_ctl")
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-o", &options, "start"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
        Some(server)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A program of PostgreSQL, run as another user if this is root, as the server demands.
    fn unprivileged(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let root = String::from_utf8(run(Command::new("id").arg("-u")).stdout).unwrap().trim() == "0";
        if !root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).current_dir("/");
        command
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-h").arg(self.path()).args(["-U", "postgres"]);
        command
    }

    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let output =
            run(self.client("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn create(&self, database: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
    }

    fn restore(&self, database: &str, arguments: &[&str], archive: &[u8]) {
        let file = self.path().join("restore.dump");
        fs::write(&file, archive).unwrap();
        let output = run(self.client("pg_restore").args(["-e", "-d", database]).args(arguments).arg(&file));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.path().join("data");
        let stopped = self.unprivileged("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "stop"]).output();
        assert!(stopped.is_ok_and(|output| output.status.success()), "the server did not stop");
    }
}

#[test]
fn a_real_database_goes_through_all_paths() {
    let Some(server) = Server::start() else { return };
    server.create("source");
    server.sql("source", SCHEMA);
    server.sql("source", MORE);
    let archive = run(server.client("pg_dump").args(["-Fc", "-Z0", "source"])).stdout;

    // Straight from the pipe, as a backup does it.
    let mut dump = server.client("pg_dump").args(["-Fc", "-Z0", "source"]).stdout(Stdio::piped()).spawn().unwrap();
    let piped = take_apart(dump.stdout.take().unwrap()).unwrap();
    assert!(dump.wait().unwrap().success());

    let parts = check_round_trip(&archive);
    assert_eq!(parts.content, piped.content);
    assert_eq!(parts.framing, piped.framing);
    assert!(parts.framing.len() < 600, "{} bytes of framing", parts.framing.len());
    check_rows(&server, &parts);
    assert_eq!(parts.toc.extensions().map(|entry| entry.tag().to_vec()).collect::<Vec<_>>(), [b"hstore"]);
    assert_eq!(parts.sets.iter().map(|set| set.objects).sum::<u64>(), 24);

    check_cuts(&archive);
    check_schema_only(&server, &parts);
    check_selection(&server, &parts);
    check_plain(&server, &parts);
    check_partitions_via_root(&server);
    check_options(&server);

    // A dump to a file records the places of data, if pg_dump can.
    let file = server.path().join("seekable.dump");
    run(server.client("pg_dump").args(["-Fc", "-Z0", "source", "-f"]).arg(&file));
    check_round_trip(&fs::read(&file).unwrap());
}

fn check_rows(server: &Server, parts: &Parts) {
    let mut tables = 0;
    for table in parts.toc.tables() {
        let mut counter = RowCounter::copy();
        parts.content[&table.entry.dump_id()].chunks(100_000).for_each(|piece| counter.push(piece));
        let copy = table.copy.unwrap();
        let mut name = Vec::new();
        copy.schema.unwrap().quote(&mut name);
        name.push(b'.');
        copy.table.quote(&mut name);
        let count = server.sql("source", &format!("SELECT count(*) FROM ONLY {}", String::from_utf8(name).unwrap()));
        assert_eq!(counter.finish().rows.to_string(), count, "{}", copy.table);
        tables += 1;
    }
    assert_eq!(tables, 8);
}

fn check_cuts(archive: &[u8]) {
    let around_data = archive.len() - 3000..archive.len();
    for end in (0..archive.len()).step_by(archive.len() / 50).chain(around_data.step_by(37)) {
        assert!(take_apart(&archive[..end]).is_err(), "cut at {end}");
    }
}

fn check_schema_only(server: &Server, parts: &Parts) {
    let mut schema = Vec::new();
    write_schema_only(&mut schema, &parts.toc).unwrap();
    server.create("schema_only");
    server.restore("schema_only", &["--section=pre-data"], &schema);
    assert_eq!(server.sql("schema_only", "SELECT count(*) FROM public.many"), "0");
    // The values of sequences belong to the data, and are restored though there are no rows.
    server.restore("schema_only", &["--section=data"], &schema);
    server.restore("schema_only", &["--section=post-data", "-j2"], &schema);
    assert_eq!(server.sql("schema_only", "SELECT users FROM public.totals"), "0");
    assert_eq!(server.sql("schema_only", "SELECT last_value FROM public.events_id_seq"), "4");
    // A list of chosen entries works as well.
    let list = server.path().join("list");
    let table = parts.toc.of_kind(b"TABLE").find(|entry| entry.tag() == b"users").unwrap();
    assert_eq!(table.section(), Section::PreData);
    fs::write(&list, format!("{}; 0 0 TABLE public users postgres\n", table.dump_id())).unwrap();
    server.create("listed");
    server.restore("listed", &["-L", list.to_str().unwrap()], &schema);
    assert_eq!(server.sql("listed", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
}

fn check_selection(server: &Server, parts: &Parts) {
    let id = |name: &[u8]| parts.toc.tables().find(|table| table.name == name).unwrap().entry.dump_id();
    let blobs = parts.toc.large_object_sets().next().unwrap().dump_id();
    let selected = select(parts, &[id(b"users"), id(b"long_rows"), blobs]);
    server.create("chosen");
    server.restore("chosen", &[], &selected);
    assert_eq!(server.sql("chosen", "SELECT count(*) FROM public.users"), "20");
    assert_eq!(server.sql("chosen", "SELECT users FROM public.totals"), "20");
    assert_eq!(server.sql("chosen", "SELECT count(*) FROM public.many"), "0");
    let digest = "SELECT md5(string_agg(body, '' ORDER BY id)) FROM public.long_rows";
    assert_eq!(server.sql("chosen", digest), server.sql("source", digest));
    let objects =
        "SELECT md5(string_agg(m.oid::text || md5(lo_get(m.oid)), ',' ORDER BY m.oid)) FROM pg_largeobject_metadata m";
    assert_eq!(server.sql("chosen", objects), server.sql("source", objects));
    // Everything, with parallel jobs, which need a file they can seek in.
    server.create("everything");
    let all = parts.content.keys().copied().collect::<Vec<_>>();
    server.restore("everything", &["-j2"], &select(parts, &all));
    assert_eq!(server.sql("everything", "SELECT count(*) FROM public.many"), "50000");
}

fn check_plain(server: &Server, parts: &Parts) {
    let dump = run(server.client("pg_dump").args(["-Fp", "source"])).stdout;
    let mut end = EndCheck::new();
    let mut all = Vec::new();
    let mut tables: Vec<Vec<u8>> = Vec::new();
    let mut splitter = Splitter::new();
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Sql(bytes) => all.extend_from_slice(bytes),
        Piece::CopyBegin(_) => tables.push(Vec::new()),
        Piece::Rows(bytes) => {
            all.extend_from_slice(bytes);
            tables.last_mut().unwrap().extend_from_slice(bytes);
        }
        Piece::CopyEnd => {}
    };
    for piece in dump.chunks(65_521) {
        end.push(piece);
        splitter.push(piece, &mut sink);
    }
    assert!(!splitter.finish(&mut sink));
    assert_eq!(end.finish(), (Format::PostgresPlain, Verdict::Complete));
    assert!(all == dump, "the plain dump differs");
    let archived = parts.toc.tables().map(|table| {
        let content = &parts.content[&table.entry.dump_id()];
        content[..content.len() - 5].to_vec()
    });
    assert!(tables == archived.collect::<Vec<_>>(), "plain and archived rows differ");

    let cluster = run(server.client("pg_dumpall").arg("-g")).stdout;
    let mut end = EndCheck::new();
    end.push(&cluster);
    assert_eq!(end.finish(), (Format::PostgresCluster, Verdict::Complete));
}

fn check_partitions_via_root(server: &Server) {
    let arguments = ["-Fc", "-Z0", "--load-via-partition-root", "-t", "events*", "source"];
    let parts = check_round_trip(&run(server.client("pg_dump").args(arguments)).stdout);
    let tables: Vec<_> = parts.toc.tables().collect();
    assert_eq!(tables.len(), 2);
    assert!(tables.iter().all(|table| table.via_root && table.name.starts_with(b"events_202")));
    assert!(tables.iter().all(|table| table.copy.as_ref().unwrap().table.as_bytes() == b"events"));
}

/// Whatever an archive is asked to leave out, what it announces is what it holds.
fn check_options(server: &Server) {
    let options: [&[&str]; 10] = [
        &["--schema-only"],
        &["--data-only"],
        &["--section=pre-data"],
        &["--section=data", "--section=post-data"],
        &["--inserts", "--rows-per-insert=10"],
        &["--exclude-table-data=public.many", "--no-blobs"],
        &["--table=public.users"],
        &["--schema=odd*", "--no-owner"],
        &["--clean", "--create", "--if-exists"],
        &["--disable-triggers", "--data-only", "--quote-all-identifiers"],
    ];
    for option in options {
        let parts = check_round_trip(&run(server.client("pg_dump").args(["-Fc", "-Z0", "source"]).args(option)).stdout);
        for table in parts.toc.tables() {
            let content = &parts.content[&table.entry.dump_id()];
            assert_eq!(table.copy.is_some(), content.ends_with(b"\\.\n\n\n"), "{option:?}");
        }
        assert_eq!(parts.sets.is_empty(), matches!(option[0], "--schema-only" | "--section=pre-data"), "{option:?}");
    }
    for option in [&["--schema-only"][..], &["--inserts"], &["--clean", "--create"]] {
        let dump = run(server.client("pg_dump").arg("source").args(option)).stdout;
        let mut end = EndCheck::new();
        end.push(&dump);
        assert_eq!(end.finish(), (Format::PostgresPlain, Verdict::Complete), "{option:?}");
    }
}
