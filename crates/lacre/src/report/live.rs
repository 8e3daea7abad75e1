//! What changes while a page is looked at: the jobs that are running now, and whether the last look worked.
//!
//! In: what running commands publish on this host, and how the last look at the store went. Out: the strip above the page.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    html::{Markup, html},
    ratio,
};
use crate::{human, lang::Lang, run::shown::Running};

/// The state of a live page.
#[derive(Clone, Debug)]
pub struct Live {
    /// Counts looks at the store: another number, another page.
    pub look: u64,
    /// When the store was last seen.
    pub seen: Timestamp,
    /// Why the look after that one failed, if it did.
    pub trouble: Option<Trouble>,
    /// What is running.
    pub running: Vec<Shown>,
    /// Now.
    pub now: Timestamp,
}

/// A look that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// When.
    pub at: Timestamp,
    /// What the program said.
    pub message: String,
    /// The next command.
    pub hint: Option<String>,
}

/// A running command, and how much it will be if it is as last time.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What it published.
    pub running: Running,
    /// Bytes of the job's newest snapshot.
    pub usual_bytes: Option<u64>,
}

impl Live {
    /// The strip.
    pub fn fragment(&self, lang: Lang, zone: &TimeZone) -> Markup {
        let mut out = Markup::new();
        if let Some(trouble) = &self.trouble {
            let since = lang.time(self.seen, zone);
            let told = lang.pick(
                "The repository cannot be looked at; this page is of ",
                "O repositório não pode ser visto; esta página é de ",
            );
            html!(out, "<div class=\"trouble\" role=\"alert\"><p><b>", told, since, ".</b> <span lang=\"en\">");
            html!(out, trouble.message, "</span></p>");
            if let Some(hint) = &trouble.hint {
                html!(out, "<p><code>", hint, "</code></p>");
            }
            out.raw("</div>");
        }
        if self.running.is_empty() {
            let seen = lang.ago(self.seen, self.now);
            let told = lang.pick(
                format!("Nothing is running. The store was seen {seen}."),
                format!("Nada em execução. Repositório visto {seen}."),
            );
            html!(out, "<p class=\"idle\">", told, "</p>");
        }
        for shown in &self.running {
            out.add(&self.one(lang, zone, shown));
        }
        out
    }

    fn one(&self, lang: Lang, zone: &TimeZone, shown: &Shown) -> Markup {
        let Running { what, job, started, bytes, rows, bytes_total, .. } = &shown.running;
        let what = lang.pick(what.as_str(), word(what));
        let took = Duration::try_from(self.now.duration_since(*started)).unwrap_or_default();
        let mut facts = vec![
            lang.pick(format!("since {}", lang.time(*started, zone)), format!("desde {}", lang.time(*started, zone))),
            lang.duration(took),
            lang.bytes(*bytes),
        ];
        if *rows > 0 {
            facts.push(lang.things(*rows, ["row", "rows"], ["linha", "linhas"]));
        }
        let total = bytes_total.or(shown.usual_bytes).filter(|total| *total > 0);
        let mut out = Markup::new();
        html!(out, "<div class=\"running\"><p><b>", what, job.as_ref().map(|job| format!(" {job}")), "</b> <span>");
        html!(out, facts.join(" · "), "</span></p>");
        if let Some(total) = total {
            let percent = human::whole((ratio(*bytes, total) * 100.0).min(99.0));
            let about = lang.pick("of about ", "de cerca de ");
            html!(out, "<p class=\"how\"><progress max=\"100\" value=\"", percent, "\">", percent, "%</progress> ");
            html!(out, percent, "% <small>", about, lang.bytes(total), "</small></p>");
        } else {
            out.raw("<p class=\"how\"><progress></progress></p>");
        }
        out.raw("</div>");
        out
    }
}

/// The name of a command in Portuguese; the command itself keeps its own.
fn word(what: &str) -> &str {
    match what {
        "backup" => "backup de",
        "drill" => "ensaio",
        "check" => "verificação",
        "copy sync" => "cópias",
        "prune" => "limpeza",
        "restore" => "restauração",
        other => other,
    }
}
