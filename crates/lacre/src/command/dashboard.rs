//! `lacre dashboard`: the report served live on the loopback, with what is running on this host.
//!
//! One thread looks at the store and may wait for it as long as it likes; others answer. A look that fails leaves the page of the one
//! before, and says so above it.

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use lacre_repo::op::snapshots::SnapshotState;

use super::{
    operate::Copies,
    report::{Gathered, nonce},
};
use crate::{
    cli::DashboardArgs,
    error::CliError,
    exit::Exit,
    http::{self, Answer, Request, Site},
    invocation::Invocation,
    lang::Lang,
    output::DashboardResult,
    report::{
        self, Kind,
        live::{Live, Shown, Trouble},
    },
    run::shown::{self, Running},
    term::{Talk, Terminal},
    vault::Vault,
};

/// How often signals and running commands are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// The least time between two looks at the store.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(2);

/// What a look left.
struct Seen {
    look: u64,
    at: Timestamp,
    gathered: Arc<Gathered>,
}

/// What the threads share.
struct Board {
    invocation: Invocation,
    /// This host's own folder of the repository, in which commands show themselves.
    home: PathBuf,
    lang: Lang,
    copies: Copies,
    seen: Mutex<Seen>,
    trouble: Mutex<Option<Trouble>>,
    failed: Mutex<u64>,
}

/// Serves until SIGTERM.
///
/// # Errors
/// Those of the vault at the first look; [`crate::error::Kind::Io`] when the address is taken.
pub(super) fn run(invocation: &Invocation, args: &DashboardArgs) -> Result<Exit, CliError> {
    let copies = if args.no_copies { Copies::Left } else { Copies::Looked };
    let (home, gathered) = {
        let vault = Vault::open(invocation)?;
        (vault.repository.home().directory().to_owned(), Arc::new(Gathered::look(&vault, copies)?))
    };
    let seen = Mutex::new(Seen { look: 1, at: gathered.status.now, gathered });
    // Warnings about files were given above; a look every minute need not repeat them.
    let looking = Terminal { talk: Talk::Quiet, ..invocation.terminal };
    let quiet = Invocation { terminal: looking, ..invocation.clone() };
    let board = Arc::new(Board {
        invocation: quiet,
        home,
        lang: args.lang,
        copies,
        seen,
        trouble: Mutex::default(),
        failed: Mutex::default(),
    });
    let fail = |error: std::io::Error| {
        CliError::io(format!("cannot listen on {}", args.listen), &error)
            .hint("another dashboard may be running; --listen 127.0.0.1:0 takes any free port")
    };
    let listener = TcpListener::bind(args.listen).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    invocation.terminal.say(&format!("listening on http://{local}/ until SIGTERM or Ctrl-C"));
    let over = Arc::new(AtomicBool::new(false));
    let (wake, woken) = mpsc::sync_channel(1);
    let (looking, every) = (Arc::clone(&board), args.every);
    // Nobody waits for this thread: it only reads, and a store that does not answer must not hold the end up.
    drop(thread::spawn(move || looking.follow(&woken, every)));
    let (serving, ended) = (Arc::clone(&board), Arc::clone(&over));
    let server = thread::spawn(move || http::serve(&listener, &*serving, &ended));
    let mut before = board.running();
    while !invocation.interrupt.raised() {
        thread::sleep(PAUSE);
        let now = board.running();
        if before.iter().any(|one| !now.iter().any(|other| one.is_same(other))) {
            // A look that is asked for already serves for this end, too.
            let _asked_already = wake.try_send(());
        }
        before = now;
    }
    over.store(true, Ordering::Relaxed);
    // The thread ends within its pause; that it panicked would be a bug of a page, not of the backups.
    drop(server.join());
    let document = DashboardResult { looks: board.with_seen(|seen| seen.look), looks_failed: *lock(&board.failed) };
    invocation.print(&document, |out| {
        writeln!(out, "{} looks at the store, {} failed", document.looks, document.looks_failed)
    })?;
    Ok(Exit::Done)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    fn with_seen<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut lock(&self.seen))
    }

    fn running(&self) -> Vec<Running> {
        shown::running(&self.home)
    }

    /// Looks every so often, and whenever a command has ended, until nobody asks any more.
    fn follow(&self, woken: &mpsc::Receiver<()>, every: Duration) {
        while woken.recv_timeout(every) != Err(RecvTimeoutError::Disconnected) {
            match self.look() {
                Ok(gathered) => {
                    self.with_seen(|seen| {
                        let at = gathered.status.now;
                        *seen = Seen { look: seen.look + 1, at, gathered: Arc::new(gathered) };
                    });
                    *lock(&self.trouble) = None;
                }
                Err(error) => {
                    *lock(&self.failed) += 1;
                    let hint = error.hints().first().cloned();
                    *lock(&self.trouble) = Some(Trouble { at: Timestamp::now(), message: error.message(), hint });
                }
            }
            thread::sleep(LOOK_PAUSE_MIN.min(every));
        }
    }

    /// Opens the repository for one look: a disk that was put in the place of another is seen as what it is, one that is to be
    /// unmounted is not held, and a configuration that was edited counts.
    fn look(&self) -> Result<Gathered, CliError> {
        Gathered::look(&Vault::open(&self.invocation)?, self.copies)
    }

    /// What changes while a page is looked at.
    fn live(&self, seen: &Seen) -> Live {
        let usual = |job: &str| {
            let rows = seen.gathered.status.rows.iter().rev();
            let mut labels = rows.filter(|row| row.state == SnapshotState::Live).filter_map(|row| row.label.as_ref());
            labels.find(|label| label.job.as_str() == job).map(|label| label.bytes)
        };
        let shown = |running: Running| Shown { usual_bytes: running.job.as_deref().and_then(usual), running };
        Live {
            look: seen.look,
            seen: seen.at,
            trouble: lock(&self.trouble).clone(),
            running: self.running().into_iter().map(shown).collect(),
            now: Timestamp::now(),
        }
    }

    fn page(&self, seen: &Seen) -> Result<Answer, CliError> {
        let (live, nonce) = (self.live(seen), nonce()?);
        let facts = seen.gathered.facts(self.lang, None);
        let kind = Kind::Live(&live);
        let policy = format!("{}; frame-ancestors 'none'", report::policy(kind, &nonce));
        let mut answer = html(report::page(&facts, kind, &nonce));
        answer.headers.push(("content-security-policy", policy));
        Ok(answer)
    }
}

/// Markup, with what keeps other pages from using it.
fn html(body: String) -> Answer {
    let headers = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    Answer {
        status: "200 OK",
        kind: "text/html; charset=utf-8",
        headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        body,
    }
}

impl Site for Board {
    fn answer(&self, request: &Request) -> Answer {
        if !request.is_for_loopback() {
            return Answer::text(
                "421 Misdirected Request",
                "this is only for requests to the loopback by its own name\n",
            );
        }
        // A copy of what was seen: an answer does not keep a look waiting.
        let seen = self.with_seen(|seen| Seen { look: seen.look, at: seen.at, gathered: Arc::clone(&seen.gathered) });
        match request.path.as_str() {
            "/" => {
                self.page(&seen).unwrap_or_else(|error| Answer::text("503 Service Unavailable", format!("{error}\n")))
            }
            "/live" => {
                let mut answer = html(self.live(&seen).fragment(self.lang, &TimeZone::system()).into_string());
                answer.headers.push(("lacre-look", seen.look.to_string()));
                answer
            }
            _ => Answer::text("404 Not Found", "there is / and /live\n"),
        }
    }
}
