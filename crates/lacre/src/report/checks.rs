//! Every check of `lacre status`, in the page's language, and the audits on record.
//!
//! The checks are judged elsewhere; what is said of one is taken from its number where it has one, so that both languages say the same.

use jiff::{SignedDuration, Timestamp};
use lacre_format::{ids::Millis, log::CheckRecord};
use lacre_repo::op::drill::PastDrill;

use super::{
    Facts, Tone,
    html::{Markup, Table, code, html},
    moment, note, pill, section as sectioned,
};
use crate::{
    human,
    status::{Check, Weight},
};

/// The levels of an audit.
const LEVELS: [u8; 5] = [1, 2, 3, 4, 5];
/// How many audits are listed.
const AUDITS_MAX: usize = 50;

/// What a check is about.
pub(super) fn title(facts: &Facts<'_>, check: &Check) -> String {
    let (kind, of) = check.name.split_once(':').unwrap_or((check.name.as_str(), ""));
    let (en, pt) = match (kind, of) {
        ("age", _) => ("age of the newest snapshot", "idade do snapshot mais novo"),
        ("count", _) => ("number of snapshots", "número de snapshots"),
        ("size", _) => ("size of the newest snapshot", "tamanho do snapshot mais novo"),
        ("trend", _) => ("compared with what is usual", "em comparação com o costume"),
        ("jobs", _) => ("jobs", "jobs"),
        ("run", _) => ("last run", "última execução"),
        ("integrity", _) => ("findings of the last audit", "achados da última verificação"),
        ("check", "2") => ("every stored byte read", "cada byte guardado, lido"),
        ("check", _) => ("snapshots opened and compared", "snapshots abertos e comparados"),
        ("disk", "forecast") => ("forecast of the disk", "previsão do disco"),
        ("disk", _) => ("room on the disk", "espaço em disco"),
        ("seal", _) => ("the seal", "o lacre"),
        ("holders", _) => ("independent holders of the seal", "detentores independentes do lacre"),
        ("kit", _) => ("recovery kit", "kit de recuperação"),
        ("key", _) => ("OpenPGP certificate", "certificado OpenPGP"),
        ("erasures", _) => ("erasures", "apagamentos"),
        ("store", _) => ("what lies in the store", "o que há no repositório"),
        ("drill", _) => ("restore drill", "ensaio de restauração"),
        ("copy", _) => ("copy", "cópia"),
        _ => return check.name.clone(),
    };
    let what = facts.say(en, pt);
    if of.is_empty() || matches!(kind, "check" | "disk") { what.to_owned() } else { format!("{of}: {what}") }
}

/// What was found, in the page's language as far as it is known there.
pub(super) fn value(facts: &Facts<'_>, check: &Check) -> Markup {
    if let Some(text) = facts.say(Some(check.value.clone()), translated(facts, check)) {
        return Markup::text(text);
    }
    let mut out = Markup::new();
    html!(out, "<span lang=\"en\">", check.value, "</span>");
    out
}

fn translated(facts: &Facts<'_>, check: &Check) -> Option<String> {
    let kind = check.name.split(':').next().unwrap_or_default();
    let number = check.number.map(|number| number.value);
    let whole = number.map(human::whole);
    let lang = facts.lang;
    match kind {
        "age" | "check" => Some(match number {
            Some(seconds) => lang.ago(before(facts.now(), seconds), facts.now()),
            None if kind == "age" => "ainda não há snapshot".to_owned(),
            None => "nunca".to_owned(),
        }),
        "count" => Some(lang.things(usize::try_from(whole?).ok()?, ["", ""], ["snapshot", "snapshots"])),
        "size" => Some(lang.bytes(whole?)),
        "trend" if check.ok => Some("como de costume".to_owned()),
        "trend" => trend(&check.value),
        "run" => facts.status.runs.iter().find_map(|run| {
            let ended = moment(run.frame.ended);
            let is_it = format!("exit {}, {}", run.frame.exit, human::ago(ended, facts.now())) == check.value;
            is_it.then(|| format!("exit {}, {}", run.frame.exit, lang.ago(ended, facts.now())))
        }),
        "integrity" => {
            let (at, record) = facts.status.checks.last()?;
            let findings = lang.things(usize::try_from(record.findings).ok()?, ["", ""], ["achado", "achados"]);
            Some(format!("{findings} no nível {}, {}", record.level, lang.ago(moment(*at), facts.now())))
        }
        "disk" => match check.name.as_str() {
            "disk" => facts.disk.map(|disk| format!("{} livres de {}", lang.bytes(disk.free), lang.bytes(disk.total))),
            _ if check.value == "not within ten years" => Some("não dentro de dez anos".to_owned()),
            _ => Some(format!("cheio em cerca de {}", lang.things(whole?, ["day", "days"], ["dia", "dias"]))),
        },
        "seal" if check.ok => Some(format!("geração {}", facts.status.seal.generation.number)),
        "holders" => Some(lang.things(usize::try_from(whole?).ok()?, ["", ""], ["detentor", "detentores"])),
        "kit" => kit(&check.value),
        "key" if check.value == "does not expire" => Some("não expira".to_owned()),
        "key" => Some(format!("expira em {}", lang.things(whole?, ["day", "days"], ["dia", "dias"]))),
        "erasures" => Some(match whole? {
            0 => "nenhum pendente".to_owned(),
            open => lang.things(usize::try_from(open).ok()?, ["", ""], ["pendente", "pendentes"]),
        }),
        "store" if check.ok => Some("nada que não pertença a ele".to_owned()),
        "drill" => drill(facts, check),
        "copy" => copy(facts, check),
        _ => None,
    }
}

/// `rows 120 instead of about 1,000`.
fn trend(value: &str) -> Option<String> {
    let (what, numbers) = value.split_once(' ')?;
    let (found, usual) = numbers.split_once(" instead of about ")?;
    let written = |number: &str| match what {
        "rows" => number.replace(',', "."),
        _ => number.replace('.', ","),
    };
    let what = if what == "rows" { "linhas" } else { "tamanho" };
    Some(format!("{what}: {} em vez de cerca de {}", written(found), written(usual)))
}

fn drill(facts: &Facts<'_>, check: &Check) -> Option<String> {
    if check.value == "never" {
        return Some("nunca".to_owned());
    }
    if let Some(number) = check.number {
        return Some(facts.lang.ago(before(facts.now(), number.value), facts.now()));
    }
    let of = check.name.split_once(':').map(|(_, job)| job);
    let is_of = |drill: &&PastDrill| of.is_none() || drill.job.as_ref().map(|job| job.as_str()) == of;
    let newest = facts.status.drills.iter().rev().find(is_of).filter(|drill| !drill.record.passed)?;
    let (failed, ago) = (newest.record.failed, facts.lang.ago(moment(newest.at), facts.now()));
    let told = if failed == 1 { "falhou" } else { "falharam" };
    Some(format!("o ensaio mais novo não passou: {failed} de {} testes {told}, {ago}", newest.record.checks))
}

fn copy(facts: &Facts<'_>, check: &Check) -> Option<String> {
    let (_, name) = check.name.split_once(':')?;
    let copy = facts.copies.iter().find(|copy| copy.name == name)?;
    let synced = match copy.synced {
        Some(at) => format!("sincronizada {}", facts.lang.ago(moment(at), facts.now())),
        None => "nunca sincronizada a partir daqui".to_owned(),
    };
    if check.value.starts_with("holds an old seal") {
        return Some(format!("guarda um lacre antigo: nada nela abre com o novo; {synced}"));
    }
    let lag = match copy.lag_snapshots {
        0 => "tem todos os snapshots".to_owned(),
        behind => {
            facts.lang.things(usize::try_from(behind).ok()?, ["", ""], ["snapshot a enviar", "snapshots a enviar"])
        }
    };
    let is_lag = check.value.starts_with("holds every snapshot") || check.value.contains(" behind, ");
    let is_coming = check.value.ends_with("a run is under way");
    is_lag.then(|| if is_coming { format!("{lag}, e há uma execução em curso") } else { format!("{lag}, {synced}") })
}

fn before(now: Timestamp, seconds: f64) -> Timestamp {
    let ago = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
    now.checked_sub(ago).unwrap_or(Timestamp::MIN)
}

fn kit(value: &str) -> Option<String> {
    if value.starts_with("no kit") {
        return Some("nenhum kit da geração atual".to_owned());
    }
    let number = value.strip_prefix("kit ")?.split(' ').next()?;
    let state = if value.ends_with("never read back") { "impresso e nunca conferido" } else { "conferido" };
    Some(format!("kit {number} {state}"))
}

/// What it is held against.
pub(super) fn limit(facts: &Facts<'_>, check: &Check) -> Markup {
    let Some(limit) = &check.limit else { return Markup::new() };
    let words = [
        ("at most ", "no máximo "),
        ("at least ", "no mínimo "),
        (" free", " livres"),
        (" days", " dias"),
        (" m ", " min "),
        ("no findings", "nenhum achado"),
        ("none pending", "nenhum pendente"),
        ("it passes", "que passe"),
        (" snapshots behind", " snapshots a enviar"),
        (" snapshot behind", " snapshot a enviar"),
        ("nothing", "nada"),
        ("exit 0 or 3", "exit 0 ou 3"),
        (" to ", " a "),
        (".", ","),
    ];
    let pt = words.iter().fold(limit.clone(), |text, (en, pt)| text.replace(en, pt));
    Markup::text(facts.say(limit.clone(), pt))
}

/// What to do: the command to type, and what the program says about it.
pub(super) fn advice(advice: &str) -> Markup {
    let mut out = Markup::new();
    let (first, rest) = advice.split_once("    ").unwrap_or((advice, ""));
    if first.starts_with("lacre ") {
        html!(out, code(first));
        if !rest.is_empty() {
            html!(out, " <span lang=\"en\">", rest.trim(), "</span>");
        }
    } else {
        html!(out, "<span lang=\"en\">", advice, "</span>");
    }
    out
}

/// How a check that fails weighs.
pub(super) fn verdict(facts: &Facts<'_>, check: &Check) -> Markup {
    match (check.ok, check.weight) {
        (true, _) => pill(Tone::Good, facts.say("holds", "em ordem")),
        (false, Weight::Should) => pill(Tone::Mind, facts.say("due", "por fazer")),
        (false, Weight::Must) => pill(Tone::Bad, facts.say("fails", "falha")),
        (false, Weight::Damage) => pill(Tone::Bad, facts.say("damage", "dano")),
    }
}

/// The last audit that proved at least this level.
pub(super) fn last_at<'a>(facts: &'a Facts<'_>, level: u8) -> Option<(Timestamp, &'a CheckRecord)> {
    let last = facts.status.checks.iter().rev().find(|(_, record)| record.level >= level);
    last.map(|(at, record)| (moment(*at), record))
}

/// What an audit of this level proves.
pub(super) fn proves(facts: &Facts<'_>, level: u8) -> &'static str {
    match level {
        1 => {
            facts.say("every object is there and as long as it should be", "cada objeto está lá e tem o tamanho certo")
        }
        2 => facts.say(
            "every stored byte is what was written; signatures and chains hold",
            "cada byte guardado é o que foi escrito; assinaturas e cadeias conferem",
        ),
        3 => facts.say("every snapshot's key opens with the seal", "a chave de cada snapshot abre com o lacre"),
        4 => facts.say(
            "snapshots decrypt, and every stream is the one that was saved",
            "os snapshots decifram, e cada fluxo é o que foi salvo",
        ),
        _ => facts.say(
            "archives read like archives, and rows are as many as were recorded",
            "os arquivos são lidos como tais, e as linhas são tantas quantas foram registradas",
        ),
    }
}

/// The section: each level, the audits on record, and every check.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let mut body = Markup::new();
    body.add(&levels(facts).markup());
    let audits = audits(facts);
    if audits.is_empty() {
        let en = "No audit is on record. `lacre repo check --read-data` reads every byte; run where the admin key is, it goes on record.";
        let pt = "Nenhuma verificação registrada. `lacre repo check --read-data` lê cada byte; executado onde está a chave de administração, fica registrado.";
        body.add(&note(facts.say(en, pt)));
    } else {
        let summary = facts.say("The audits on record", "As verificações registradas");
        html!(body, "<details><summary>", summary, "</summary>", audits.markup(), "</details>");
    }
    html!(body, "<h3>", facts.say("Every check of lacre status", "Cada teste do lacre status"), "</h3>");
    body.add(&all(facts).markup());
    sectioned("checks", facts.say("Audits and checks", "Verificações e testes"), &body)
}

fn levels(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("The last audit of each level", "A última verificação de cada nível"))
        .text(facts.say("level", "nível"))
        .text(facts.say("what it proves", "o que prova"))
        .text(facts.say("last", "última"))
        .number(facts.say("findings", "achados"))
        .text("");
    let limit = facts.settings.operate.status.max_check_age;
    for level in LEVELS {
        let head = [Markup::text(u32::from(level)), Markup::text(proves(facts, level))];
        let rest = match last_at(facts, level) {
            None => [Markup::text(facts.say("never", "nunca")), Markup::new(), pill(Tone::Calm, "–")],
            Some((at, record)) => {
                let state = match (record.findings, facts.is_within(at, limit)) {
                    (0, true) => pill(Tone::Good, facts.say("holds", "em ordem")),
                    (0, false) => pill(Tone::Mind, facts.say("old", "antiga")),
                    _ => pill(Tone::Bad, facts.say("findings", "achados")),
                };
                [facts.time_and_ago(at), Markup::text(facts.lang.count(record.findings)), state]
            }
        };
        table.row(head.into_iter().chain(rest));
    }
    table
}

fn audits(facts: &Facts<'_>) -> Table {
    let mut table =
        Table::new(facts.say("Audits on record, newest first", "Verificações registradas, as mais novas primeiro"))
            .text(facts.say("when", "quando"))
            .number(facts.say("level", "nível"))
            .number("snapshots")
            .number("packs")
            .number(facts.say("read", "lidos"))
            .number(facts.say("findings", "achados"));
    let is_in = |(at, _): &&(Millis, CheckRecord)| facts.is_in(*at);
    for (at, record) in facts.status.checks.iter().rev().filter(is_in).take(AUDITS_MAX) {
        table.row([
            facts.time(moment(*at)),
            Markup::text(u32::from(record.level)),
            Markup::text(facts.lang.count(u64::try_from(record.snapshots.len()).unwrap_or(u64::MAX))),
            Markup::text(facts.lang.count(record.packs)),
            Markup::text(facts.lang.bytes(record.bytes_read)),
            Markup::text(facts.lang.count(record.findings)),
        ]);
    }
    table
}

fn all(facts: &Facts<'_>) -> Table {
    let mut table = Table::new(facts.say("Every check", "Cada teste"))
        .text(facts.say("check", "teste"))
        .text(facts.say("found", "encontrado"))
        .text(facts.say("limit", "limite"))
        .text("");
    for check in &facts.verdict.checks {
        table.row([Markup::text(title(facts, check)), value(facts, check), limit(facts, check), verdict(facts, check)]);
    }
    table
}
