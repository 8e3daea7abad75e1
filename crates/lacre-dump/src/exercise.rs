//! Every decoder of this crate run over arbitrary bytes, with checks of what must hold whatever they are.
//!
//! Comes in: any bytes. Goes out: nothing; a broken promise is a failed assertion. Made for fuzzing and random tests, not for use in a program.

use std::collections::BTreeMap;
use std::io;

use crate::archive::framing::{FramingDecoder, FramingEncoder};
use crate::archive::{ArchiveReader, Error, Event, Sniff, Toc, sniff, write_archive, write_schema_only};
use crate::closure::{Change, Edit, KeyBook, Plan};
use crate::copy::{CopyStatement, RowCounter, RowDigest, fields, rows, write_row};
use crate::plain::{EndCheck, Piece, Splitter};
use crate::rules::{JsonPath, Rules};
use crate::schema::SchemaReader;
use crate::select::{Fate, Rewriter, Verdict, json};
use crate::sql::{Backslash, Token, tokens};

/// Takes an archive apart; if it is one, puts it together again and compares.
///
/// # Panics
/// If an archive that was read does not come back byte by byte.
pub fn archive(bytes: &[u8]) {
    let Ok((toc, framing, content, tail)) = take_apart(bytes) else { return };
    assert!(matches!(sniff(bytes), Sniff::Supported { .. }), "sniffing must not refuse what can be read");
    let open = |set: crate::archive::DataSet| {
        content.get(&set.dump_id).map(Vec::as_slice).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let again = write_archive(Vec::new(), &toc, framing.as_slice(), open);
    assert!(again.is_ok_and(|again| [again, tail].concat() == bytes), "an archive that was read must come back");
    let mut schema = Vec::new();
    let written = write_schema_only(&mut schema, &toc);
    assert!(written.is_ok() && take_apart(&schema).is_ok(), "definitions alone must be an archive");
    for table in toc.tables() {
        let via = table.copy.map(|copy| copy.to_sql());
        assert!(via.is_none_or(|sql| CopyStatement::parse(&sql).is_some()));
    }
}

type Parts = (Toc, Vec<u8>, BTreeMap<i32, Vec<u8>>, Vec<u8>);

fn take_apart(bytes: &[u8]) -> Result<Parts, Error> {
    let mut reader = ArchiveReader::new(bytes);
    let (mut framing, mut tail) = (Vec::new(), Vec::new());
    let mut content = BTreeMap::new();
    let mut open = (0, Vec::new());
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Begin { dump_id, .. } => open = (dump_id, Vec::new()),
            Event::Bytes(piece) => open.1.extend_from_slice(piece),
            Event::End(_) => {
                let (dump_id, bytes) = std::mem::take(&mut open);
                content.insert(dump_id, bytes);
            }
            Event::Framing(piece) => framing.extend_from_slice(piece),
            Event::Tail(piece) => tail.extend_from_slice(piece),
            Event::Toc(_) | Event::Finished(_) => {}
        }
    }
    let toc = Toc::parse(reader.toc().map(Toc::raw).unwrap_or_default())?;
    Ok((toc, framing, content, tail))
}

/// Decodes a framing stream; if it is one, encodes it again and decodes that.
///
/// # Panics
/// If the ops change by being encoded, other than by joining runs.
pub fn framing(bytes: &[u8]) {
    let Ok(ops) = decode(bytes) else { return };
    let mut encoder = FramingEncoder::new();
    for op in &ops {
        encoder.push(*op);
    }
    let again = encoder.drain();
    assert!(again.len() <= bytes.len(), "joined runs are never longer");
    let joined = decode(&again);
    let mut encoder = FramingEncoder::new();
    for op in joined.into_iter().flatten() {
        encoder.push(op);
    }
    assert!(encoder.drain() == again, "joined runs stay as they are");
}

fn decode(bytes: &[u8]) -> Result<Vec<crate::archive::framing::Op>, Error> {
    let mut decoder = FramingDecoder::new(bytes);
    let mut ops = Vec::new();
    while let Some(op) = decoder.next_op()? {
        ops.push(op);
    }
    Ok(ops)
}

/// Reads COPY text, writes it again, and counts its rows in two ways; the first byte says how large the pieces are.
///
/// # Panics
/// If values change by being written, or if cuts change what is counted.
pub fn copy_text(bytes: &[u8]) {
    let Some((step, text)) = bytes.split_first() else { return };
    let mut digest = RowDigest::new();
    let mut count = 0u64;
    for row in rows(text) {
        let values: Vec<_> = fields(row).map(|field| field.value()).collect();
        let mut again = Vec::new();
        write_row(values.iter().map(|value| value.as_deref()), &mut again);
        let reread: Vec<_> = fields(&again[..again.len() - 1]).map(|field| field.value()).collect();
        assert!(values == reread, "values must survive being written");
        digest.add_row(row);
        count += 1;
    }
    let mut counter = RowCounter::copy();
    text.chunks(usize::from(*step).max(1)).for_each(|piece| counter.push(piece));
    let summary = counter.finish();
    assert!(summary.rows == count && summary.digest == digest, "cuts must not change the count");
}

/// Reads a `COPY` statement; if it is one, writes it and reads it again.
///
/// # Panics
/// If the statement changes.
pub fn copy_statement(bytes: &[u8]) {
    if let Some(statement) = CopyStatement::parse(bytes) {
        assert!(CopyStatement::parse(&statement.to_sql()).is_some_and(|again| again == statement));
    }
}

/// Splits a plain dump and checks its end; the first byte says how large the pieces are.
///
/// # Panics
/// If the pieces, joined, are not the dump.
pub fn plain(bytes: &[u8]) {
    let Some((step, text)) = bytes.split_first() else { return };
    let mut again = Vec::new();
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Sql(bytes) | Piece::Rows(bytes) => again.extend_from_slice(bytes),
        Piece::CopyBegin(_) | Piece::CopyEnd => {}
    };
    let mut splitter = Splitter::new();
    let mut end = EndCheck::new();
    for piece in text.chunks(usize::from(*step).max(1)) {
        splitter.push(piece, &mut sink);
        end.push(piece);
    }
    let _within_rows = splitter.finish(&mut sink);
    let mut whole = EndCheck::new();
    whole.push(text);
    assert!(again == text, "the pieces must be the dump");
    assert!(whole.finish() == end.finish(), "cuts must not change the verdict");
}

/// Reads SQL tokens under both meanings of a backslash, and whatever schema they define.
///
/// # Panics
/// If something follows a quote that never ends, or a name does not survive being quoted.
pub fn sql(bytes: &[u8]) {
    for backslash in [Backslash::Literal, Backslash::Escape] {
        let all: Vec<Token<'_>> = tokens(bytes, backslash).collect();
        let broken = all.iter().position(|token| *token == Token::Broken);
        assert!(broken.is_none_or(|at| at + 1 == all.len()), "what never ends is the last");
        for name in all.iter().filter_map(Token::name) {
            let mut quoted = Vec::new();
            name.quote(&mut quoted);
            let again = tokens(&quoted, backslash).next().and_then(|token| token.name());
            assert!(again.as_ref() == Some(&name), "a name must survive being quoted");
        }
        let mut reader = SchemaReader::new(backslash);
        if reader.definition(bytes).is_ok()
            && let Ok(schema) = reader.finish()
        {
            for (id, _) in schema.tables() {
                assert!(
                    schema.rows_of(id).len() <= schema.tables().count()
                        && schema.leaves(schema.top(id)).len() < usize::MAX
                );
            }
        }
    }
}

/// Reads a rules file and lays it over the schema that follows it, after a zero byte.
///
/// # Panics
/// If a problem has no place.
pub fn rules(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let mut reader = SchemaReader::new(Backslash::Literal);
    let schema = match reader.definition(parts.next().unwrap_or_default()) {
        Ok(()) => reader.finish().unwrap_or_default(),
        Err(_) => crate::schema::Schema::default(),
    };
    match Rules::parse(text) {
        Ok(rules) => {
            for subject in &rules.subjects {
                if let Err(problems) = Plan::new(subject, &schema, &mut KeyBook::new()) {
                    assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| problem.place.line > 0));
                }
            }
        }
        Err(problems) => assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| problem.place.line > 0)),
    }
}

/// Edits JSON at places and rewrites COPY rows; the first line is a path, the first byte of the rest says how large the pieces are.
///
/// # Panics
/// If cuts change what is written, if an edit to `null` cannot be found again, or if rows without a fate change.
pub fn rewrite(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let path = parts.next().and_then(|line| str::from_utf8(line).ok()).and_then(JsonPath::parse);
    let (Some(path), Some((step, text))) = (path, parts.next().and_then(<[u8]>::split_first)) else { return };
    if let Ok(Some(edited)) = json::edit(text, std::slice::from_ref(&path), json::Editing::Null) {
        let again = json::edit(&edited, std::slice::from_ref(&path), json::Editing::Null);
        assert!(again == Ok(Some(edited.clone())), "what was set to null stays");
        assert!(json::text_at(&edited, &path).is_ok(), "edited JSON is JSON");
    }
    let change = Change::JsonRemove(vec![path]);
    let fates = vec![
        (1, Fate::Delete),
        (2, Fate::Edit(vec![Edit { field: 0, change: Change::Null }])),
        (3, Fate::Edit(vec![Edit { field: 1, change }])),
    ];
    let verdict = Verdict { fates, rows: 0 };
    let run = |step: usize| {
        let mut out = Vec::new();
        let mut rewriter = Rewriter::new(&verdict);
        let pushed = text.chunks(step).try_for_each(|piece| rewriter.push(piece, &mut out));
        let written = pushed.and_then(|()| rewriter.finish(&mut out));
        (written.is_ok(), if written.is_ok() { out } else { Vec::new() })
    };
    let whole = run(text.len().max(1));
    assert!(whole == run(usize::from(*step).max(1)), "cuts must not change what is written");
    let first = memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1);
    assert!(!whole.0 || whole.1.starts_with(&text[..first]), "the first row has no fate");
}
