//! The committed fuzz corpora, replayed through the very functions the fuzz targets call.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lacre_dump::exercise as dump;
use lacre_format::exercise::{DECODERS, Exercise};

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

const DUMP_READERS: &[Exercise] = &[
    ("archive", dump::archive),
    ("framing", dump::framing),
    ("copy_text", dump::copy_text),
    ("copy_statement", dump::copy_statement),
    ("plain", dump::plain),
    ("rewrite", dump::rewrite),
    ("rules", dump::rules),
    ("sql", dump::sql),
];

type Target = (String, fn(&[u8]));

fn targets() -> Vec<Target> {
    let format = DECODERS.iter().map(|(name, run)| (format!("format_{name}"), *run));
    let dump = DUMP_READERS.iter().map(|(name, run)| (format!("dump_{name}"), *run));
    format.chain(dump).collect()
}

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = directory().join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let known: BTreeSet<String> = targets().into_iter().map(|(name, _)| name).collect();
    for folder in ["corpus", "fuzz_targets"] {
        let found: BTreeSet<String> = fs::read_dir(directory().join("..").join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".rs").to_owned())
            .collect();
        assert_eq!(found, known, "fuzz/{folder}");
    }
}

#[test]
fn corpora_keep_the_promises() {
    for (target, run) in targets() {
        let inputs = inputs(&target);
        assert!(!inputs.is_empty(), "{target} has no inputs");
        for (_, bytes) in inputs {
            run(&bytes);
        }
    }
}

#[test]
fn corpora_cut_and_flipped_keep_the_promises() {
    for (target, run) in targets() {
        for (_, bytes) in inputs(&target) {
            let step = bytes.len() / 64 + 1;
            for at in (0..bytes.len()).step_by(step) {
                run(&bytes[..at]);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                run(&flipped);
            }
        }
    }
}
