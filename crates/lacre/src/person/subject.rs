//! Whom an erasure is about: read from files, and told again by tokens.
//!
//! In: text of a key or identifier file. Out: a subject, whose values show nowhere; and the suppression list that says the same in tokens.

use std::collections::HashMap;

use lacre_dump::{
    copy::Identifier,
    personal::{Personal, Subject, suppression_form},
    schema::{Canon, TableName},
};
use lacre_format::{
    ids::{Digest, Token},
    suppression::{RULES_BYTES_MAX, Suppression, TOKENS_MAX},
};
use lacre_seal::suppression::{list_key, token};

use super::{PersonError, Search};

/// Reads keys: one on each line, the columns of a composite key with tabs between them.
///
/// # Errors
/// [`PersonError::Input`] for an empty file.
pub fn read_keys(text: &str) -> Result<Vec<Vec<Personal>>, PersonError> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let keys: Vec<Vec<Personal>> = lines.map(|line| line.split('\t').map(Personal::new).collect()).collect();
    if keys.is_empty() {
        return Err(PersonError::Input("the key file is empty: it has one key on each line".to_owned()));
    }
    Ok(keys)
}

/// Reads identifiers: `column=value` on each line.
///
/// # Errors
/// [`PersonError::Input`] for a line without a column; it names the line's number only.
pub fn read_identifiers(text: &str) -> Result<Vec<(Identifier, Personal)>, PersonError> {
    let mut identifiers = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
        let bad = || PersonError::Input(format!("line {number} of the identifier file is not column=value"));
        let (column, value) = line.split_once('=').ok_or_else(bad)?;
        if column.trim().is_empty() || value.is_empty() {
            return Err(bad());
        }
        identifiers.push((Identifier::new(column.trim()), Personal::new(value)));
    }
    Ok(identifiers)
}

/// The tokens of keys and identifiers under a list's key.
fn tokens(
    key: &lacre_format::root::Secret32,
    subject: &Subject,
    root: &TableName,
    root_key: &[(Identifier, Canon)],
    columns: &HashMap<Identifier, Canon>,
) -> (Vec<Digest>, Vec<Digest>) {
    let of_key =
        |values: &Vec<Personal>| suppression_form(root, root_key, values).map(|form| token(key, form.expose()));
    let of_identifier = |(column, value): &(Identifier, Personal)| {
        let canon = columns.get(column).copied().unwrap_or(Canon::Exact);
        let form = suppression_form(root, &[(column.clone(), canon)], std::slice::from_ref(value))?;
        Some(token(key, form.expose()))
    };
    (
        subject.keys.iter().filter_map(of_key).take(TOKENS_MAX).collect(),
        subject.identifiers.iter().filter_map(of_identifier).take(TOKENS_MAX).collect(),
    )
}

/// The suppression list of a search.
///
/// # Errors
/// [`PersonError::Input`] for a rules file that is too long to be carried.
pub fn suppression(search: &Search<'_>, erasure: Token, rules: &str) -> Result<Suppression, PersonError> {
    if rules.len() > RULES_BYTES_MAX {
        return Err(PersonError::Input(format!("the rules file is longer than {RULES_BYTES_MAX} bytes")));
    }
    let key = list_key().map_err(|error| PersonError::Vault(error.into()))?;
    let subject = &search.request.subject;
    let (keys, identifiers) = tokens(&key, subject, &search.root, &search.root_key, &search.root_columns);
    Ok(Suppression { erasure, subject: search.request.name.clone(), rules: rules.to_owned(), key, keys, identifiers })
}

/// Whether a list is about the very subject of a search.
#[must_use]
pub fn subject_is(search: &Search<'_>, list: &Suppression) -> bool {
    let subject = &search.request.subject;
    let (keys, identifiers) = tokens(&list.key, subject, &search.root, &search.root_key, &search.root_columns);
    list.subject == search.request.name
        && list.keys.len() == keys.len()
        && keys.iter().all(|token| list.keys.contains(token))
        && identifiers.iter().all(|token| list.identifiers.contains(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_identifiers_are_read_line_by_line() {
        let keys = read_keys("42\n1\t43\r\n\n").unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!((keys[0].len(), keys[1].len(), keys[1][1].expose()), (1, 2, &b"43"[..]));
        assert!(read_keys("\n").is_err());
        let identifiers = read_identifiers("email=ana@x.example\ncpf = 1=2\n").unwrap();
        assert_eq!(identifiers[1], (Identifier::new("cpf"), Personal::new(" 1=2")));
        let error = read_identifiers("email=a\nsecret value\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
