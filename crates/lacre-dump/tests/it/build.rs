//! Archives built by hand from the grammar, for what no `pg_dump` at hand writes.

/// An archive in the making.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pub(crate) minor: u8,
    pub(crate) bytes: Vec<u8>,
}

/// What an entry of a built archive says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntrySpec<'a> {
    pub(crate) dump_id: i32,
    pub(crate) has_data: i32,
    pub(crate) desc: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) copy: Option<&'a str>,
    pub(crate) section: i32,
    pub(crate) dependencies: &'a [&'a str],
    pub(crate) offset_state: u8,
}

pub(crate) const TABLE: EntrySpec<'static> = EntrySpec {
    dump_id: 10,
    has_data: 1,
    desc: "TABLE DATA",
    tag: "t",
    copy: Some("COPY public.t (a) FROM stdin;\n"),
    section: 3,
    dependencies: &["5", "7"],
    offset_state: 1,
};

pub(crate) const BLOBS: EntrySpec<'static> =
    EntrySpec { dump_id: 20, desc: "BLOBS", tag: "BLOBS", copy: Some(""), ..TABLE };

impl Archive {
    /// A header of this minor version with room for `entries` entries.
    pub(crate) fn new(minor: u8, entries: i32) -> Archive {
        let mut archive = Archive { minor, bytes: b"PGDMP".to_vec() };
        archive.bytes.extend_from_slice(&[1, minor, 0, 4, 8, 1]);
        if minor >= 15 {
            archive.bytes.push(0);
        } else {
            archive.int(0);
        }
        for part in [30, 59, 23, 31, 11, 126, 0] {
            archive.int(part);
        }
        for text in ["db", "15.1", "15.1"] {
            archive.str(Some(text));
        }
        archive.int(entries);
        archive
    }

    pub(crate) fn int(&mut self, value: i32) -> &mut Archive {
        self.bytes.push(u8::from(value < 0));
        self.bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes());
        self
    }

    pub(crate) fn str(&mut self, text: Option<&str>) -> &mut Archive {
        match text {
            Some(text) => {
                self.int(i32::try_from(text.len()).unwrap());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            None => {
                self.int(-1);
            }
        }
        self
    }

    pub(crate) fn entry(&mut self, spec: EntrySpec<'_>) -> &mut Archive {
        self.int(spec.dump_id).int(spec.has_data);
        for text in ["1259", "16385", spec.tag, spec.desc] {
            self.str(Some(text));
        }
        self.int(spec.section).str(Some("")).str(Some("")).str(spec.copy).str(Some("public")).str(Some(""));
        if self.minor >= 14 {
            self.str(Some("heap"));
        }
        if self.minor >= 16 {
            self.int(i32::from(b'r'));
        }
        self.str(Some("owner")).str(Some("false"));
        for dependency in spec.dependencies {
            self.str(Some(dependency));
        }
        self.str(None);
        self.bytes.push(spec.offset_state);
        self.bytes.extend_from_slice(&[0; 8]);
        self
    }

    pub(crate) fn begin(&mut self, tag: u8, dump_id: i32) -> &mut Archive {
        self.bytes.push(tag);
        self.int(dump_id)
    }

    pub(crate) fn block(&mut self, content: &[u8]) -> &mut Archive {
        self.int(i32::try_from(content.len()).unwrap());
        self.bytes.extend_from_slice(content);
        self
    }

    /// A table's data, one block per row and the end marker.
    pub(crate) fn table(&mut self, dump_id: i32, rows: &[&[u8]]) -> &mut Archive {
        self.begin(1, dump_id);
        for row in rows {
            self.block(row);
        }
        self.block(b"\\.\n\n\n").int(0)
    }

    /// A table of two rows and two large objects.
    pub(crate) fn small(minor: u8) -> Archive {
        let mut archive = Archive::new(minor, 2);
        archive.entry(TABLE).entry(BLOBS).table(10, &[b"one\n", b"\\N\n"]);
        archive.begin(3, 20).int(7).block(b"large\n").block(b"object").int(0).int(-2).int(0).int(0);
        archive
    }
}
