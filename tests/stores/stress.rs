//! Eight writers, retention and garbage collection at once, over a server and a network that keep failing.
//!
//! A quarter of a minute in the gate; `LACRE_STRESS_SECONDS=600` by hand. What is acknowledged is never lost, and in the end nothing is
//! damaged. The seed of the faults is printed when it fails (`LACRE_TEST_SEED`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use lacre_test_bucket::{BUCKET_PLAIN, Effect, Key, Proxy, Rule, Weed};

use super::{in_bucket, point};
use crate::support::sandbox::Sandbox;
use crate::support::seed::Seed;

const WRITERS: u32 = 8;
const SECONDS: u64 = 15;
/// Snapshots of a job that retention keeps.
const KEPT: usize = 2;

/// One acknowledged snapshot: its id and what was backed up.
type Acknowledged = (String, Vec<u8>);

struct Arena {
    sandbox: Sandbox,
    proxy: Proxy,
    until: Instant,
    /// Writers read it while they run; who kills the server waits until nobody is in the middle of being judged.
    acknowledged: Mutex<BTreeMap<u32, Vec<Acknowledged>>>,
    killed: Mutex<[u32; 3]>,
    done: AtomicBool,
    server: RwLock<Weed>,
}

impl Arena {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.done.load(Ordering::SeqCst)
    }

    /// One backup after the other of one job; a fifth of them are killed on the way.
    fn write(&self, writer: u32, mut seed: Seed) {
        let (file, job) = (format!("dump{writer}"), format!("job{writer}"));
        let source = format!("{job}={file}");
        let mut text = seed.bytes(60_000);
        while self.goes_on() {
            text.extend(seed.bytes(20_000));
            text.truncate(200_000);
            let at = seed.index(text.len());
            text[at] ^= 1;
            fs::write(self.sandbox.path(&file), &text).unwrap();
            let arguments = ["backup", "--file", &source, "--allow-shrink", "--json"];
            if seed.below(5) == 0 {
                let after = Duration::from_millis(seed.below(900));
                let run = self.sandbox.run_killed(&arguments, after);
                self.killed.lock().unwrap()[0] += u32::from(run.was_killed());
                continue;
            }
            let run = self.sandbox.run(&arguments);
            match run.status.code() {
                Some(0 | 3) => {
                    let document = run.json();
                    let snapshot = snapshot_of(&document).unwrap_or_else(|| panic!("{document}")).to_owned();
                    self.acknowledged.lock().unwrap().entry(writer).or_default().push((snapshot, text.clone()));
                }
                // Conflicts and a store that is away are answers; damage, a bug or a refusal are not.
                Some(11 | 13) => {}
                code => panic!("writer {writer} ended with {code:?}: {}", run.stderr),
            }
        }
    }

    /// Retention, and garbage collection where this version has it.
    fn keep_house(&self, mut seed: Seed) {
        let prunes = self.sandbox.run(&["repo", "prune", "--help"]).status.success();
        while self.goes_on() {
            let kept = KEPT.to_string();
            let commands: [&[&str]; 2] = [&["forget", "--keep-last", &kept], &["repo", "prune"]];
            for arguments in commands.iter().take(1 + usize::from(prunes)) {
                if seed.below(4) == 0 {
                    let run = self.sandbox.run_killed(arguments, Duration::from_millis(seed.below(900)));
                    self.killed.lock().unwrap()[1] += u32::from(run.was_killed());
                    continue;
                }
                let run = self.sandbox.run(arguments);
                let code = run.status.code();
                assert!(matches!(code, Some(0 | 3 | 11 | 13)), "{} ended with {code:?}: {}", run.command, run.stderr);
            }
        }
    }

    /// Faults, and a server that dies.
    fn break_things(&self, mut seed: Seed) {
        while self.goes_on() {
            thread::sleep(Duration::from_millis(50 + seed.below(300)));
            let effect = match seed.below(9) {
                0 => Effect::Refuse { status: 503, code: "SlowDown" },
                1 => Effect::RefuseAfter { status: 500, code: "InternalError" },
                2 => Effect::Close,
                3 => Effect::AnswerLost,
                4 => Effect::Twice,
                5 => Effect::Late,
                6 => Effect::Cut { bytes: seed.index(100) },
                7 => Effect::Slow { piece_bytes: 1_000, pause: Duration::from_millis(1) },
                _ => {
                    let mut server = self.server.write().unwrap();
                    server.kill();
                    thread::sleep(Duration::from_millis(seed.below(500)));
                    server.restart();
                    self.killed.lock().unwrap()[2] += 1;
                    continue;
                }
            };
            self.proxy.rule(Rule::new(effect).nth(1 + seed.below(8)).times(1 + seed.below(2)));
            if seed.below(3) == 0 {
                self.proxy.deliver_late();
            }
            if seed.below(10) == 0 {
                self.proxy.heal();
            }
        }
    }

    /// What was promised, over a way that is whole again.
    fn judge(mut self) {
        self.proxy.heal();
        self.proxy.deliver_late();
        let port = self.server.read().unwrap().port();
        point(&mut self.sandbox, port, BUCKET_PLAIN, "lacre");
        let acknowledged = self.acknowledged.into_inner().unwrap();
        let document = self.sandbox.run(&["snapshots", "--json"]).exits(0).json();
        let live: Vec<&str> = document["snapshots"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["state"] == "live")
            .map(|row| row["snapshot"].as_str().unwrap())
            .collect();
        for (writer, snapshots) in &acknowledged {
            let (last, _) = snapshots.last().unwrap();
            assert!(live.contains(&last.as_str()), "the newest acknowledged snapshot of job{writer}, {last}, is gone");
            for (snapshot, text) in snapshots.iter().filter(|(snapshot, _)| live.contains(&snapshot.as_str())) {
                let read = self.sandbox.run(&["cat", snapshot, "data"]).exits(0);
                assert!(read.stdout == *text, "{snapshot} of job{writer} came back as other bytes");
            }
        }
        let checked = self.sandbox.run(&["check", "--read-data"]);
        assert!(matches!(checked.status.code(), Some(0 | 3)), "{}\n{}", checked.text(), checked.stderr);
        let total: usize = acknowledged.values().map(Vec::len).sum();
        let killed = self.killed.into_inner().unwrap();
        let [writers, housekeepers, servers] = killed;
        let said = format!(
            "{total} acknowledged; killed: {writers} writers, {housekeepers} housekeepers, {servers} servers\n"
        );
        std::io::stderr().lock().write_all(said.as_bytes()).unwrap();
        assert!(total > 0, "nothing was ever acknowledged");
    }
}

/// The snapshot in the result of a backup of one job.
fn snapshot_of(document: &serde_json::Value) -> Option<&str> {
    document["snapshot"].as_str().or_else(|| document["jobs"][0]["snapshot"].as_str())
}

#[test]
fn what_is_acknowledged_is_never_lost() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let seconds = std::env::var("LACRE_STRESS_SECONDS").ok().map_or(SECONDS, |text| text.parse().expect("a number"));
    let mut seed = Seed::new(3);
    let arena = Arena {
        sandbox,
        proxy,
        until: Instant::now() + Duration::from_secs(seconds),
        acknowledged: Mutex::default(),
        killed: Mutex::default(),
        done: AtomicBool::new(false),
        server: RwLock::new(weed),
    };
    let ended: Vec<thread::Result<()>> = thread::scope(|scope| {
        let arena = &arena;
        let mut threads = Vec::new();
        for writer in 0..WRITERS {
            let seed = seed.split();
            threads.push(scope.spawn(move || arena.write(writer, seed)));
        }
        let (house, storm) = (seed.split(), seed.split());
        threads.push(scope.spawn(move || arena.keep_house(house)));
        threads.push(scope.spawn(move || arena.break_things(storm)));
        let ended = threads.into_iter().map(|thread| {
            let ended = thread.join();
            if ended.is_err() {
                arena.done.store(true, Ordering::SeqCst);
            }
            ended
        });
        ended.collect()
    });
    for thread in ended {
        if let Err(panic) = thread {
            std::panic::resume_unwind(panic);
        }
    }
    arena.judge();
}
