//! Mistakes in what runs by itself: rules that would keep nothing, times that never come, nobody to tell.
//!
//! In: the document. Out: problems with places and fixes. It looks at nothing else.

use jiff::tz::TimeZone;

use crate::{
    config::{
        document::{Document, Entry, Problem, Section, Value},
        operate::{Occasion, TaskKind, Template},
        schema::operate::SECRET_WAYS,
        suggest,
    },
    notify::{email::Server, http},
    schedule::cron::Cron,
};

/// Finds the mistakes of every table.
pub(super) fn structure(document: &Document, problems: &mut Vec<Problem>) {
    for section in document.of("retention").chain(document.of("job.retention")) {
        retention(section, problems);
    }
    document.of("schedule").for_each(|section| schedule(section, problems));
    document.of("daemon").for_each(|section| daemon(section, problems));
    document.of("notify.healthchecks").for_each(|section| healthchecks(section, problems));
    document.of("notify.email").for_each(|section| email(section, problems));
    document.of("notify.webhook").for_each(|section| webhook(section, problems));
    for section in document.of("notify.command") {
        super::required(section, "name", problems);
        super::required(section, "command", problems);
        occasions(section, problems);
    }
    super::unique(document, "notify.webhook", problems);
    super::unique(document, "notify.command", problems);
    for section in document.of("job") {
        ways(section, "password", problems);
    }
}

fn text<'a>(section: &'a Section, name: &str) -> Option<(&'a Entry, &'a str)> {
    match section.entries.get(name) {
        Some(entry) => match &entry.value {
            Value::Text(text) => Some((entry, text)),
            _ => None,
        },
        None => None,
    }
}

/// Rules that are all zero would forget everything; the vault keeps everything instead, and neither is what was meant.
fn retention(section: &Section, problems: &mut Vec<Problem>) {
    let rules: Vec<&Entry> =
        section.entries.iter().filter(|(name, _)| name.starts_with("keep_")).map(|(_, entry)| entry).collect();
    let is_zero = |entry: &&Entry| matches!(entry.value, Value::Count(0));
    if let Some(first) = rules.first()
        && rules.iter().all(is_zero)
    {
        let what = format!("[{}] would keep nothing: every keep rule is 0", section.table.name);
        problems.push(Problem::error(
            Some(first.place),
            what,
            "write for example keep_daily = 30, or remove the table to keep everything",
        ));
    }
}

fn schedule(section: &Section, problems: &mut Vec<Problem>) {
    for task in TaskKind::ALL {
        let Some((entry, expression)) = text(section, task.name()).filter(|(_, text)| *text != "off") else { continue };
        if let Err(why) = Cron::parse(expression) {
            let fix = "write five fields: minute hour day month weekday, for example \"0 3 * * *\", or \"off\"";
            problems.push(Problem::error(Some(entry.place), format!("schedule.{}: {why}", task.name()), fix));
        }
    }
    if let Some((entry, name)) = text(section, "time_zone")
        && TimeZone::get(name).is_err()
    {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let near = suggest::nearest(&name.to_lowercase(), known.iter().map(String::as_str));
        let same = known.iter().find(|known| known.eq_ignore_ascii_case(name)).map(String::as_str);
        let fix = match same.or(near) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write it as in the time zone database, for example \"America/Sao_Paulo\"".to_owned(),
        };
        problems.push(Problem::error(Some(entry.place), format!("there is no time zone {name:?}"), fix));
    }
}

fn daemon(section: &Section, problems: &mut Vec<Problem>) {
    let Some((entry, address)) = text(section, "listen").filter(|(_, text)| *text != "off") else { return };
    let fix = "write \"127.0.0.1:9187\", or \"off\"";
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => {}
        Ok(_) => {
            let what = format!("daemon.listen: {address} can be reached from other machines");
            problems.push(Problem::error(Some(entry.place), what, fix));
        }
        Err(_) => {
            let what = format!("daemon.listen: {address:?} is no address with a port");
            problems.push(Problem::error(Some(entry.place), what, fix));
        }
    }
}

/// A secret has one place.
fn ways(section: &Section, name: &str, problems: &mut Vec<Problem>) -> usize {
    let named: Vec<String> = SECRET_WAYS
        .iter()
        .map(|way| format!("{name}_{way}"))
        .filter(|key| section.entries.contains_key(key.as_str()))
        .collect();
    if let [_, second, ..] = named.as_slice() {
        let place = section.entries.get(second.as_str()).map(|entry| entry.place);
        let what = format!("{} names several places for one secret: {}", section.title(), named.join(", "));
        problems.push(Problem::error(place, what, "keep one of them"));
    }
    named.len()
}

/// Where a URL comes from: the file itself, or one place of a secret.
fn address(section: &Section, problems: &mut Vec<Problem>) -> bool {
    let secret = ways(section, "url", problems);
    let plain = section.entries.get("url");
    if let Some(entry) = plain.filter(|_| secret > 0) {
        problems.push(Problem::error(
            Some(entry.place),
            format!("{} has both url and url_*", section.title()),
            "keep one of them",
        ));
    }
    for name in ["url", "fail_url", "status_url"] {
        let Some(Entry { value: Value::Url(url), place, .. }) = section.entries.get(name) else { continue };
        if !["http", "https"].contains(&url.scheme().unwrap_or_default()) {
            let what = format!("{}.{name} is no http URL", section.title());
            problems.push(Problem::error(Some(*place), what, "write https://..."));
        } else if http::is_in_the_open(url.expose()) {
            let what =
                format!("{}.{name} goes over plain http: others can read it and send it themselves", section.title());
            problems.push(Problem::warning(Some(*place), what, "write https://..."));
        }
    }
    plain.is_some() || secret > 0
}

fn healthchecks(section: &Section, problems: &mut Vec<Problem>) {
    let has_url = address(section, problems);
    if !has_url && !section.entries.contains_key("status_url") {
        let what = "notify.healthchecks has no url";
        problems.push(Problem::error(Some(section.place), what, "add url = \"https://hc-ping.com/UUID\""));
    }
}

fn email(section: &Section, problems: &mut Vec<Problem>) {
    super::required(section, "smtp", problems);
    super::required(section, "to", problems);
    ways(section, "password", problems);
    occasions(section, problems);
    if let Some(Entry { value: Value::Url(url), place, .. }) = section.entries.get("smtp")
        && let Err(why) = Server::parse(url.expose())
    {
        let fix = "write smtps://user@host or smtp://user@host";
        problems.push(Problem::error(Some(*place), format!("notify.email.smtp: {why}"), fix));
    }
    if let Some(Entry { value: Value::Texts(to), place, .. }) = section.entries.get("to") {
        if to.is_empty() {
            problems.push(Problem::error(
                Some(*place),
                "notify.email.to names nobody",
                "write to = [\"ops@example.org\"]",
            ));
        }
        for address in to.iter().filter(|address| address.parse::<lettre::message::Mailbox>().is_err()) {
            let what = format!("notify.email.to: {address:?} is no mail address");
            problems.push(Problem::error(Some(*place), what, "write it as ops@example.org"));
        }
    }
}

fn webhook(section: &Section, problems: &mut Vec<Problem>) {
    super::required(section, "name", problems);
    ways(section, "token", problems);
    occasions(section, problems);
    if !address(section, problems) {
        problems.push(Problem::error(
            Some(section.place),
            format!("{} has no url", section.title()),
            "add url_file = \"...\"",
        ));
    }
    if let Some((entry, name)) = text(section, "template")
        && Template::parse(name).is_none()
    {
        let names: Vec<&str> = Template::ALL.iter().map(|(name, _)| *name).collect();
        let what = format!("{}: {name:?} is no template", section.title());
        problems.push(Problem::error(Some(entry.place), what, format!("write one of {}", names.join(", "))));
    }
}

fn occasions(section: &Section, problems: &mut Vec<Problem>) {
    let Some(Entry { value: Value::Texts(names), place, .. }) = section.entries.get("on") else { return };
    let known: Vec<&str> = Occasion::ALL.iter().map(|(name, _)| *name).collect();
    for name in names.iter().filter(|name| Occasion::parse(name).is_none()) {
        let fix = match suggest::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write some of {}", known.join(", ")),
        };
        let what = format!("{}.on: nobody can be told of {name:?}", section.title());
        problems.push(Problem::error(Some(*place), what, fix));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{check, document::Document};

    #[track_caller]
    fn finds(text: &str, what: &str, fix: &str) {
        let document = Document::parse(text);
        assert_eq!(document.problems(), [], "{text}");
        let problems = check::structure(&document);
        let hit = problems.iter().any(|problem| problem.what.contains(what) && problem.fix.contains(fix));
        assert!(hit, "{text}\n{problems:#?}");
    }

    #[test]
    fn rules_that_keep_nothing_are_refused() {
        finds("[retention]\nkeep_daily = 0\nkeep_weekly = 0\n", "would keep nothing", "keep_daily = 30");
        finds(
            "[[job]]\nname='a'\nstdin=true\n[job.retention]\nkeep_last = 0\n",
            "[job.retention] would keep nothing",
            "",
        );
        let document = Document::parse("[retention]\nkeep_daily = 0\nkeep_weekly = 4\n");
        assert_eq!(check::structure(&document), []);
    }

    #[test]
    fn times_that_never_come_are_named() {
        finds("[schedule]\nbackup = '0 25 * * *'\n", "schedule.backup: \"25\" is no hour", "five fields");
        finds("[schedule]\ncheck = '0 0 31 2 *'\n", "never happens", "five fields");
        finds("[schedule]\ntime_zone = 'america/sao_paolo'\n", "no time zone \"america/sao_paolo\"", "");
        finds("[schedule]\ntime_zone = 'Mars/Olympus'\n", "no time zone", "time zone database");
        finds("[daemon]\nlisten = '0.0.0.0:9187'\n", "reached from other machines", "127.0.0.1");
        finds("[daemon]\nlisten = '9187'\n", "no address with a port", "127.0.0.1");
    }

    #[test]
    fn nobody_to_tell_is_a_mistake() {
        let hook = "[[notify.webhook]]\nname = 'a'\n";
        finds(&format!("{hook}url='https://x/'\ntemplate='slak'\n"), "no template", "slack");
        finds(
            &format!("{hook}url='https://x/'\non=['failures']\n"),
            "nobody can be told of \"failures\"",
            "\"failure\"",
        );
        finds(hook, "has no url", "url_file");
        finds(&format!("{hook}url='https://x/'\nurl_file='/x'\n"), "both url and url_*", "keep one");
        finds(&format!("{hook}url='http://chat.example/x'\n"), "plain http", "https");
        finds("[notify.healthchecks]\nsend_logs = true\n", "has no url", "hc-ping");
        finds("[notify.email]\nsmtp='smtps://u:p@h'\nto=['a@b.c']\n", "holds a password", "smtps://");
        finds("[notify.email]\nsmtp='smtps://h'\nto=['a b']\n", "no mail address", "ops@example.org");
        finds(
            "[notify.email]\nsmtp='smtps://u@h'\nto=['a@b.c']\npassword_env='A'\npassword_file='/b'\n",
            "several places",
            "keep one",
        );
        finds("[[notify.command]]\nname='a'\n", "has no command", "command");
    }
}
