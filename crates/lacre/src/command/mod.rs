//! The commands: one file per verb, each one library call and what is shown of it.

mod adopt;
mod backup;
mod cat;
mod cells;
mod check;
mod completions;
mod config;
mod config_reach;
mod copy;
mod cost;
mod daemon;
mod dashboard;
mod doctor;
mod drill;
mod drill_tell;
mod erase;
mod findings;
mod forget;
mod hold;
mod import;
mod init;
mod key;
mod kit;
mod man;
mod operate;
mod prune;
mod repair;
mod report;
mod restore;
mod rows;
mod runbook;
mod schedule;
mod seal;
mod show;
mod snapshots;
mod stats;
mod status;
mod streams;
mod structure;

use crate::{
    cli::{Command, RepoAction},
    error::CliError,
    exit::Exit,
    invocation::Invocation,
};

/// Runs the command that was typed.
///
/// # Errors
/// What the command failed of; its kind decides the exit code.
pub fn run(invocation: &Invocation, command: &Command) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => init::run(invocation, args),
        Command::Backup(args) => backup::run(invocation, args),
        Command::Import(args) => import::run(invocation, args),
        Command::Snapshots(args) => snapshots::run(invocation, args),
        Command::Show(args) => show::show(invocation, args),
        Command::Ls(args) => show::ls(invocation, args),
        Command::Cat(args) => cat::run(invocation, args),
        Command::Restore(args) => restore::run(invocation, args),
        Command::Rows(args) => rows::rows(invocation, args),
        Command::Diff(args) => rows::diff(invocation, args),
        Command::History(args) => rows::history(invocation, args),
        Command::Recover(args) => rows::recover(invocation, args),
        Command::Spot(args) => rows::spot(invocation, args),
        Command::Drill(args) => drill::run(invocation, args),
        Command::Repo(args) => match &args.action {
            RepoAction::Check(args) => check::run(invocation, args),
            RepoAction::Stats => stats::stats(invocation),
            RepoAction::Rebuild => stats::rebuild(invocation),
            RepoAction::Repair(args) => repair::run(invocation, args),
            RepoAction::Prune(args) => prune::run(invocation, args),
            RepoAction::Adopt(args) => adopt::run(invocation, args),
        },
        Command::Check(args) => check::run(invocation, args),
        Command::Stats => stats::stats(invocation),
        Command::Prune(args) => prune::run(invocation, args),
        Command::Copy(args) => copy::run(invocation, args),
        Command::Forget(args) => forget::run(invocation, args),
        Command::Hold(args) => hold::hold(invocation, args),
        Command::Release(args) => hold::release(invocation, args),
        Command::Erase(args) => erase::run(invocation, args),
        Command::Receipt(args) => erase::receipt(invocation, args),
        Command::Seal(args) => seal::run(invocation, args),
        Command::Kit(args) => kit::run(invocation, args),
        Command::Key(args) => key::run(invocation, args),
        Command::Status(args) => status::run(invocation, args),
        Command::Cost(args) => cost::run(invocation, args),
        Command::Report(args) => report::run(invocation, args),
        Command::Dashboard(args) => dashboard::run(invocation, args),
        Command::Daemon(args) => daemon::run(invocation, args),
        Command::Schedule(args) => schedule::run(invocation, args),
        Command::Config(args) => config::run(invocation, args),
        Command::Doctor(args) => doctor::run(invocation, args),
        Command::Runbook(args) => runbook::run(invocation, args),
        Command::Completions(args) => completions::run(invocation, args),
        Command::Man(args) => man::run(invocation, args),
    }
}
