//! Machines: one asks, an admin answers, it joins; and one is revoked.

use std::sync::Arc;

use lacre_repo::{
    SystemClock,
    home::Home,
    op::join::{self, read_request, read_token},
};

use super::{role_name, role_of, text_of, write_out};
use crate::{
    cli::{EnrolWriterArgs, KeyJoinArgs, KeyRequestArgs, RevokeWriterArgs, value::StoreUrl},
    command::{findings, init::host_name},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{EnrolResult, JoinResult, KeyRequestResult, RevokeResult},
    term::prompt::{self, Agreement},
    vault::{Vault, explain, open_store},
};

/// Makes this machine's keys and prints the request.
///
/// # Errors
/// [`Kind::Usage`] for a label that cannot be shown; those of files.
pub(super) fn request(invocation: &Invocation, args: &KeyRequestArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
    let label = args.label.clone().unwrap_or_else(host_name);
    let asked = join::ask(&home, &label).map_err(|error| explain(error, None))?;
    let document = KeyRequestResult {
        home: asked.home.to_string(),
        file: write_out(args.out.as_deref(), &asked.text)?,
        request: asked.text,
        fingerprint: asked.fingerprint,
    };
    invocation.print(&document, |out| {
        match &document.file {
            Some(file) => writeln!(out, "the request is in {file}: take it to the admin's machine")?,
            None => writeln!(out, "take this to the admin's machine:\n\n{}\n", document.request)?,
        }
        writeln!(out, "the admin's machine must show these words: {}", document.fingerprint)?;
        writeln!(out, "there: lacre key enrol-writer REQUEST; then here: lacre key join TOKEN")
    })?;
    Ok(Exit::Done)
}

/// Enrols a machine and prints its token.
///
/// # Errors
/// [`Kind::Usage`] for a request that is not whole; [`Kind::Refused`] when nobody confirmed the words; those of the vault.
pub(super) fn enrol(invocation: &Invocation, args: &EnrolWriterArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let text = text_of(&args.request, "lacre-request-")?;
    let asked = read_request(&text).map_err(|error| vault.explain(error))?;
    let role = role_of(args.role);
    let question = format!(
        "{} asks to become a {} home. Does it show these words: {}?",
        asked.request.label,
        role_name(role),
        asked.fingerprint
    );
    prompt::confirm(&invocation.terminal, Agreement::from(args.yes), &question)?;
    let url = args.url.clone().unwrap_or_else(|| vault.place.to_string());
    store_of(&url)?;
    let enrolled =
        vault.repository.enrol(&text, role, args.label.as_deref(), &url).map_err(|error| vault.explain(error))?;
    let document = EnrolResult {
        home: enrolled.home.to_string(),
        role: role_name(enrolled.role).to_owned(),
        label: enrolled.label,
        policy: enrolled.policy,
        file: write_out(args.out.as_deref(), &enrolled.token)?,
        token: enrolled.token,
        fingerprint: enrolled.fingerprint,
    };
    invocation.print(&document, |out| {
        writeln!(out, "{} is enrolled as {} (policy {})", document.label, document.role, document.policy)?;
        match &document.file {
            Some(file) => writeln!(out, "its token is in {file}: take it to that machine")?,
            None => writeln!(out, "take this to that machine:\n\n{}\n", document.token)?,
        }
        writeln!(out, "that machine must show these words: {}", document.fingerprint)?;
        writeln!(out, "give it store credentials of its own (docs/policies), then there: lacre key join TOKEN")
    })?;
    Ok(Exit::Done)
}

/// Takes the token on the new machine.
///
/// # Errors
/// [`Kind::Usage`] for a token that is not whole; [`Kind::Refused`] for another machine's; [`Kind::Damaged`] when repository and token
/// do not belong together.
pub(super) fn join(invocation: &Invocation, args: &KeyJoinArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let text = text_of(&args.token, "lacre-join-")?;
    let token = read_token(&text).map_err(|error| explain(error, None))?;
    invocation.terminal.say(&format!("the admin's machine must have shown these words: {}", token.fingerprint));
    let place = match &settings.repository {
        Some(place) => place.clone(),
        None => store_of(&token.grant.url)?,
    };
    let store = open_store(&place, &settings)?;
    let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
    let (repository, joined) =
        join::join(store, &home, &token, Arc::new(SystemClock)).map_err(|error| explain(error, None))?;
    let document = JoinResult {
        repository: repository.id().to_string(),
        home: joined.home.to_string(),
        role: role_name(joined.role).to_owned(),
        label: joined.label,
        policy: joined.policy,
        url: place.to_string(),
    };
    invocation.print(&document, |out| {
        writeln!(out, "this machine ({}) is a {} home of {}", document.label, document.role, document.url)?;
        match document.role.as_str() {
            "writer" => writeln!(out, "next: lacre --repo {} backup ...", document.url),
            "maintenance" => writeln!(out, "next: lacre --repo {} repo check", document.url),
            _ => writeln!(out, "next: lacre --repo {} key list", document.url),
        }
    })?;
    Ok(Exit::Done)
}

/// Revokes a machine's key.
///
/// # Errors
/// [`Kind::Usage`] for an unknown home; [`Kind::Refused`] for this host's own key or when nobody confirmed; those of the vault.
pub(super) fn revoke(invocation: &Invocation, args: &RevokeWriterArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let home = vault.repository.find_home(&view, &args.home).map_err(|error| vault.explain(error))?;
    let label = view.home(home).map_or_else(|| home.short(), |entry| entry.label.clone());
    let question = format!("Revoke {label} ({})? Whatever it signs from now on is void, for good.", home.short());
    prompt::confirm(&invocation.terminal, Agreement::from(args.yes), &question)?;
    let revoked = vault.repository.revoke(home).map_err(|error| vault.explain(error))?;
    findings::warn(invocation, &revoked.findings);
    let document = RevokeResult {
        home: revoked.home.to_string(),
        label: revoked.label,
        policy: revoked.policy,
        snapshots: u64::try_from(revoked.snapshots).unwrap_or(u64::MAX),
    };
    invocation.print(&document, |out| {
        writeln!(out, "{} is revoked (policy {})", document.label, document.policy)?;
        writeln!(
            out,
            "{} and can be restored",
            human::things(document.snapshots, ["snapshot that it made stays", "snapshots that it made stay"])
        )?;
        writeln!(out, "its store credentials still work: revoke them at the provider")
    })?;
    Ok(findings::exit(&revoked.findings))
}

fn store_of(url: &str) -> Result<StoreUrl, CliError> {
    url.parse().map_err(|why: String| CliError::new(Kind::Usage, format!("{url:?} is no store: {why}")))
}
