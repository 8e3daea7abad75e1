//! The auditor's page: what is claimed, what it rests on, and how to see for oneself; and what this page does not prove.

use lacre_format::policy::Role;
use lacre_repo::op::erase::ErasureState;

use super::{
    Facts, checks, copies, drills, erasures,
    html::{Markup, Table, code, html},
    moment, retention, section as sectioned,
};

/// A claim.
struct Claim {
    /// What is claimed, and which law asks for it.
    what: &'static str,
    law: &'static str,
    evidence: String,
    verify: &'static str,
}

/// The section.
pub(super) fn section(facts: &Facts<'_>) -> Markup {
    let mut table =
        Table::new(facts.say("What is claimed, and what it rests on", "O que se afirma, e em que se apoia"))
            .text(facts.say("claim", "afirmação"))
            .text(facts.say("evidence", "evidência"))
            .text(facts.say("see for yourself", "veja por si"));
    for claim in claims(facts) {
        let mut what = Markup::new();
        html!(what, claim.what, "<br><small>", claim.law, "</small>");
        table.row([what, Markup::text(claim.evidence), code(claim.verify)]);
    }
    let mut body = table.markup();
    html!(
        body,
        "<h3>",
        facts.say("What this page does not prove", "O que esta página não prova"),
        "</h3><ul class=\"limits\">"
    );
    let limits = [
        (
            "It is made by the machine that shows it. Signatures and audits are believed as far as the keys in the policy reach; for a second opinion run the commands on a machine of your own, against a copy.",
            "Ela é feita pela máquina que a mostra. Assinaturas e verificações valem até onde alcançam as chaves da política; para uma segunda opinião, execute os comandos em uma máquina sua, sobre uma cópia.",
        ),
        (
            "Times are those of the clocks of the machines that signed.",
            "Os horários são os dos relógios das máquinas que assinaram.",
        ),
        (
            "The living database, its replicas, logs and exports are outside of it, and so is whatever was restored before.",
            "O banco vivo, suas réplicas, logs e exportações ficam fora dela, assim como o que já foi restaurado antes.",
        ),
        (
            "Whether a law asks for something, and whether this answers it, is for somebody who knows the case.",
            "Se uma lei exige algo, e se isto responde, cabe a quem conhece o caso.",
        ),
    ];
    for (en, pt) in limits {
        html!(body, "<li>", facts.say(en, pt), "</li>");
    }
    body.raw("</ul>");
    sectioned("audit", facts.say("For the auditor", "Para o auditor"), &body)
}

fn claims(facts: &Facts<'_>) -> Vec<Claim> {
    vec![
        Claim {
            what: facts.say(
                "Backups are encrypted before they leave the machine",
                "Os backups são cifrados antes de sair da máquina",
            ),
            law: facts.say("GDPR 32(1)(a), LGPD 46", "LGPD art. 46; RGPD art. 32(1)(a)"),
            evidence: sealed(facts),
            verify: "lacre show latest",
        },
        Claim {
            what: facts.say("Nobody changes a backup unnoticed", "Ninguém altera um backup sem que se note"),
            law: facts.say("GDPR 32(1)(b), LGPD 46", "LGPD art. 46; RGPD art. 32(1)(b)"),
            evidence: audited(facts),
            verify: "lacre repo check --read-data",
        },
        Claim {
            what: facts.say("They restore, and in known time", "Eles restauram, e em tempo conhecido"),
            law: facts.say("GDPR 32(1)(c) and (d)", "RGPD art. 32(1)(c) e (d)"),
            evidence: rehearsed(facts),
            verify: "lacre drill",
        },
        Claim {
            what: facts.say("Nothing is kept longer than the rules say", "Nada é mantido além do que dizem as regras"),
            law: facts.say("GDPR 5(1)(e), LGPD 15 and 16", "LGPD arts. 15 e 16; RGPD art. 5(1)(e)"),
            evidence: kept(facts),
            verify: "lacre forget --dry-run",
        },
        Claim {
            what: facts.say(
                "What must be erased is erased in every copy ever made",
                "O que deve ser apagado é apagado em todas as cópias já feitas",
            ),
            law: facts.say("GDPR 17, LGPD 18 VI", "LGPD art. 18, VI; RGPD art. 17"),
            evidence: erased(facts),
            verify: "lacre receipt verify FILE",
        },
        Claim {
            what: facts.say("Few can do much", "Poucos podem muito"),
            law: facts.say("GDPR 32(4), LGPD 46 and 47", "LGPD arts. 46 e 47; RGPD art. 32(4)"),
            evidence: roles(facts),
            verify: "lacre key list",
        },
        Claim {
            what: facts.say("One loss does not take all of them", "Uma perda não leva todos"),
            law: facts.say("GDPR 32(1)(b)", "RGPD art. 32(1)(b)"),
            evidence: spread(facts),
            verify: "lacre copy verify",
        },
        Claim {
            what: facts.say("A failure is noticed", "Uma falha é notada"),
            law: facts.say("GDPR 32(1)(d), LGPD 50", "LGPD art. 50; RGPD art. 32(1)(d)"),
            evidence: told(facts),
            verify: "lacre status --strict",
        },
    ]
}

fn sealed(facts: &Facts<'_>) -> String {
    let readers = facts.lang.things(
        facts.status.recipients.len(),
        ["recipient", "recipients"],
        ["destinatário", "destinatários"],
    );
    let seal = &facts.status.seal;
    facts.say(
        format!("every object is sealed; a snapshot opens only with the private key of one of {readers} and the seal of generation {} together", seal.generation.number),
        format!("todo objeto é selado; um snapshot só abre com a chave privada de um de {readers} e o lacre da geração {} juntos", seal.generation.number),
    )
}

fn audited(facts: &Facts<'_>) -> String {
    let read = match checks::last_at(facts, 2) {
        Some((at, record)) => {
            let day = facts.lang.day(at, &facts.zone);
            let findings = facts.lang.things(record.findings, ["fault", "faults"], ["falha", "falhas"]);
            facts.say(
                format!("on {day} an audit of level {} found {findings}", record.level),
                format!("em {day} uma verificação de nível {} encontrou {findings}", record.level),
            )
        }
        None => facts.say("no full audit is on record", "nenhuma verificação completa registrada").to_owned(),
    };
    let signed =
        facts.say("every snapshot and record is signed and chained", "cada snapshot e registro é assinado e encadeado");
    format!("{signed}; {read}")
}

fn rehearsed(facts: &Facts<'_>) -> String {
    match drills::last_passed(facts) {
        Some((at, record)) => {
            let (day, took) = (facts.lang.day(at, &facts.zone), drills::time_of(facts, record.rto_ms));
            let tables = facts.lang.things(record.tables, ["table", "tables"], ["tabela", "tabelas"]);
            facts.say(
                format!("the drill of {day} restored {} and compared {tables} row by row; the database could be used after {took}", facts.lang.bytes(record.bytes)),
                format!("o ensaio de {day} restaurou {} e comparou {tables} linha a linha; o banco pôde ser usado após {took}", facts.lang.bytes(record.bytes)),
            )
        }
        None => facts.say("no drill is on record", "nenhum ensaio registrado").to_owned(),
    }
}

fn kept(facts: &Facts<'_>) -> String {
    let rules = retention::words(facts, &facts.settings.retention);
    let oldest = facts.status.rows.iter().find(|row| row.state == lacre_repo::op::snapshots::SnapshotState::Live);
    let held = facts.status.rows.iter().filter(|row| row.held.is_some()).count();
    let held =
        facts.lang.things(held, ["held by a person", "held by a person"], ["retido por alguém", "retidos por alguém"]);
    match oldest {
        Some(row) => {
            let day = facts.lang.day(moment(row.taken), &facts.zone);
            facts.say(
                format!("{rules}; the oldest is of {day}; {held}"),
                format!("{rules}; o mais antigo é de {day}; {held}"),
            )
        }
        None => format!("{rules}; {held}"),
    }
}

fn erased(facts: &Facts<'_>) -> String {
    let all = &facts.status.erasures;
    let complete = all.iter().filter(|erasure| erasure.state == ErasureState::Complete).count();
    let open = all.iter().filter(|erasure| erasures::is_open(erasure)).count();
    let things = |count: usize, en: [&str; 2], pt: [&str; 2]| facts.lang.things(count, en, pt);
    let receipts = things(facts.status.view.ledger.receipts.len(), ["receipt", "receipts"], ["recibo", "recibos"]);
    let complete = things(complete, ["complete", "complete"], ["completo", "completos"]);
    facts.say(
        format!(
            "{complete}, {open} still open, {receipts}; an erasure changes the seal, so that old copies open no more"
        ),
        format!(
            "{complete}, {open} em aberto, {receipts}; um apagamento troca o lacre, e as cópias antigas não abrem mais"
        ),
    )
}

fn roles(facts: &Facts<'_>) -> String {
    let of = |role: Role| facts.homes.iter().filter(|row| row.entry.role == role && !row.entry.is_revoked()).count();
    let (admins, writers, maintenance) = (of(Role::Admin), of(Role::Writer), of(Role::Maintenance));
    let revoked = facts.homes.iter().filter(|row| row.entry.is_revoked()).count();
    let lang = facts.lang;
    let told = [
        lang.things(
            writers,
            ["machine writes and reads nothing", "machines write and read nothing"],
            ["máquina escreve e nada lê", "máquinas escrevem e nada leem"],
        ),
        lang.things(maintenance, ["cleans up", "clean up"], ["limpa", "limpam"]),
        lang.things(admins, ["administers", "administer"], ["administra", "administram"]),
        lang.things(revoked, ["revoked", "revoked"], ["revogada", "revogadas"]),
    ];
    told.join(", ")
}

fn spread(facts: &Facts<'_>) -> String {
    let rule = copies::Rule::of(facts);
    let state = if rule.holds() {
        facts.say("the rule holds", "a regra vale")
    } else {
        facts.say("the rule does not hold", "a regra não vale")
    };
    let copies = facts.lang.things(rule.copies, ["copy", "copies"], ["cópia", "cópias"]);
    let kinds = facts.lang.things(
        rule.kinds,
        ["kind of storage", "kinds of storage"],
        ["tipo de armazenamento", "tipos de armazenamento"],
    );
    let elsewhere = facts.lang.things(rule.elsewhere, ["elsewhere", "elsewhere"], ["em outro lugar", "em outro lugar"]);
    format!("{copies}, {kinds}, {elsewhere}: {state} (3, 2, 1)")
}

fn told(facts: &Facts<'_>) -> String {
    let notify = &facts.settings.operate.notify;
    let mut channels: Vec<String> = Vec::new();
    channels.extend(notify.healthchecks.as_ref().map(|_| "healthchecks".to_owned()));
    channels.extend(notify.email.as_ref().map(|_| "e-mail".to_owned()));
    channels.extend(notify.webhooks.iter().map(|hook| hook.name.clone()));
    channels.extend(notify.commands.iter().map(|command| command.name.clone()));
    if channels.is_empty() {
        let none = "this machine's configuration tells nobody";
        return facts.say(none, "a configuração desta máquina não avisa ninguém").to_owned();
    }
    let channels = channels.join(", ");
    facts.say(format!("told: {channels}"), format!("avisados: {channels}"))
}
