//! `lacre cost`: a real repository and its copies counted, prices that are old or missing, and the run of the old page as it is documented.

use std::fs;

use serde_json::Value;

use super::{configure, job, script, site};
use crate::support::sandbox::Sandbox;

const PAGE: &str = include_str!("../../docs/COST.md");
const PAGINA: &str = include_str!("../../docs/OPERATIONS.pt-BR.md");
const PRICES: &str = "[prices]\ncurrency = \"USD\"\ndate = \"{today}\"\nsource = \"a list\"\n";

/// What stands in the blocks of a page with this info string.
fn blocks(page: &str, info: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(name)) if name == info => open = Some(String::new()),
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(text), _) => text.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    found
}

fn today() -> String {
    jiff::Zoned::now().date().to_string()
}

fn prices(more: &str) -> String {
    format!("{}{more}", PRICES.replace("{today}", &today()))
}

fn number(document: &Value, name: &str) -> f64 {
    document[name].as_f64().unwrap_or_else(|| panic!("no {name} in {document}"))
}

#[test]
fn the_run_of_the_old_page_is_what_the_page_says() {
    let tables = blocks(PAGE, "toml cost");
    assert!(
        tables.len() == 1 && tables[0].contains("s3/pricing") && tables[0].contains("backblaze.com"),
        "both tables and their sources"
    );
    let mut sandbox = Sandbox::new();
    configure(&sandbox, &tables[0]);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path).unset("LACRE_REPO");
    let command = blocks(PAGE, "sh cost").concat();
    let typed: Vec<&str> = command.trim().strip_prefix("lacre ").unwrap().split(' ').collect();
    // The page's own day is old by now; what it shows is what it said on that day.
    let fresh = format!("prices.date={}", today());
    let run = sandbox.run(&[&typed[..], &["--set", &fresh]].concat()).exits(0);
    let shown = blocks(PAGE, "text cost").concat();
    let date =
        tables[0].lines().find_map(|line| line.strip_prefix("date = \"")).unwrap().trim_end_matches('"').to_owned();
    assert_eq!(run.text().replace(&today(), &date), shown);
    let old = sandbox.run(&typed).exits(3);
    assert!(old.text().contains("more than 180 days ago"), "{}", old.text());
    // The old page: about 0.10 a month for 4.5 GB in S3, 0.02 in B2.
    let document = sandbox.run(&[&typed[..], &["--json", "--set", &fresh]].concat()).exits(0).json();
    let store =
        |name: &str| document["stores"].as_array().unwrap().iter().find(|store| store["name"] == name).unwrap().clone();
    assert_eq!(store("repository")["bytes"], 4_500_000_000_u64);
    assert!((number(&store("repository"), "storage") - 4.5e9 / f64::from(1 << 30) * 0.023).abs() < 1e-4);
    assert_eq!(number(&store("offsite"), "storage"), 0.0, "the first 10 GB are free");
    assert!(PAGINA.contains("lacre cost"), "the Portuguese page names it");
}

#[test]
fn a_repository_and_its_copy_are_counted_as_they_are() {
    let sandbox = site(&job("astro"), None);
    fs::create_dir(sandbox.path("disk")).unwrap();
    let place = sandbox.path("disk/copy");
    let config =
        |prices: &str| format!("{}[[copy]]\nname = \"disk\"\nurl = \"{}\"\n{prices}", job("astro"), place.display());
    let table = "[price.repository]\nstorage = 20\nput = 5\nget = 0.4\nlist = 5\negress = 90\n[price.disk]\nstorage = 6\nfree_storage = \"1MB\"\nfee = 3\n";
    configure(&sandbox, &config(&prices(table)));
    script(&sandbox, "astro", "seq 200000");
    sandbox.run(&["backup"]).exits(0);
    let document = sandbox.run(&["cost", "--json"]).exits(0).json();
    let lies = |folder: std::path::PathBuf| -> (u64, u64) {
        let files = crate::support::sandbox::files_under(&folder);
        (files.iter().map(|file| fs::metadata(file).unwrap().len()).sum(), files.len() as u64)
    };
    let stats = sandbox.run(&["repo", "stats", "--json"]).exits(0).json();
    let [own, copy] = document["stores"].as_array().unwrap().as_slice() else { panic!("{document:#}") };
    assert_eq!(
        (&own["name"], &own["bytes"], &own["objects"]),
        (&"repository".into(), &stats["bytes_stored"], &stats["objects"])
    );
    assert_eq!((&copy["name"], copy["bytes"].as_u64().unwrap() <= lies(place.clone()).0), (&"disk".into(), true));
    let bytes = own["bytes"].as_f64().unwrap();
    assert!((number(own, "storage") - bytes / 1e9 * 20.0).abs() < 1e-5, "{own}");
    assert_eq!((number(copy, "storage"), number(copy, "fee")), (0.0, 3.0));
    // A night a day is assumed of a repository of a day: its writes, and its hourly looks.
    assert!(number(own, "requests") > 24.0 * 30.0 / 1000.0 * 5.0, "{own}");
    // What is brought to the copy leaves the repository.
    assert!(number(own, "egress") > 0.0 && number(copy, "egress") == 0.0, "{own}");
    let sum: f64 = ["storage", "requests", "egress", "fee"].iter().map(|part| number(own, part)).sum();
    assert!((sum - number(own, "month")).abs() < 1e-5);
    assert!((number(&document, "month") - number(own, "month") - number(copy, "month")).abs() < 1e-5);
    assert_eq!(document["months"].as_array().unwrap().len(), 12);
    assert!(number(own, "restore") >= bytes / 1e9 * 90.0 - 1e-5, "{own}");
    let text = sandbox.run(&["cost"]).exits(0).text();
    assert!(text.contains("a month: USD ") && text.contains("a list: check yours"), "{text}");
}

#[test]
fn the_months_to_come_follow_growth_and_retention() {
    let rules = "[retention]\nkeep_daily = 10\n";
    let table = "[price.repository]\nstorage = 1000\n[[job]]\nname = \"astro\"\nstdin = true\n";
    let sandbox = site(&prices(table), None);
    let now = jiff::Timestamp::now();
    for days in (0..10_i64).rev() {
        let mut text = String::new();
        for row in 0..4_000_i64 {
            text.push_str(&format!(
                "INSERT INTO t VALUES ({row}, '{:x}');\n",
                (row * 97 + days).wrapping_mul(2_654_435_761)
            ));
        }
        fs::write(sandbox.path("old.sql"), &text).unwrap();
        let time = (now - jiff::SignedDuration::from_hours(24 * days)).to_string();
        sandbox.run(&["import", "old.sql", "--job", "astro", "--time", &time]).exits(0);
    }
    let months = |more: &str| -> Vec<f64> {
        configure(&sandbox, &format!("{}{more}", prices(table)));
        let document = sandbox.run(&["cost", "--json"]).exits(0).json();
        assert!(document["bytes_added_month"].as_u64().unwrap() > 0, "{document:#}");
        document["stores"][0]["months"]
            .as_array()
            .unwrap()
            .iter()
            .map(|month| month["bytes"].as_f64().unwrap())
            .collect()
    };
    let all = months("");
    assert!(all.windows(2).all(|pair| pair[1] > pair[0] * 1.02), "without rules it grows for ever: {all:?}");
    let kept = months(rules);
    assert!(kept[11] < kept[1] * 1.02, "the rules keep ten nights: {kept:?}");
    assert!(kept[11] < all[11] / 4.0, "{kept:?} {all:?}");
    // A minimum of days is billed for nights that go after ten.
    let bill = |more: &str| {
        configure(
            &sandbox,
            &format!("{}{rules}", prices(&table.replace("storage = 1000\n", &format!("storage = 1000\n{more}")))),
        );
        sandbox.run(&["cost", "--json"]).exits(0).json()["months"][11].as_f64().unwrap()
    };
    assert!(bill("storage_days_min = 90\n") > bill("") * 1.5);
}

#[test]
fn old_and_missing_prices_are_said() {
    let sandbox = site(&job("astro"), None);
    script(&sandbox, "astro", "seq 2000");
    sandbox.run(&["backup"]).exits(0);
    let none = sandbox.run(&["cost"]).exits(2);
    assert!(none.stderr.contains("[price.repository]") && none.stderr.contains("docs/COST.md"), "{}", none.stderr);
    let old = "[prices]\ncurrency = \"BRL\"\ndate = \"2020-01-01\"\n[price.repository]\nstorage = 1\n";
    configure(&sandbox, &format!("{}{old}", job("astro")));
    let run = sandbox.run(&["cost", "--json"]).exits(3).json();
    assert_eq!((&run["currency"], &run["prices_of"]), (&"BRL".into(), &"2020-01-01".into()));
    assert!(run["findings"][0]["what"].as_str().unwrap().contains("2020-01-01"), "{run:#}");
    // A bucket without a price, that is not there either.
    let nowhere = format!("s3://nowhere/x?endpoint=http://127.0.0.1:{}", lacre_test_bucket::free_port());
    let copy = format!("[limits]\npatience = \"1s\"\n[[copy]]\nname = \"far\"\nurl = \"{nowhere}\"\n");
    configure(&sandbox, &format!("{}{}{copy}", job("astro"), prices("[price.repository]\nstorage = 1\n")));
    let run = sandbox.run(&["cost", "--json"]).exits(3).json();
    let said = run["findings"].to_string();
    assert!(said.contains("[price.far]") && said.contains("could not be listed"), "{said}");
    assert_eq!(run["stores"][1]["bytes"], run["stores"][0]["bytes"], "it is taken to hold what the repository holds");
    configure(&sandbox, &format!("{}{}", job("astro"), prices("[price.offsite]\nstorage = 1\n")));
    let wrong = sandbox.run(&["cost"]).exits(2);
    assert!(wrong.stderr.contains("no such store"), "{}", wrong.stderr);
}
