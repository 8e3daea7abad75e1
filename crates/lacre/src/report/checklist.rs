//! The quarterly checklist that people used to walk through by hand, answered with what is on record.
//!
//! What a machine cannot know stays a question for a person, with what there is to go by.

use std::{borrow::Cow, time::Duration};

use super::{
    Facts, Tone, copies, drills,
    html::{Markup, Table, html},
    moment, pill, runs, section as sectioned,
};
use crate::{cli::value::StoreUrl, config::JobSource, status::Check};

/// A quarter, in days: evidence that is older counts for the last one.
const QUARTER_DAYS: u64 = 92;
/// How far back the runs are looked at, days.
const RUNS_DAYS: u64 = 90;

/// What the record says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done, and it holds.
    Yes,
    /// It was not done, or it does not hold.
    No,
    /// Nobody but a person can say.
    Person,
}

impl Answer {
    /// The answer as JSON spells it.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Person => "person",
        }
    }
}

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Item {
    /// The question.
    pub question: &'static str,
    /// The answer.
    pub answer: Answer,
    /// What it rests on.
    pub evidence: String,
    /// What to type next; none where nothing is left to do.
    pub command: Option<Cow<'static, str>>,
}

/// All questions, in the order of the old page.
pub fn checklist(facts: &Facts<'_>) -> Vec<Item> {
    let rehearsal = Rehearsal::of(facts);
    vec![
        Item {
            question: facts.say("A full restore was run, away from production", "Um restore completo foi executado, fora da produção"),
            answer: rehearsal.answer(),
            evidence: rehearsal.drilled(facts),
            command: rehearsal.command().map(Cow::from),
        },
        Item {
            question: facts.say("All data were restored correctly", "Todos os dados foram restaurados corretamente"),
            answer: rehearsal.answer(),
            evidence: rehearsal.compared(facts),
            command: rehearsal.command().map(Cow::from),
        },
        application(facts),
        Item {
            question: facts.say("Row counts of the main tables were compared", "A contagem de linhas das tabelas principais foi conferida"),
            answer: rehearsal.answer(),
            evidence: counted(facts, &rehearsal),
            command: rehearsal.command().map(Cow::from),
        },
        logs(facts),
        disk(facts),
        elsewhere(facts),
        Item {
            question: facts.say("The procedures are up to date", "A documentação dos procedimentos está atualizada"),
            answer: Answer::Person,
            evidence: facts.say(
                format!("lacre {} prints them with this repository's own names, sizes and times; read one and see whether it is still true of you", env!("CARGO_PKG_VERSION")),
                format!("o lacre {} os imprime com os nomes, tamanhos e tempos deste repositório; leia um e veja se ainda vale para vocês", env!("CARGO_PKG_VERSION")),
            ),
            command: Some("lacre runbook total-loss".into()),
        },
    ]
}

/// What the drills of the quarter prove, job by job.
struct Rehearsal {
    /// Jobs whose newest drill of the quarter passed: name, when, recovery time in ms, tables.
    passed: Vec<(String, String, u64, u64)>,
    /// Jobs that have none, or whose newest did not pass.
    missing: Vec<String>,
}

impl Rehearsal {
    fn of(facts: &Facts<'_>) -> Rehearsal {
        let by_job = drills::by_job(facts);
        let is_database = |job: &&crate::config::Job| matches!(job.source, JobSource::Postgres(_));
        let mut names: Vec<String> =
            facts.settings.jobs.iter().filter(is_database).map(|job| job.name.to_string()).collect();
        if names.is_empty() {
            names.extend(by_job.keys().cloned());
        }
        let mut rehearsal = Rehearsal { passed: Vec::new(), missing: Vec::new() };
        for name in names {
            match by_job.get(&name) {
                Some((at, record)) if record.passed && facts.is_within(*at, days(QUARTER_DAYS)) => {
                    let day = facts.lang.day(*at, &facts.zone);
                    rehearsal.passed.push((name, day, record.rto_ms, record.tables));
                }
                _ => rehearsal.missing.push(name),
            }
        }
        rehearsal
    }

    fn answer(&self) -> Answer {
        if self.missing.is_empty() && !self.passed.is_empty() { Answer::Yes } else { Answer::No }
    }

    fn command(&self) -> Option<&'static str> {
        (self.answer() != Answer::Yes).then_some("lacre drill")
    }

    /// Sentences about the jobs that passed, then those that did not.
    fn told(&self, facts: &Facts<'_>, passed: impl Fn(&(String, String, u64, u64)) -> String) -> String {
        let mut told: Vec<String> = self.passed.iter().map(passed).collect();
        let missing = |name: &String| {
            facts.say(
                format!("{name}: no drill of this quarter passed"),
                format!("{name}: nenhum ensaio aprovado neste trimestre"),
            )
        };
        told.extend(self.missing.iter().map(missing));
        if told.is_empty() {
            told.push(facts.say("no drill is on record", "nenhum ensaio registrado").to_owned());
        }
        told.join("; ")
    }

    fn drilled(&self, facts: &Facts<'_>) -> String {
        self.told(facts, |(name, day, rto, _)| {
            let took = drills::time_of(facts, *rto);
            facts.say(
                format!("{name}: drill of {day} passed, {took} until the database could be used"),
                format!("{name}: ensaio de {day} aprovado, {took} até o banco poder ser usado"),
            )
        })
    }

    fn compared(&self, facts: &Facts<'_>) -> String {
        self.told(facts, |(name, day, _, tables)| {
            let tables = facts.lang.things(*tables, ["table", "tables"], ["tabela", "tabelas"]);
            facts.say(
                format!("{name}: on {day} rows and digests of {tables} were those that had been dumped"),
                format!("{name}: em {day}, linhas e resumos de {tables} eram os que haviam sido salvos"),
            )
        })
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn application(facts: &Facts<'_>) -> Item {
    let queries =
        facts.settings.drill.critical.len() + facts.settings.jobs.iter().map(|job| job.critical.len()).sum::<usize>();
    let asked =
        facts.lang.things(queries, ["critical query", "critical queries"], ["consulta crítica", "consultas críticas"]);
    Item {
        question: facts.say("The application works with restored data", "A aplicação funciona com dados restaurados"),
        answer: Answer::Person,
        evidence: match queries {
            0 => facts.say(
                "no critical query is configured; point the application at a restored database and try it".to_owned(),
                "nenhuma consulta crítica configurada; aponte a aplicação para um banco restaurado e experimente"
                    .to_owned(),
            ),
            _ => facts.say(
                format!("each drill asks {asked} of yours; the application itself is yours to try"),
                format!("cada ensaio faz {asked} de vocês; a aplicação em si cabe a vocês experimentar"),
            ),
        },
        command: Some(look_at(facts).into()),
    }
}

/// A restore beside what is there, of a job that is here.
fn look_at(facts: &Facts<'_>) -> String {
    let of_row = || facts.rows().find_map(|row| row.label.as_ref().map(|label| label.job.to_string()));
    let job = facts.settings.jobs.first().map(|job| job.name.to_string()).or_else(of_row);
    let job = job.unwrap_or_else(|| "JOB".to_owned());
    format!("lacre restore latest:{job} --to postgres:///app_check --create")
}

fn counted(facts: &Facts<'_>, rehearsal: &Rehearsal) -> String {
    let mut told = vec![rehearsal.told(facts, |(name, _, _, tables)| {
        let tables = facts.lang.things(*tables, ["table", "tables"], ["tabela", "tabelas"]);
        facts.say(
            format!("{name}: the drill counted every row of {tables}"),
            format!("{name}: o ensaio contou cada linha de {tables}"),
        )
    })];
    for check in facts.verdict.checks.iter().filter(|check| check.name.starts_with("trend:") && !check.ok) {
        told.push(format!("{}: {}", check.name.trim_start_matches("trend:"), check.value));
    }
    told.join("; ")
}

fn logs(facts: &Facts<'_>) -> Item {
    let recent = facts.status.runs.iter().filter(|run| facts.is_within(moment(run.frame.ended), days(RUNS_DAYS)));
    let (all, failed, odd) = runs::counts(recent);
    Item {
        question: facts
            .say("The logs of the last 90 days were read", "Os logs de backup dos últimos 90 dias foram revistos"),
        answer: match (all, failed) {
            (0, _) => Answer::No,
            (_, 0) => Answer::Yes,
            _ => Answer::Person,
        },
        evidence: {
            let ran = ["run on record in 90 days", "runs on record in 90 days"];
            let registered = ["execução registrada em 90 dias", "execuções registradas em 90 dias"];
            let failed = facts.lang.things(failed, ["failed", "failed"], ["falhou", "falharam"]);
            let odd = facts.lang.things(odd, ["with findings", "with findings"], ["com achados", "com achados"]);
            format!("{}, {failed}, {odd}", facts.lang.things(all, ran, registered))
        },
        command: (all == 0 || failed > 0).then(|| "lacre report --html report.html --since 90d".into()),
    }
}

fn disk(facts: &Facts<'_>) -> Item {
    let find = |name: &str| facts.verdict.checks.iter().find(|check| check.name == name);
    let fine = |check: Option<&Check>| check.is_none_or(|check| check.ok);
    let (room, forecast) = (find("disk"), find("disk:forecast"));
    let shown = |check: &Check| super::checks::value(facts, check).plain();
    let (answer, evidence) = match room {
        Some(check) => {
            let told: Vec<String> = [Some(check), forecast].into_iter().flatten().map(shown).collect();
            (if fine(room) && fine(forecast) { Answer::Yes } else { Answer::No }, told.join("; "))
        }
        None => (
            Answer::Yes,
            facts.say(
                format!("the repository lies in a bucket, {} of it", facts.lang.bytes(facts.stored.bytes)),
                format!("o repositório está em um bucket, {} dele", facts.lang.bytes(facts.stored.bytes)),
            ),
        ),
    };
    Item {
        question: facts.say("There is room on the disk", "Há espaço em disco"),
        answer,
        evidence,
        command: (answer == Answer::No).then(|| "lacre repo prune --dry-run".into()),
    }
}

fn elsewhere(facts: &Facts<'_>) -> Item {
    let is_remote = matches!(facts.place, StoreUrl::Remote(_));
    let unreached = facts.copies.iter().filter(|copy| !copies::holds_all(copy)).map(|copy| copy.name.as_str());
    let unreached: Vec<&str> = unreached.collect();
    let answer = match (is_remote || !facts.copies.is_empty(), unreached.is_empty()) {
        (true, true) => Answer::Yes,
        _ => Answer::No,
    };
    let looked = facts.say("the repository was looked at just now", "o repositório acaba de ser visto");
    let evidence = if facts.copies.is_empty() {
        let none = facts.say("no copy is configured", "nenhuma cópia configurada");
        format!("{looked}; {none}")
    } else {
        let (figure, all) = (copies::figure(facts), facts.say("copies hold everything", "cópias têm tudo"));
        let behind = if unreached.is_empty() { String::new() } else { format!(": {}", unreached.join(", ")) };
        format!("{looked}; {figure} {all}{behind}")
    };
    Item {
        question: facts.say("The backups elsewhere can be reached", "Os backups em outro lugar estão acessíveis"),
        answer,
        evidence,
        command: (answer == Answer::No).then(|| "lacre copy list".into()),
    }
}

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let mut table = Table::new(facts.say("The quarterly checklist", "O checklist trimestral"))
        .text(facts.say("question", "pergunta"))
        .text("")
        .text(facts.say("evidence", "evidência"))
        .text(facts.say("do", "faça"));
    for item in checklist(facts) {
        let verdict = match item.answer {
            Answer::Yes => pill(Tone::Good, facts.say("yes", "sim")),
            Answer::No => pill(Tone::Bad, facts.say("no", "não")),
            Answer::Person => pill(Tone::Mind, facts.say("for a person", "para uma pessoa")),
        };
        let command = item.command.as_deref().map(super::html::code).unwrap_or_default();
        table.row([Markup::text(item.question), verdict, Markup::text(item.evidence), command]);
    }
    let mut body = table.markup();
    html!(
        body,
        "<p class=\"sign\">",
        facts.say("Read by", "Lido por"),
        "<span></span>",
        facts.say("on", "em"),
        "<span></span></p>"
    );
    sectioned("checklist", facts.say("Quarterly checklist", "Checklist trimestral"), &body)
}
