//! `lacre cat`: one stream's bytes on stdout.

use super::{findings, restore::last_look::still_there};
use crate::{
    cli::CatArgs,
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    term::Form,
    vault::{Vault, watching},
};

/// Writes the stream; its hash is compared at the end, so an error means that what was written must not be used.
///
/// # Errors
/// Those of the vault, [`Kind::Damaged`] when the stream is not what was backed up, and of stdout.
pub(super) fn run(invocation: &Invocation, args: &CatArgs) -> Result<Exit, CliError> {
    if invocation.terminal.form == Form::Json {
        return Err(CliError::new(Kind::Usage, "cat writes the stream itself and has no JSON form")
            .hint("leave out --json; `lacre ls --json` lists the streams"));
    }
    let vault = Vault::open(invocation)?;
    let snapshot = vault.open_kept(invocation, &args.snapshot, &args.keys.kits)?;
    let stream = snapshot.stream(&args.stream).map_err(|error| vault.explain(error))?;
    let mut out = invocation.terminal.raw_stdout()?;
    let (line, watching) = watching(invocation);
    watching.expect_bytes(stream.bytes);
    let read = snapshot.read(stream, &mut out, &watching);
    line.finish();
    read.map_err(|error| vault.explain(error))?;
    // The bytes are out; whoever reads them learns from the exit code that they must not be used.
    still_there(&vault, snapshot.id(), None).map_err(|why| {
        let what = format!("what was written of snapshot {} must not be used: {why}", snapshot.id());
        CliError::new(Kind::Refused, what).hint("lacre snapshots shows which snapshots there are")
    })?;
    let corrections = snapshot.corrections();
    findings::warn(invocation, &corrections);
    Ok(findings::exit(&corrections))
}
