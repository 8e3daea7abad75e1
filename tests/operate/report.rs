//! `lacre report`: what the page says is what the other commands say; it needs nothing besides itself, shows hostile names as they are, and
//! is laid out for a desk, a phone and paper.

mod thousand;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use clap::Parser;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use lacre::{
    cli::{Cli, value::StoreUrl},
    config::{self, ConfigFile, settle::Origins},
    cost::bill::Digits,
    human,
    lang::Lang,
    report::{self, Facts, Kind as PageKind},
    status::{Evidence, Report, Running},
};
use lacre_format::{
    ids::JobName,
    name::ObjectName,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Clock, Repository, Silent,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        init::{CreateOptions, KitChoice},
    },
    retention::Rules,
    store::{PutOutcome, Store},
};
use lacre_test_bucket::{BUCKET_PLAIN, Count, Key, Kind, Proxy, Weed, test_dir, tool};
use serde_json::Value;

use super::{configure, script};
use crate::commands::person::{nights, with};
use crate::commands::snapshots;
use crate::stores::in_bucket;
use crate::support::browser::{Browser, Scheme};
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::{Outcome, Sandbox};

/// Names that would be markup, if anything let them.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert('x')</script>";

/// A repository with a history: two jobs over eight days, one night that failed, a drill, an audit, a hold, an erasure, a copy.
struct Scene {
    _cluster: Cluster,
    sandbox: Sandbox,
    /// What the drill measured.
    rto_ms: u64,
    tables: usize,
}

impl Scene {
    fn build() -> Option<Scene> {
        tool("faketime")?;
        let cluster = Cluster::start();
        sample::create(&cluster, "astro", 1);
        let mut sandbox = Sandbox::with_tools_of(&cluster);
        let (copy, config) = (sandbox.path("copy"), sandbox.path("lacre.toml"));
        let text = format!(
            "[[job]]\nname = \"astro\"\npostgres = \"{}\"\n[[job]]\nname = \"shop\"\ncommand = [\"sh\", \"shop.sh\"]\ntags = [\"weekly books\"]\n\
             [retention]\nkeep_daily = 5\nkeep_monthly = 2\n[status]\nmin_count = 2\nmin_size = \"1\"\nmin_free = \"1\"\n\
             [drill]\nserver = \"{}\"\ncritical = [\"select count(*) > 0 from app.users\"]\n[[copy]]\nname = \"usb\"\nurl = \"{}\"\n\
             [prices]\ncurrency = \"USD\"\ndate = \"2026-11-20\"\nsource = \"a list <of> mine\"\n\
             [price.repository]\nstorage = 2000000\n[price.usb]\nfee = 1.5\n",
            cluster.url("astro"),
            cluster.url("postgres"),
            copy.display()
        );
        configure(&sandbox, &text);
        sandbox.set("LACRE_CONFIG", config);
        let mut scene = Scene { _cluster: cluster, sandbox, rto_ms: 0, tables: 0 };
        scene.days_ago(9, &["init", "--no-kit"]).exits(0);
        for day in (1..9).rev() {
            script(&scene.sandbox, "shop", if day == 5 { "seq 300; exit 7" } else { "seq 300" });
            sample::day(&scene._cluster, "astro", 9 - day);
            scene.days_ago(day, &["backup"]).exits(if day == 5 { 14 } else { 0 });
        }
        scene.events();
        Some(scene)
    }

    /// What happened besides the nights.
    fn events(&mut self) {
        let drilled = self.days_ago(1, &["drill", "astro", "--json"]).exits(0).json();
        self.rto_ms = drilled["rto_ms"].as_u64().unwrap();
        self.tables = drilled["tables"].as_array().unwrap().len();
        let run = |arguments: &[&str]| self.sandbox.run(arguments);
        run(&["repo", "check", "--read-data"]).exits(0);
        let shop = self.of_job("shop");
        run(&["hold", &shop[1], "--reason", &format!("case 7 {HOSTILE}")]).exits(0);
        let reason = ["--reason", "art17", "--request", "TICKET-812"];
        run(&[&["erase", "snapshot", &shop[2], "--yes"], &reason[..]].concat()).exits(5);
        run(&["forget", "--job", "shop", "--keep-last", "2"]).exits(0);
        run(&["copy", "sync"]).exits(0);
    }

    fn days_ago(&self, days: u32, arguments: &[&str]) -> Outcome {
        let then = format!("{days} days ago");
        let all = [&[then.as_str(), env!("CARGO_BIN_EXE_lacre")], arguments].concat();
        Outcome::of(self.sandbox.program("faketime", &all).spawn().unwrap(), arguments)
    }

    /// Live snapshots of a job, oldest first.
    fn of_job(&self, job: &str) -> Vec<String> {
        let document = self.sandbox.run(&["snapshots", "--job", job, "--json"]).exits(0).json();
        let live = document["snapshots"].as_array().unwrap().iter().filter(|row| row["state"] == "live");
        live.map(|row| row["snapshot"].as_str().unwrap().to_owned()).collect()
    }

    fn page(&self, arguments: &[&str]) -> String {
        page(&self.sandbox, arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.sandbox.run(&[arguments, &["--json"]].concat()).json()
    }
}

/// The page these arguments make.
fn page(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.run(&[&["report", "--html", "report.html"], arguments].concat()).exits(0);
    fs::read_to_string(sandbox.path("report.html")).unwrap()
}

/// A text as it stands in a page.
fn escaped(text: &str) -> String {
    let pairs = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
    text.chars()
        .map(|character| {
            pairs
                .iter()
                .find(|(known, _)| *known == character)
                .map_or(character.to_string(), |(_, escape)| (*escape).to_owned())
        })
        .collect()
}

#[track_caller]
fn says(page: &str, text: &str) {
    assert!(page.contains(&escaped(text)), "the page does not say {text:?}");
}

/// A section of the page.
#[track_caller]
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("there is no section {id}"));
    let rest = &page[from..];
    &rest[..rest.find("</section>").unwrap()]
}

/// How often this mark is drawn, the legend's left out.
fn marks(page: &str, class: &str) -> usize {
    section(page, "timeline").matches(&format!("class=\"{class}\"")).count() - 1
}

#[test]
fn the_page_says_what_the_commands_say_in_both_languages() {
    let Some(scene) = Scene::build() else { return };
    let english = scene.page(&["--since", "20d"]);
    the_histories(&scene, &english);
    the_judgements(&scene, &english);
    the_keys_and_copies(&scene, &english);
    the_cost(&scene, &english, ("repository", '.', "In all: "));
    let portuguese = scene.page(&["--lang", "pt-BR", "--since", "20d"]);
    the_cost(&scene, &portuguese, ("repositório", ',', "Ao todo: "));
    the_histories(&scene, &portuguese);
    assert!(portuguese.contains("<html lang=\"pt-BR\""));
    for (id, en, pt) in [
        ("timeline", "Timeline", "Linha do tempo"),
        ("growth", "Growth and deduplication", "Crescimento e deduplicação"),
        ("drills", "Drills and recovery times", "Ensaios e tempos de recuperação"),
        ("checks", "Audits and checks", "Verificações e testes"),
        ("retention", "Retention", "Retenção"),
        ("erasures", "Erasures", "Apagamentos"),
        ("keys", "Keys and holders", "Chaves e detentores"),
        ("copies", "Three copies", "Três cópias"),
        ("cost", "Cost", "Custo"),
        ("audit", "For the auditor", "Para o auditor"),
        ("checklist", "Quarterly checklist", "Checklist trimestral"),
    ] {
        let heading = |words: &str| format!("-h\">{words}</h2>");
        assert!(section(&english, id).contains(&heading(en)), "{id}");
        assert!(section(&portuguese, id).contains(&heading(pt)), "{id}");
    }
    assert_eq!(english.matches("<tr>").count(), portuguese.matches("<tr>").count(), "both say the same");
    assert_eq!(english.matches("<path").count(), portuguese.matches("<path").count());
    // Every number behind the checks is written as the language does, whatever else is said of them.
    for english in [" ago<", " ago,", " ago ", "behind", "up to date"] {
        assert!(!section(&portuguese, "checks").contains(english), "{english}: {}", section(&portuguese, "checks"));
    }
}

fn the_histories(scene: &Scene, page: &str) {
    let rows = scene.json(&["snapshots"])["snapshots"].as_array().unwrap().clone();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let state = if row["held"] == true { "held" } else { row["state"].as_str().unwrap() };
        *states.entry(state).or_default() += 1;
        says(section(page, "snapshots"), row["snapshot"].as_str().unwrap());
    }
    assert_eq!(section(page, "snapshots").matches("<tr>").count(), rows.len() + 1);
    for state in ["live", "held", "forgotten", "erased"] {
        assert!(states.get(state).is_some_and(|count| *count > 0), "the scene has none that is {state}: {states:?}");
        assert_eq!(marks(page, &format!("m core {state}")), states[state], "{state}");
    }
    assert_eq!(marks(page, "failed"), 1, "one job failed in one night");
    // A line and bars for each job, one pair of lines for both, and the recovery times.
    let growth = section(page, "growth");
    assert_eq!(
        (growth.matches("class=\"line").count(), growth.matches("<rect class=\"bar\"").count()),
        (4, rows.len())
    );
    assert!(section(page, "drills").contains("<polyline class=\"line\""));
    assert!(section(page, "drills").contains(&format!("<td class=\"n\">{}</td>", scene.tables)));
    let tenths = [scene.rto_ms / 1000, scene.rto_ms % 1000 / 100].map(|part| part.to_string());
    let drills = section(page, "drills");
    assert!(drills.contains(&format!("{} s", tenths.join("."))) || drills.contains(&format!("{} s", tenths.join(","))));
    assert!(section(page, "runs").contains("shop (exit 14)"));
}

fn the_judgements(scene: &Scene, page: &str) {
    let status = scene.json(&["status", "--strict"]);
    let checks = status["checks"].as_array().unwrap();
    let failing = checks.iter().filter(|check| check["ok"] == false).count();
    assert!(failing > 0);
    assert_eq!(section(page, "attention").matches("<tr>").count(), failing + 1);
    let listed = section(page, "checks");
    assert_eq!(listed.rsplit("<table>").next().unwrap().matches("<tr>").count(), checks.len() + 1);
    for check in checks.iter().filter(|check| check["name"] != "disk") {
        let value = check["value"].as_str().unwrap();
        // What is told in minutes may have become another number meanwhile.
        if !value.ends_with("ago") && !value.ends_with("now") {
            says(listed, value);
        }
        if check["ok"] == false {
            let advice = check["advice"].as_str().unwrap();
            says(section(page, "attention"), advice.split("    ").next().unwrap());
        }
    }
    let plan = scene.json(&["forget", "--dry-run"]);
    for kept in plan["kept"].as_array().unwrap() {
        let reasons: Vec<&str> = kept["reasons"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        says(section(page, "snapshots"), &reasons.join(", "));
    }
    says(section(page, "retention"), "5 daily, 2 monthly");
    says(section(page, "retention"), &format!("case 7 {HOSTILE}"));
    says(section(page, "snapshots"), "weekly books");
    let erasures = scene.json(&["erase", "status"]);
    let erasure = &erasures["erasures"][0];
    assert_eq!(erasure["state"], "interim");
    let shown = section(page, "erasures");
    says(shown, erasure["erasure"].as_str().unwrap());
    assert!(shown.contains("<span class=\"pill mind\">interim</span>"));
    let pending = erasure["pending"].as_array().unwrap();
    assert!(!pending.is_empty());
    for item in pending {
        says(shown, item["what"].as_str().unwrap());
        says(shown, item["command"].as_str().unwrap().split("    ").next().unwrap());
    }
    let document = scene.json(&["report", "--since", "20d"]);
    let answers: Vec<&str> =
        document["checklist"].as_array().unwrap().iter().map(|item| item["answer"].as_str().unwrap()).collect();
    assert_eq!(answers, ["yes", "yes", "person", "yes", "person", "yes", "yes", "person"], "{document:#}");
    for item in document["checklist"].as_array().unwrap() {
        says(section(page, "checklist"), item["question"].as_str().unwrap());
    }
    assert_eq!((&document["erasures_open"], &document["drills"]), (&1.into(), &1.into()));
}

/// What `cost` counts, in the page's own way of writing numbers.
fn the_cost(scene: &Scene, page: &str, (repository, point, sum): (&str, char, &str)) {
    let document = scene.json(&["cost"]);
    let shown = section(page, "cost");
    let cents = |amount: &Value| (amount.as_f64().unwrap() * 100.0).round();
    let written = |cents: f64| {
        let text = human::amount(cents / 100.0, Digits::CENTS).replace(',', "~").replace('.', &point.to_string());
        format!("USD {}", text.replace('~', if point == '.' { "," } else { "." }))
    };
    let amount = |amount: &Value| written(cents(amount));
    let [own, copy] = document["stores"].as_array().unwrap().as_slice() else { panic!("{document:#}") };
    assert!(own["storage"].as_f64().unwrap() > 100.0, "something to show: {own}");
    let month =
        |store: &Value| ["storage", "requests", "egress", "fee"].iter().map(|part| cents(&store[part])).sum::<f64>();
    for (name, store) in [(repository, own), ("usb", copy)] {
        let row = shown.split("<tr>").find(|row| row.contains(&format!("<th scope=\"row\">{name}</th>"))).unwrap();
        says(row, &amount(&store["storage"]));
        says(row, &amount(&store["fee"]));
        says(row, &written(month(store)));
    }
    // Sums are those of the amounts as they are shown.
    says(shown, &format!("{sum}{}", written(month(own) + month(copy))));
    let months =
        [own, copy].map(|store| store["months"].as_array().unwrap().iter().map(|month| cents(&month["total"])));
    says(shown, &written(months.into_iter().flatten().sum()));
    says(shown, ", a list <of> mine");
    assert!(page.contains("<a href=\"#cost\">"), "the contents lead there");
    let without = scene.page(&["--no-copies"]);
    assert!(!without.contains("id=\"cost\"") && !without.contains("#cost"), "what is not looked at is not billed");
}

fn the_keys_and_copies(scene: &Scene, page: &str) {
    let keys = scene.json(&["key", "list"]);
    for home in keys["homes"].as_array().unwrap() {
        says(section(page, "keys"), home["label"].as_str().unwrap());
        says(section(page, "keys"), &home["home"].as_str().unwrap()[..8]);
    }
    for recipient in keys["recipients"].as_array().unwrap() {
        says(section(page, "keys"), recipient["recipient"].as_str().unwrap());
    }
    let seal = scene.json(&["seal", "status"]);
    for holder in seal["holders"].as_array().unwrap() {
        says(section(page, "keys"), holder["name"].as_str().unwrap());
    }
    says(section(page, "keys"), &format!("Seal generation {}", seal["generation"]));
    let copies = scene.json(&["copy", "list"]);
    assert_eq!(copies["copies"][0]["state"], "current");
    let shown = section(page, "copies");
    says(shown, "usb");
    says(shown, scene.sandbox.path("copy").to_str().unwrap());
    says(shown, scene.sandbox.repository().to_str().unwrap());
    assert!(shown.contains("<span class=\"pill good\">current</span>"), "{shown}");
    // Both lie on this machine: three copies, one kind, none elsewhere.
    let rule: Vec<&str> = shown
        .split("<li>")
        .skip(1)
        .take(3)
        .filter_map(|line| line.split("</li>").next())
        .map(|line| if line.contains("pill good") { "holds" } else { "not" })
        .collect();
    assert_eq!(rule, ["holds", "not", "not"]);
    // A copy that has fallen behind, and one that is away.
    fs::rename(scene.sandbox.path("copy"), scene.sandbox.path("away")).unwrap();
    let page = scene.page(&[]);
    assert!(section(&page, "copies").contains("<span class=\"pill bad\">missing</span>"));
    fs::rename(scene.sandbox.path("away"), scene.sandbox.path("copy")).unwrap();
    assert!(section(&scene.page(&["--no-copies"]), "copies").contains("class=\"note\""));
}

#[test]
fn it_fits_a_desk_a_phone_and_paper() {
    let (Some(browser), Some(scene)) = (Browser::find(), Scene::build()) else { return };
    for language in ["en", "pt-BR"] {
        let page = scene.page(&["--lang", language]);
        let mut backgrounds = BTreeSet::new();
        for (width, scheme) in [(1280, Scheme::Light), (390, Scheme::Light), (390, Scheme::Dark), (320, Scheme::Dark)] {
            let seen = browser.measure(&page, width, scheme);
            assert_eq!(
                (seen["width"].as_u64(), seen["scroll"].as_u64()),
                (Some(width.into()), Some(width.into())),
                "{:#}",
                seen["wide"]
            );
            assert_eq!(seen["wide"].as_array().unwrap().len(), 0, "{width} {:#}", seen["wide"]);
            assert_eq!(seen["broken"].as_array().unwrap().len(), 0, "{width} {:#}", seen["broken"]);
            assert!(seen["height"].as_u64().unwrap() > 2000);
            backgrounds.insert(seen["background"].to_string());
            let drawings = seen["drawings"].as_array().unwrap();
            assert!(drawings.len() >= 8, "{drawings:#?}");
            for drawing in drawings {
                assert!(drawing["marks"].as_u64().unwrap() > 0, "nothing is drawn: {drawing}");
                assert!(
                    drawing["width"].as_f64().unwrap() > 150.0 && drawing["height"].as_f64().unwrap() > 20.0,
                    "{drawing}"
                );
                assert!(
                    !drawing["title"].as_str().unwrap().is_empty()
                        && !drawing["description"].as_str().unwrap().is_empty()
                );
            }
            let tall = drawings.iter().filter(|drawing| drawing["tall"].as_f64().unwrap() > 30.0).count();
            assert!(tall >= 4, "plots are flat: {drawings:#?}");
        }
        assert_eq!(backgrounds.len(), 2, "light and dark");
    }
    let sheets = browser.print(&scene.sandbox.path("report.html"));
    assert!((3..=20).contains(&sheets), "{sheets} sheets");
}

#[test]
fn a_successor_stands_above_what_it_replaced() {
    let nights = nights(3);
    nights.sandbox.run(&with(&["--reason", "art17", "--yes"])).exits(5);
    for (language, words, legend) in [
        ("en", "erased, replaced by its successor", "erased, its successor above"),
        ("pt-BR", "apagado, substituído por seu sucessor", "apagado, com o sucessor acima"),
    ] {
        let page = page(&nights.sandbox, &["--lang", language]);
        let timeline = section(&page, "timeline");
        let (lane, key) = timeline.split_once("<ul class=\"legend\">").unwrap();
        let (live, erased) = ("<path class=\"m core live\"", "<path class=\"m core erased under\"");
        assert_eq!((lane.matches(live).count(), lane.matches(erased).count()), (3, 3), "{lane}");
        assert!(lane.rfind(erased) < lane.find(live), "what is there is drawn last: {lane}");
        assert_eq!(lane.matches(words).count(), 3, "{lane}");
        assert!(key.contains(legend), "{key}");
        if let Some(browser) = Browser::find() {
            for width in [1280, 390] {
                let seen = browser.measure(&page, width, Scheme::Light);
                for drawing in seen["drawings"].as_array().unwrap() {
                    assert_eq!(drawing["hidden"], 0, "{width}: a mark covers another: {drawing}");
                }
                assert_eq!(seen["wide"].as_array().unwrap().len(), 0, "{:#}", seen["wide"]);
                assert_eq!(seen["broken"].as_array().unwrap().len(), 0, "ids that are broken: {:#}", seen["broken"]);
            }
        }
    }
}

#[test]
fn the_file_needs_nothing_and_can_do_nothing() {
    let sandbox = hostile();
    let page = page(&sandbox, &[]);
    let mode = fs::metadata(sandbox.path("report.html")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What is text or the value of an attribute may say anything: that it stays one is another test's.
    let markup = without_values(&page);
    for forbidden in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "<object",
        "<form",
        " src=",
        "url(",
        "@import",
        "http:",
        "https:",
        "//",
        " style=",
        "javascript:",
    ] {
        assert!(!markup.contains(forbidden), "{forbidden} stands in the page");
    }
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(
        policy.starts_with("default-src &#39;none&#39;; style-src &#39;nonce-") && !policy.contains("script"),
        "{policy}"
    );
    let ids: BTreeSet<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), page.matches(" id=\"").count(), "an id stands once");
    for target in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let id = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} leads elsewhere"));
        assert!(ids.contains(id) || ["erasures", "attention"].contains(&id), "nothing is called {id}");
    }
    // No two pages allow the same style.
    let again = self::page(&sandbox, &[]);
    assert_ne!(policy, again.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap());
    if let Some(browser) = Browser::find() {
        let seen = browser.measure(&page, 390, Scheme::Light);
        assert_eq!(seen["wide"].as_array().unwrap().len(), 0, "{:#}", seen["wide"]);
    }
}

/// The tags of a page with the names of their attributes, its style sheet, and the values of what leads somewhere or loads something.
fn without_values(page: &str) -> String {
    let mut out = String::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        let mut parts = tag.split('"');
        out.push_str(&format!("<{}", parts.next().unwrap()));
        while let (Some(value), Some(name)) = (parts.next(), parts.next()) {
            let is_shown = [" title=", " aria-label=", "<meta content="].iter().any(|shown| out.ends_with(shown));
            out.push_str(&format!("\"{}\"{name}", if is_shown { "" } else { value }));
        }
        out.push('>');
        if tag.starts_with("style") {
            out.push_str(text);
        }
    }
    out
}

/// A repository in which everything that has a name has one that would like to be markup.
fn hostile() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let folder = sandbox.path("re\"po<img src=x onerror=alert(1)>'&\u{202e}");
    sandbox.set("LACRE_REPO", &folder);
    let cell = format!("file:{}", sandbox.path("cell<script>&\"").display());
    let text = format!("[[job]]\nname = \"astro\"\ncommand = [\"sh\", \"astro.sh\"]\ntags = ['''{HOSTILE}''']\n");
    configure(&sandbox, &text);
    let config = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", config);
    sandbox.run(&["init", "--no-kit", "--seal-cell", &cell]).exits(0);
    script(&sandbox, "astro", "seq 300");
    sandbox.run(&["backup", "--tag", HOSTILE]).exits(0);
    let id = snapshots(&sandbox, "live").swap_remove(0);
    sandbox.run(&["hold", &id, "--reason", HOSTILE]).exits(0);
    sandbox
}

#[test]
fn hostile_names_stand_there_as_text() {
    let sandbox = hostile();
    for language in ["en", "pt-BR"] {
        let page = page(&sandbox, &["--lang", language]);
        assert!(!page.contains("<img") && !page.contains("<script") && !page.contains("onerror=alert(1)><"));
        says(section(&page, "retention"), HOSTILE);
        says(section(&page, "snapshots"), HOSTILE);
        says(section(&page, "keys"), "cell<script>&\"");
        // A name that turns the direction of the text shows that there is something.
        says(&page, "re\"po<img src=x onerror=alert(1)>'&\u{fffd}");
        assert!(!page.contains('\u{202e}'));
    }
}

#[test]
fn a_host_without_keys_sees_no_names() {
    let sandbox = hostile();
    let mut elsewhere = Sandbox::new();
    elsewhere.set("LACRE_REPO", sandbox.path("re\"po<img src=x onerror=alert(1)>'&\u{202e}"));
    let page = page(&elsewhere, &[]);
    let id = snapshots(&sandbox, "live").swap_remove(0);
    says(section(&page, "snapshots"), &id);
    for sealed in ["astro", "seq", "alert(&#39;x&#39;)</td>"] {
        assert!(!page.contains(sealed), "{sealed}");
    }
    assert!(page.contains("This host cannot read names and sizes of jobs"));
    assert!(section(&page, "growth").contains("they are sealed") && section(&page, "runs").contains("sealed here"));
    assert_eq!(marks(&page, "m core held"), 1);
}

#[test]
fn it_prints_writes_or_answers_and_is_exit_0_whatever_it_says() {
    let sandbox = Sandbox::new();
    sandbox.run(&["report"]).exits(10);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let empty = page(&sandbox, &[]);
    assert!(section(&empty, "timeline").contains("No snapshots yet."));
    sandbox.run_with_input(&["backup", "--stdin", "astro"], b"one\ntwo\n").exits(0);
    sandbox.run(&["status"]).exits(3);
    let printed = sandbox.run(&["report", "--html", "-"]).exits(0).text();
    assert!(printed.starts_with("<!DOCTYPE html>") && printed.ends_with("</html>\n"));
    let words = sandbox.run(&["report"]).exits(0).text();
    assert!(words.contains("!! A full restore was run") && words.contains("hint: lacre drill"), "{words}");
    let words = sandbox.run(&["report", "--lang", "pt-BR"]).exits(0).text();
    assert!(words.contains("!! Um restore completo foi executado"), "{words}");
    let document = sandbox.run(&["report", "--html", "report.html", "--json"]).exits(0).json();
    assert_eq!(
        (&document["html"], &document["snapshots"], &document["ok"]),
        (&"report.html".into(), &1.into(), &false.into())
    );
    let tomorrow = (Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let document = sandbox.run(&["report", "--since", &tomorrow, "--json"]).exits(0).json();
    assert_eq!(document["snapshots"], 0);
    sandbox.run(&["report", "--since", "yesterday"]).exits(2);
    sandbox.run(&["report", "--lang", "tlh"]).exits(2);
    let refused = sandbox.run(&["report", "--html", "no/such/folder/report.html"]).exits(1);
    assert!(refused.stderr.contains("cannot write no/such/folder/report.html"), "{}", refused.stderr);
}

#[test]
fn a_page_is_one_listing_of_the_bucket() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for number in 0..3 {
        sandbox.run_with_input(&["backup", "--stdin", "astro"], format!("{number}\n").repeat(3000).as_bytes()).exits(0);
    }
    sandbox.run(&["status"]);
    proxy.forget();
    let page = page(&sandbox, &[]);
    let records = proxy.records();
    assert_eq!(marks(&page, "m core live"), 3);
    let count = Count::of(&records);
    assert_eq!(count.of_kind(Kind::List), 1, "{records:?}");
    assert!(count.requests() <= 2, "{records:?}");
    assert!(section(&page, "checklist").contains("the repository lies in a bucket"));
}
