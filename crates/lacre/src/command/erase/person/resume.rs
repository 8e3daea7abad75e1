//! `lacre erase resume` for persons: snapshots that an erasure covers and that nothing replaces yet get their successors.
//!
//! In: erasures that stand, and whatever a person says again. Out: successors, or the command that says what is missing. Whom an erasure is
//! about is told by the tokens beside the snapshots where those suffice; the key itself is stored nowhere.

use std::{path::PathBuf, sync::Arc};

use lacre_format::ids::Token;
use lacre_repo::{
    Error, Silent,
    op::{
        erase::person::{OpenList, PersonScope},
        keys::ReadKeys,
    },
};

use super::{
    carry::{Asked, refuse_traces},
    plan,
    whom::{Named, Whom},
};
use crate::{
    cli::PersonAgainArgs,
    error::{CliError, Kind},
    human,
    invocation::Invocation,
    vault::{Vault, short},
};

/// An erasure with snapshots that wait for their successors.
struct Waiting {
    erasure: Token,
    scope: PersonScope,
}

/// What lies beside the snapshots of an erasure.
enum Beside {
    /// A list that opens.
    List(Box<OpenList>),
    /// None: the run that signed the intent died before it wrote one.
    Nothing,
}

/// Makes the successors that are missing; warns of what cannot be told, with the command to type.
///
/// # Errors
/// [`Kind::Usage`] for a person whom no erasure is about; those of carrying one out.
pub(in crate::command::erase) fn resume(
    invocation: &Invocation,
    vault: &Vault,
    sheets: &[PathBuf],
    args: &PersonAgainArgs,
) -> Result<(), CliError> {
    let again = Named::again(invocation, args)?;
    let waiting = waiting(vault)?;
    if waiting.is_empty() {
        return match again {
            None => Ok(()),
            Some(_) => Err(CliError::new(Kind::Usage, "no erasure of a person waits for successors")
                .hint("lacre erase status shows what each waits for; a new erasure is begun by: lacre erase person")),
        };
    }
    let keys = vault.read_keys(invocation, sheets)?;
    let mut done = 0;
    let mut nameless = Vec::new();
    for waiting in waiting {
        match beside(vault, waiting.erasure, &keys) {
            Ok(Beside::List(list)) => {
                let asked = Asked { invocation, vault, keys: &keys, named: named(&again, &list) };
                done += usize::from(go_on(&asked, &waiting, Some(&list))?);
            }
            Ok(Beside::Nothing) => nameless.push(waiting),
            Err(error) => warn(invocation, waiting.erasure, &error.message(), None),
        }
    }
    let Some(again) = again.filter(|_| done == 0) else {
        for waiting in &nameless {
            warn(invocation, waiting.erasure, "nothing says whom it is about", None);
        }
        return Ok(());
    };
    // Only one that says nothing of itself can be about whoever was named.
    let [waiting] = nameless.as_slice() else {
        return Err(CliError::new(Kind::Usage, "no erasure that waits is about that person")
            .hint("lacre erase status shows what each waits for"));
    };
    let asked = Asked { invocation, vault, keys: &keys, named: again };
    go_on(&asked, waiting, None).map(drop)
}

fn waiting(vault: &Vault) -> Result<Vec<Waiting>, CliError> {
    let repository = &vault.repository;
    let view = repository.view().map_err(|error| vault.explain(error))?;
    let mut waiting = Vec::new();
    if view.ledger.standing_persons().next().is_none() {
        return Ok(waiting);
    }
    for erasure in repository.unfinished_persons().map_err(|error| vault.explain(error))? {
        let scope = repository.scope_intended(erasure).map_err(|error| vault.explain(error))?;
        if !scope.covered.is_empty() {
            waiting.push(Waiting { erasure, scope });
        }
    }
    Ok(waiting)
}

fn beside(vault: &Vault, erasure: Token, keys: &ReadKeys) -> Result<Beside, CliError> {
    match vault.repository.suppression_of(erasure, keys) {
        Ok(list) => Ok(Beside::List(Box::new(list))),
        Err(Error::Refused { .. }) => Ok(Beside::Nothing),
        Err(error) => Err(vault.explain(error)),
    }
}

fn named(again: &Option<Named>, list: &OpenList) -> Named {
    again.clone().unwrap_or_else(|| Named::listed(list.list.clone()))
}

/// Carries one erasure out. `false`: it is about somebody else, or nothing tells about whom.
fn go_on(asked: &Asked<'_>, waiting: &Waiting, list: Option<&OpenList>) -> Result<bool, CliError> {
    let Waiting { erasure, scope } = waiting;
    let opened = asked.open(scope, Arc::new(Silent))?;
    let kind = list.map(|list| list.list.subject.as_str());
    let is_named = matches!(asked.named.whom, Whom::Named(_));
    match &opened {
        None => {
            warn(asked.invocation, *erasure, "what is left does not tell any more whom it is about", kind);
            return Ok(false);
        }
        Some(search) if is_named && list.is_some() && !asked.is_about(*erasure, search) => return Ok(false),
        Some(_) => {}
    }
    drop(opened);
    let id = erasure.to_string();
    asked.invocation.terminal.say(&format!("going on with erasure {}", short(&id)));
    let (mut search, account) = asked.search(scope)?;
    refuse_traces(search.residue(), &account)?;
    let mut document = plan::document(asked.vault, scope, &search, &account)?;
    asked.carry_out(&mut search, account, scope, *erasure, &mut document)?;
    let made = human::things(document.snapshots.len(), ["snapshot has a successor", "snapshots have successors"]);
    asked.invocation.terminal.say(&format!("{made} without the person"));
    Ok(true)
}

/// Says that an erasure waits for what only a person can say, and how to say it.
fn warn(invocation: &Invocation, erasure: Token, why: &str, kind: Option<&str>) {
    let id = erasure.to_string();
    let id = short(&id);
    let kind = kind.unwrap_or("NAME");
    invocation.terminal.warn(&format!(
        "erasure {id} waits: {why}; lacre erase resume --rules FILE --subject {kind} --key-file FILE, or give it up: lacre erase cancel {id}"
    ));
}
