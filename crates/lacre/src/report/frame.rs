//! The document around the sections: head, policy, title, contents and foot.
//!
//! In: the facts and the sections. Out: a whole document. Its policy allows the one style sheet (and, on a live page, the one script) that
//! stands in it, by a number drawn for it; everything else is forbidden, whatever a name in the repository may contain.

use super::{
    Facts, Tone, body,
    html::{Markup, html},
    live::Live,
    overview, short,
};

/// The style sheet.
const STYLE: &str = include_str!("style.css");
/// What keeps a live page alive: it asks its own server and nobody else.
const SCRIPT: &str = include_str!("live.js");

/// What kind of page it is.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// A file that is complete in itself.
    File,
    /// A page that goes on while it is looked at.
    Live(&'a Live),
}

/// What a page may load and run.
pub fn policy(kind: Kind<'_>, nonce: &str) -> String {
    let style = format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'");
    match kind {
        Kind::File => style,
        Kind::Live(_) => format!("{style}; script-src 'nonce-{nonce}'; connect-src 'self'"),
    }
}

/// The whole document.
pub(super) fn document(facts: &Facts<'_>, kind: Kind<'_>, nonce: &str) -> String {
    let mut out = Markup::new();
    html!(out, "<!DOCTYPE html>\n<html lang=\"", facts.lang.tag(), "\"");
    if let Kind::Live(live) = kind {
        html!(out, " data-look=\"", live.look, "\"");
    }
    html!(out, "><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"");
    html!(out, policy(kind, nonce), "\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    out.raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">");
    html!(out, "<meta name=\"generator\" content=\"lacre ", env!("CARGO_PKG_VERSION"), "\">");
    if let Kind::Live(_) = kind {
        out.raw("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>");
    }
    html!(out, "<title>", title(facts), "</title><style nonce=\"", nonce, "\">");
    out.raw(STYLE);
    out.raw("</style></head><body>");
    html!(out, "<a class=\"skip\" href=\"#page\">", facts.say("Skip to the report", "Ir para o relatório"), "</a>");
    if let Kind::Live(live) = kind {
        html!(out, "<aside id=\"live\" aria-live=\"polite\">", live.fragment(facts.lang, &facts.zone), "</aside>");
        let lost = facts.say(
            "The dashboard does not answer any more; what you see is old.",
            "O painel não responde mais; o que você vê é antigo.",
        );
        html!(out, "<p class=\"lost\" role=\"alert\">", lost, "</p>");
    }
    out.raw("<div id=\"page\">");
    html!(out, head(facts), "<main>", body(facts), "</main>", foot(facts), "</div>");
    if let Kind::Live(_) = kind {
        html!(out, "<script nonce=\"", nonce, "\">");
        out.raw(SCRIPT);
        out.raw("</script>");
    }
    out.raw("</body></html>\n");
    out.into_string()
}

fn title(facts: &Facts<'_>) -> String {
    let id = crate::vault::short(&facts.repository).to_owned();
    let day = facts.lang.day(facts.now(), &facts.zone);
    facts.say(format!("Backups of repository {id}, {day}"), format!("Backups do repositório {id}, {day}"))
}

/// The seal, drawn: a disc of wax and what is pressed into it.
const SEAL: &str = "<svg class=\"wax\" viewBox=\"0 0 48 48\" aria-hidden=\"true\"><path d=\"M24 2.5c3.2 0 4.6 2.6 7.4 3.4 2.9.8 5.7-.6 8 1.6 2.3 2.3.9 5.1 1.8 8 .8 2.8 3.8 4.6 3.8 8.5s-2.9 5.3-3.7 8.1c-.9 2.9.3 6.2-2 8.4-2.3 2.3-5.1.7-8 1.5-2.8.9-4.1 3.5-7.3 3.5s-4.7-2.5-7.5-3.4c-2.9-.8-5.9.5-8.1-1.7-2.3-2.3-.8-5.2-1.7-8.1C5.9 29.5 3 27.9 3 24s2.9-5.3 3.7-8.2c.9-2.8-.6-6 1.7-8.3 2.2-2.2 5.2-.8 8.1-1.6C19.3 5.1 20.8 2.5 24 2.5z\"/><circle cx=\"24\" cy=\"24\" r=\"13.5\"/><path class=\"letter\" d=\"M20 16.5v15h9\"/></svg>";

fn head(facts: &Facts<'_>) -> Markup {
    let (tone, verdict) = overview::verdict(facts);
    let mut out = Markup::new();
    out.raw("<header class=\"top\"><div class=\"brand\">");
    out.raw(SEAL);
    html!(out, "<div><p class=\"over\">", facts.say("Backup report", "Relatório de backups"), "</p><h1 class=\"");
    out.raw(match tone {
        Tone::Good => "good",
        Tone::Mind => "mind",
        Tone::Bad => "bad",
        Tone::Calm => "calm",
    });
    html!(out, "\">", verdict, "</h1></div></div><dl class=\"meta\">");
    let mut lines = vec![
        (facts.say("Repository", "Repositório"), short(&facts.repository)),
        (facts.say("Lies in", "Fica em"), Markup::text(facts.place.to_string())),
        (facts.say("Looked at", "Visto em"), Markup::text(facts.lang.time_with_zone(facts.now(), &facts.zone))),
        (facts.say("Times in", "Horários em"), Markup::text(facts.lang.zone(facts.now(), &facts.zone))),
        (facts.say("From", "A partir de"), Markup::text(&facts.host)),
    ];
    if let Some(since) = facts.since {
        lines.push((facts.say("Since", "Desde"), Markup::text(facts.lang.time(since, &facts.zone))));
    }
    for (what, value) in lines {
        html!(out, "<div><dt>", what, "</dt><dd>", value, "</dd></div>");
    }
    html!(out, "</dl></header>", overview::figures(facts), contents(facts));
    if !facts.reads_labels() {
        let en = "This host cannot read names and sizes of jobs: they are sealed. Everything below that needs them is left out.";
        let pt = "Esta máquina não consegue ler nomes e tamanhos dos jobs: eles estão selados. O que depende deles não aparece abaixo.";
        html!(out, "<p class=\"note\">", facts.say(en, pt), "</p>");
    }
    out
}

fn contents(facts: &Facts<'_>) -> Markup {
    let entries = [
        ("timeline", "Timeline", "Linha do tempo"),
        ("growth", "Growth", "Crescimento"),
        ("drills", "Drills", "Ensaios"),
        ("checks", "Audits", "Verificações"),
        ("runs", "Runs", "Execuções"),
        ("retention", "Retention", "Retenção"),
        ("erasures", "Erasures", "Apagamentos"),
        ("keys", "Keys", "Chaves"),
        ("copies", "Copies", "Cópias"),
        ("cost", "Cost", "Custo"),
        ("audit", "For the auditor", "Para o auditor"),
        ("checklist", "Checklist", "Checklist"),
        ("snapshots", "Snapshots", "Snapshots"),
    ];
    let mut out = Markup::new();
    html!(out, "<nav aria-label=\"", facts.say("Contents", "Conteúdo"), "\">");
    let has_cost = facts.cost.is_some_and(|(_, cost)| !cost.stores.is_empty());
    for (id, en, pt) in entries.into_iter().filter(|(id, ..)| *id != "cost" || has_cost) {
        html!(out, "<a href=\"#", id, "\">", facts.say(en, pt), "</a>");
    }
    out.raw("</nav>");
    out
}

fn foot(facts: &Facts<'_>) -> Markup {
    let mut out = Markup::new();
    let en = "Made from one look at the store and without any private key. It shows names of jobs, machines and places: treat it as you treat those.";
    let pt = "Feito de um só olhar sobre o repositório e sem nenhuma chave privada. Mostra nomes de jobs, máquinas e lugares: trate-o como trata estes.";
    html!(out, "<footer><p>", facts.say(en, pt), "</p><p>lacre ", env!("CARGO_PKG_VERSION"), " · ");
    html!(out, facts.say("repository", "repositório"), " <code>", facts.repository, "</code></p></footer>");
    out
}
