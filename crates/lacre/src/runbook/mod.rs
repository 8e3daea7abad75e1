//! Runbooks: what to do on the worst days, with this repository's names, sizes, places and the commands to type.
//!
//! In: facts. Out: a page of Markdown in one of two languages. The commands of a page are the same in both. No secret is among the facts, so none
//! is on a page. It must not know how facts are gathered.

mod data;
pub mod facts;
mod loss;
mod sheet;

use std::fmt::Write as _;

use facts::Facts;

pub use self::sheet::short;
use crate::lang::Lang;

/// A bad day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The server is gone.
    TotalLoss,
    /// Data were damaged in the last hours.
    Corruption,
    /// Rows were deleted.
    Deletion,
    /// A key is lost.
    LostKey,
    /// A holder of the seal is lost.
    LostSeal,
    /// Somebody encrypts or deletes what they reach.
    Ransomware,
    /// A person asks to be erased.
    Erasure,
}

impl Scenario {
    /// All of them, in the order of the page.
    pub const ALL: [Scenario; 7] = [
        Scenario::TotalLoss,
        Scenario::Corruption,
        Scenario::Deletion,
        Scenario::LostKey,
        Scenario::LostSeal,
        Scenario::Ransomware,
        Scenario::Erasure,
    ];

    /// The name that is typed.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::TotalLoss => "total-loss",
            Scenario::Corruption => "corruption",
            Scenario::Deletion => "deletion",
            Scenario::LostKey => "lost-key",
            Scenario::LostSeal => "lost-seal",
            Scenario::Ransomware => "ransomware",
            Scenario::Erasure => "erasure",
        }
    }

    fn write(self, facts: &Facts, page: &mut Page) {
        match self {
            Scenario::TotalLoss => loss::total(facts, page),
            Scenario::Corruption => data::corruption(facts, page),
            Scenario::Deletion => data::deletion(facts, page),
            Scenario::LostKey => loss::key(facts, page),
            Scenario::LostSeal => loss::seal(facts, page),
            Scenario::Ransomware => data::ransomware(facts, page),
            Scenario::Erasure => data::erasure(facts, page),
        }
    }
}

/// A block of commands on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name, which is that of its scenario, or begins with it.
    pub name: String,
    /// The commands, one a line.
    pub commands: String,
}

/// A page that is being written.
pub struct Page {
    lang: Lang,
    text: String,
    blocks: Vec<Block>,
}

impl Page {
    /// Makes an empty page.
    fn new(lang: Lang) -> Page {
        Page { lang, text: String::new(), blocks: Vec::new() }
    }

    fn pick<'t>(&self, english: &'t str, portuguese: &'t str) -> &'t str {
        self.lang.pick(english, portuguese)
    }

    fn heading(&mut self, level: usize, english: &str, portuguese: &str) {
        let title = self.pick(english, portuguese).to_owned();
        self.put(&format!("{} {title}\n", "#".repeat(level)));
    }

    /// A paragraph.
    fn say(&mut self, english: &str, portuguese: &str) {
        let text = self.pick(english, portuguese).to_owned();
        self.put(&format!("{text}\n"));
    }

    /// One item of a list.
    fn item(&mut self, english: &str, portuguese: &str) {
        let text = self.pick(english, portuguese).to_owned();
        let line = format!("- {text}\n");
        if self.text.lines().last().is_some_and(|last| last.starts_with("- ")) {
            self.text.push_str(&line);
        } else {
            self.put(&line);
        }
    }

    /// Commands, ready to type.
    fn run(&mut self, name: &str, commands: &[String]) {
        let mut text = commands.join("\n");
        text.push('\n');
        self.put(&format!("```sh runbook {name}\n{text}```\n"));
        self.blocks.push(Block { name: name.to_owned(), commands: text });
    }

    fn table(&mut self, headings: &[(&str, &str)], rows: &[Vec<String>]) {
        let titles: Vec<String> =
            headings.iter().map(|(english, portuguese)| self.pick(english, portuguese).to_owned()).collect();
        let mut text = format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string cannot fail");
        }
        self.put(&text);
    }

    /// Anything, apart from what stands before it.
    fn put(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }
}

/// A written page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// Markdown.
    pub text: String,
    /// Its commands.
    pub blocks: Vec<Block>,
}

/// Writes a page of these scenarios.
pub fn write(facts: &Facts, scenarios: &[Scenario], lang: Lang) -> Runbook {
    let mut page = Page::new(lang);
    head(facts, &mut page);
    for scenario in scenarios {
        scenario.write(facts, &mut page);
    }
    Runbook { text: page.text, blocks: page.blocks }
}

/// What is where, and how large, and when it was last proved.
fn head(facts: &Facts, page: &mut Page) {
    let host = &facts.host;
    page.heading(
        1,
        &format!("Runbook of the backups of {host}"),
        &format!("Roteiro de emergência dos backups de {host}"),
    );
    page.say(
        &format!(
            "Made on {} by lacre {}. Make it again when jobs, copies or keys change: `lacre runbook > runbook.md`. It holds no secret: \
             print it, and keep it with the kit.",
            facts.made, facts.version
        ),
        &format!(
            "Feito em {} pelo lacre {}. Refaça quando mudarem jobs, cópias ou chaves: `lacre runbook --lang pt-BR > roteiro.md`. Não contém \
             segredo algum: imprima e guarde junto do kit.",
            facts.made, facts.version
        ),
    );
    page.say(
        "**Until you know what happened, delete nothing**: neither snapshots nor databases nor anything in a bucket.",
        "**Até saber o que aconteceu, não apague nada**: nem snapshots, nem bancos de dados, nem nada em um bucket.",
    );
    let none = page.pick("none", "nenhum").to_owned();
    let listed = |items: Vec<String>| if items.is_empty() { none.clone() } else { items.join("; ") };
    let line = |page: &Page, english: &str, portuguese: &str, value: String| {
        vec![page.pick(english, portuguese).to_owned(), value]
    };
    let rows = vec![
        line(page, "repository", "repositório", format!("{}, `{}`", facts.repository, facts.place)),
        line(page, "stored", "armazenado", facts.stored.clone()),
        line(page, "copies", "cópias", listed(facts.copies.iter().map(facts::Copy::shown).collect())),
        line(page, "seal", "lacre", listed(facts.holders(page.lang))),
        line(page, "who may read", "quem pode ler", listed(facts.readers.clone())),
        line(page, "keys of this host", "chaves desta máquina", format!("`{}`", facts.keys.display())),
        line(
            page,
            "configuration",
            "configuração",
            facts.config.as_ref().map_or(none.clone(), |path| format!("`{}`", path.display())),
        ),
    ];
    page.table(&[("", ""), ("", "")], &rows);
    let never = page.pick("never", "nunca").to_owned();
    let rows: Vec<Vec<String>> = facts
        .jobs
        .iter()
        .map(|job| {
            let newest = job.newest.as_ref();
            let drill = job.drill.as_ref();
            vec![
                job.name.clone(),
                newest.map_or(never.clone(), |newest| format!("`{}`, {}", newest.id, newest.time)),
                newest.map_or_else(String::new, |newest| newest.size.clone()),
                newest.map_or_else(String::new, |newest| newest.rows.clone()),
                job.count.to_string(),
                drill.map_or(never.clone(), |drill| drill.time.clone()),
                drill.map_or_else(String::new, |drill| drill.recovery.clone()),
            ]
        })
        .collect();
    let headings = [
        ("job", "job"),
        ("newest snapshot", "snapshot mais novo"),
        ("size", "tamanho"),
        ("rows", "linhas"),
        ("snapshots", "snapshots"),
        ("last passed drill", "último ensaio aprovado"),
        ("recovered in", "recuperado em"),
    ];
    page.table(&headings, &rows);
}

/// A word as a shell reads it.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@=,+-%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_word_is_quoted_when_a_shell_would_read_it_otherwise() {
        assert_eq!(word("s3://b/p"), "s3://b/p");
        assert_eq!(word("s3://b/p?region=eu"), "'s3://b/p?region=eu'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word(""), "''");
    }
}
