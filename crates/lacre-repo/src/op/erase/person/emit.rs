//! A stream handed out as its successor would be, without anything being written.
//!
//! In: a stream's tree, the runs that change, and what becomes of them. Out: the bytes that are left, in order.

use lacre_format::{node::Entry, root::Top};
use zeroize::Zeroizing;

use super::{
    Decide,
    walk::{Carry, Memo, Reader, Run, raw, top_entry},
};
use crate::error::Error;

/// One stream being handed out.
pub(super) struct Emit<'e, 'r> {
    pub(super) reader: &'e mut Reader<'r>,
    pub(super) memo: &'e Memo,
    pub(super) decide: &'e mut dyn Decide,
    pub(super) each: &'e mut dyn FnMut(&[u8]) -> Result<(), Error>,
}

impl Emit<'_, '_> {
    pub(super) fn over(mut self, top: &Top) -> Result<(), Error> {
        let mut carry = Carry::default();
        self.visit(&mut carry, &top_entry(top), top.level)?;
        self.end_run(&mut carry)
    }

    fn visit(&mut self, carry: &mut Carry, entry: &Entry, level: u8) -> Result<(), Error> {
        let node = self.reader.node(entry, level)?;
        if level > 1 {
            return node.entries.iter().try_for_each(|child| self.visit(carry, child, level - 1));
        }
        let mut plaintext = Zeroizing::new(Vec::with_capacity(node.entries.iter().map(raw).sum()));
        self.reader.chunks(&node.entries, &mut plaintext)?;
        let mut rest = plaintext.as_slice();
        for child in &node.entries {
            let (rows, later) = rest.split_at(raw(child));
            rest = later;
            if carry.is_empty() && self.memo.clean.contains(child.birth) {
                (self.each)(rows)?;
                continue;
            }
            carry.push(child, rows)?;
            if rows.ends_with(b"\n") {
                self.end_run(carry)?;
            }
        }
        Ok(())
    }

    fn end_run(&mut self, carry: &mut Carry) -> Result<(), Error> {
        if carry.is_empty() {
            return Ok(());
        }
        let name = Run { entries: std::mem::take(&mut carry.entries) }.name();
        let verdict = if self.memo.marked.contains(&name) { self.decide.verdict(&name) } else { None };
        let done = match verdict {
            None => (self.each)(carry.rows()),
            Some(verdict) => {
                let mut left = Zeroizing::new(Vec::with_capacity(carry.rows().len()));
                let written = self.decide.rewrite(&name, verdict, carry.rows(), &mut left);
                written.map_err(|source| Error::Rows { source }).and_then(|()| (self.each)(&left))
            }
        };
        carry.clear();
        done
    }
}
