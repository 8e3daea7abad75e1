use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command, ReadData, RepoAction};
use crate::cli::value::SnapshotName;

#[track_caller]
fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[track_caller]
fn refused(line: &str, reason: &str) {
    let error = Cli::try_parse_from(line.split_whitespace()).expect_err(line).to_string();
    assert!(error.contains(reason), "{line}: {error}");
}

#[test]
fn the_tree_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_command_source_takes_everything_after_two_dashes() {
    let Command::Backup(args) = parse("lacre backup --command shop -- mysqldump --json -v shop").command else {
        panic!()
    };
    assert_eq!(args.command.unwrap().as_str(), "shop");
    assert_eq!(args.argv, ["mysqldump", "--json", "-v", "shop"]);
    refused("lacre backup --command shop", "<CMD>");
    refused("lacre backup astro -- mysqldump", "cannot be used with");
    refused("lacre backup -- mysqldump", "--command");
    refused("lacre backup --stdin a --file b=/c", "cannot be used with");
    refused("lacre backup --stdin A", "'A' is not allowed in a job name");
}

#[test]
fn global_flags_stand_anywhere() {
    for line in ["lacre --json --repo /r snapshots", "lacre snapshots --json --repo /r"] {
        let cli = parse(line);
        assert!(cli.global.json && cli.global.repo.unwrap().to_string() == "/r", "{line}");
    }
    refused("lacre --repo ftp://x snapshots", "'ftp' is not a store");
    refused("lacre -q -v snapshots", "cannot be used with");
}

#[test]
fn restore_needs_exactly_one_target() {
    let Command::Restore(args) = parse("lacre restore latest:astro --to postgres:///x --table a.b --table c").command
    else {
        panic!()
    };
    assert_eq!((args.tables.len(), args.jobs, args.swap), (2, 2, false));
    refused("lacre restore latest --to postgres:///x --table a.b --swap", "cannot be used with");
    refused("lacre restore latest", "--to <URL>");
    refused("lacre restore latest --stdout --to-file x", "cannot be used with");
    refused("lacre restore latest --stdout --swap", "cannot be used with");
    refused("lacre restore latest --create", "--to <URL>");
}

#[test]
fn check_has_an_alias_and_an_optional_share() {
    let Command::Check(args) = parse("lacre check --read-data").command else { panic!() };
    assert!(matches!(args.read_data(), ReadData::Share(share) if share.fraction() == 1.0));
    let Command::Repo(repo) = parse("lacre repo check --read-data=5% --level 2 --snapshot 8f").command else {
        panic!()
    };
    let RepoAction::Check(args) = repo.action else { panic!() };
    assert!(matches!(args.read_data(), ReadData::Share(share) if share.fraction() == 0.05));
    assert_eq!((args.level, args.snapshot), (Some(2), Some(SnapshotName::Prefix("8f".into()))));
    refused("lacre repo check --level 6", "1..=5");
    refused("lacre repo check --max-age 1d --read-data", "cannot be used with");
    assert!(matches!(parse("lacre stats").command, Command::Stats));
}

#[test]
fn undo_stands_alone() {
    parse("lacre forget --undo 8f21");
    refused("lacre forget --undo 8f21 --keep-last 3", "cannot be used with");
    refused("lacre forget --keep-within 3parsecs", "is not a time span");
}

#[test]
fn every_command_explains_itself_with_an_example() {
    fn look(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path} has no help");
            if sub.get_subcommands().next().is_none() {
                let long = sub.get_long_about().or(sub.get_about()).unwrap().to_string();
                assert!(long.contains("Example"), "{path} has no example: {long}");
            }
            for argument in sub.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
            look(sub, &path);
        }
    }
    look(&Cli::command(), "lacre");
}
