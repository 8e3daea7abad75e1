//! The first scenario on the kit's own paper: how to get everything back when the server is gone.
//!
//! Every line begins with `#`, so that whoever types the sheet in may leave it out, and nothing that is checked on the sheet changes.

use super::{
    facts::{Facts, Hand},
    loss::{FRESH_HOME, repository, restores},
};

/// The text below a sheet that holds the seal, or the way to it.
pub fn short(facts: &Facts) -> String {
    let place = facts.elsewhere();
    let mut lines = vec![
        "# IF THE SERVER IS GONE".to_owned(),
        "#".to_owned(),
        format!(
            "# On any Linux machine with lacre {} or newer, in an empty folder: this sheet, typed or scanned, as kit.txt,",
            facts.version
        ),
        match facts.identity_sheet {
            Some(_) => "# and the identity sheet as kit.txt-identity. Then:".to_owned(),
            None => "# and an identity of one who may read as identity.txt. Then:".to_owned(),
        },
        "#".to_owned(),
    ];
    let flags = format!(" --kit kit.txt{}", facts.identity_flags(Hand::Elsewhere));
    let mut commands = vec![FRESH_HOME.to_owned(), repository(place), "lacre snapshots".to_owned()];
    let jobs = restores(facts, &flags, " --create --globals");
    if jobs.is_empty() {
        commands.push(format!("lacre restore latest{flags} --to-file latest.restored"));
    }
    commands.extend(jobs);
    lines.extend(commands.iter().map(|command| format!("#     {command}")));
    lines.push("#".to_owned());
    if place.contains("://") {
        lines.push("# The bucket needs a key that may read, in the environment (AWS_ or B2_ variables).".to_owned());
    }
    for copy in facts.copies.iter().filter(|copy| copy.place != place) {
        lines.push(format!("# Another copy: {} ({})", copy.place, copy.name));
    }
    if place != facts.place {
        lines.push(format!("# The repository itself was at {}.", facts.place));
    }
    if !facts.survives() {
        lines.push(format!(
            "# When this was printed there was no copy elsewhere: without {place} there is nothing to open."
        ));
    }
    lines.push("# All of it, and other bad days: lacre runbook".to_owned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::short;
    use crate::runbook::facts::{Copy, Database, Facts, Job, Night};

    #[test]
    fn every_line_is_a_comment_of_the_sheet() {
        let night = Night { id: "8f21".into(), time: String::new(), size: String::new(), rows: String::new() };
        let job = Job {
            name: "astro".into(),
            database: Some(Database { name: "astro".into(), url: "postgres:///astro".into() }),
            newest: Some(night),
            ..Job::default()
        };
        let facts = Facts {
            place: "/srv/backup/lacre".into(),
            copies: vec![Copy { name: "usb".into(), place: "/mnt/usb/lacre".into(), state: String::new() }],
            identity_sheet: Some(1),
            jobs: vec![job],
            ..Facts::default()
        };
        let text = short(&facts);
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
        let wanted = "#     lacre restore latest:astro --kit kit.txt --kit kit.txt-identity --to postgres:///astro --create --globals\n";
        assert!(text.contains("export LACRE_REPO=/mnt/usb/lacre\n") && text.contains(wanted), "{text}");
        assert!(text.contains("was at /srv/backup/lacre"), "{text}");
        let bare = Facts { place: "/srv/r".into(), ..Facts::default() };
        assert!(short(&bare).contains("no copy elsewhere") && short(&bare).contains("--identity identity.txt"));
    }
}
