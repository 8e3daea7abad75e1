//! `docs/FORMAT.md` against the vectors: its hexadecimal examples are these files, and no vector goes unexplained.

use std::{collections::BTreeMap, fs, path::PathBuf};

use lacre_format::{exercise::KINDS, name::ObjectName, object};

use crate::{
    values,
    vectors::{hex, read, unhex},
};

fn document() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/FORMAT.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The content of all fenced blocks whose info string is `word name`, by name.
fn blocks(text: &str, word: &str) -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => {
                let (name, content) = open.take().unwrap();
                if let Some(name) = name.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) {
                    assert!(blocks.insert(name.to_owned(), content).is_none(), "{name} is there twice");
                }
            }
            (Some((_, content)), None) => {
                content.push_str(line);
                content.push('\n');
            }
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn examples_are_the_vectors() {
    let examples = blocks(&document(), "hex");
    for (name, _, _) in values::all() {
        let example = examples.get(name).unwrap_or_else(|| panic!("docs/FORMAT.md has no example of {name}"));
        let bare: String = example.lines().map(|line| line.split('#').next().unwrap()).collect();
        assert_eq!(hex(&unhex(&bare)), hex(&read(name)), "the example of {name} in docs/FORMAT.md is another");
    }
    for name in examples.keys() {
        assert!(values::all().iter().any(|(known, _, _)| known == name), "the example {name} is no vector");
    }
}

#[test]
fn every_kind_of_object_is_listed_with_its_byte() {
    let text = document();
    for kind in KINDS {
        let row = format!("| `{}` |", char::from(kind.code()));
        assert!(text.contains(&row), "docs/FORMAT.md has no row {row}");
        assert_eq!(object::start(*kind)[5], kind.code());
    }
}

#[test]
fn every_example_of_a_name_is_one() {
    let examples = blocks(&document(), "text");
    let names = examples.get("names").unwrap();
    assert_eq!(names.lines().count(), 23, "one example of each kind of name");
    for name in names.lines() {
        assert!(ObjectName::parse(name).is_some(), "{name}");
    }
}
