//! What a proxy does to which request.

use std::time::Duration;

/// What a request asks for, told from its method and its query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// An object is stored.
    Put,
    /// A whole object is read.
    Get,
    /// A range of an object is read.
    GetRange,
    /// An object is looked at.
    Head,
    /// Objects are listed.
    List,
    /// Versions are listed.
    ListVersions,
    /// An object is deleted, or hidden where versions are kept.
    Delete,
    /// One version is deleted.
    DeleteVersion,
    /// Anything else that is posted: several deletions, parts of uploads.
    Post,
    /// A question about the bucket itself or about an object's retention.
    Config,
}

/// What happens to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The proxy answers with this status and S3 error code; the server never hears of it.
    Refuse {
        /// The status.
        status: u16,
        /// The error's code, e.g. `SlowDown`.
        code: &'static str,
    },
    /// The connection is closed instead of forwarding anything.
    Close,
    /// The server does it; the connection is closed instead of an answer.
    AnswerLost,
    /// The server does it; the client is told of an error.
    RefuseAfter {
        /// The status.
        status: u16,
        /// The error's code.
        code: &'static str,
    },
    /// The server does it; no answer comes until [`crate::Proxy::release`] or the end.
    Stall,
    /// The server is told twice; the client hears the second answer.
    Twice,
    /// The client hears nothing and the connection is closed; the server hears of it in [`crate::Proxy::deliver_late`].
    Late,
    /// The answer's body comes in pieces with pauses.
    Slow {
        /// How long a piece is.
        piece_bytes: usize,
        /// How long each pause is.
        pause: Duration,
    },
    /// The answer announces its whole length, and breaks off after so many bytes of its body.
    Cut {
        /// How many bytes of the body arrive.
        bytes: usize,
    },
    /// One bit of the answer's body is the other way round.
    FlipBit {
        /// Which bit, wrapped at the end.
        bit: usize,
    },
    /// A listing that was given before is given again, and stays what the client sees; the first time the server is asked.
    Frozen,
    /// The `Date` of the answer is off.
    Skew {
        /// By so many seconds.
        seconds: i64,
    },
    /// The client is sent to another place with the same path.
    Redirect {
        /// The status, 301, 302, 307 or 308.
        status: u16,
        /// Where to, e.g. `http://127.0.0.1:8080`.
        to: String,
    },
    /// A page as a captive portal shows it: status 200, HTML.
    Html,
}

/// Which requests are struck, and by what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub(crate) kind: Option<Kind>,
    pub(crate) path: String,
    pub(crate) nth: u64,
    pub(crate) times: u64,
    pub(crate) stride: u64,
    pub(crate) effect: Effect,
}

impl Rule {
    /// Strikes the first request, whatever it is.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { kind: None, path: String::new(), nth: 1, times: 1, stride: 1, effect }
    }

    /// Only requests of this kind.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only requests whose path and query, percent-decoded, contain this.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// From the `nth` matching request on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// So many requests in a row.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// After a request that was struck, the next to strike is so many further on.
    #[must_use]
    pub fn every(mut self, stride: u64) -> Self {
        self.stride = stride.max(1);
        self
    }

    /// That request and every later one.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = u64::MAX;
        self
    }

    /// Whether the `seen`th matching request, from 1, is struck.
    pub(crate) fn is_due(&self, seen: u64) -> bool {
        let Some(after) = seen.checked_sub(self.nth) else { return false };
        after % self.stride == 0 && after / self.stride < self.times
    }
}
