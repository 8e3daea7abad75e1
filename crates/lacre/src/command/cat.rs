//! `lacre cat`: one stream's bytes on stdout.

use super::findings;
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
    let corrections = snapshot.corrections();
    findings::warn(invocation, &corrections);
    Ok(findings::exit(&corrections))
}
