//! Pacing: how many bytes may move in a second, and whether any do.
//!
//! In: bytes that want to go. Out: the same bytes in pieces, when a token bucket has room for them; and the time of the last move,
//! which a watchdog looks at. It must not know what the bytes are.

use std::{
    num::NonZeroU64,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::time::Sleep;

/// Bytes handed to the connection at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// The smallest piece of a slow transfer.
const PIECE_BYTES_MIN: u64 = 256;

/// A token bucket that all transfers of one direction share. A burst is a quarter of a second.
pub(super) struct Limiter {
    bytes_per_second: NonZeroU64,
    free_at: Mutex<Instant>,
}

impl Limiter {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Takes room for some bytes and says how long to wait before they move.
    pub(super) fn reserve(&self, bytes: usize) -> Duration {
        let now = Instant::now();
        let seconds = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / self.rate();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*free_at).max(now.checked_sub(Duration::from_millis(250)).unwrap_or(now));
        *free_at = start + Duration::from_secs_f64(seconds);
        free_at.saturating_duration_since(now)
    }

    fn piece_bytes(&self) -> usize {
        usize::try_from((self.bytes_per_second.get() / 8).max(PIECE_BYTES_MIN)).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)
    }

    fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.bytes_per_second.get()).unwrap_or(u32::MAX))
    }
}

/// When bytes last moved; shared between a transfer and its watchdog.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns when nothing has moved for this long.
    pub(super) async fn silence(&self, longest: Duration) {
        loop {
            let quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            let Some(left) = longest.checked_sub(quiet).filter(|left| !left.is_zero()) else { return };
            tokio::time::sleep(left).await;
        }
    }
}

/// A body that moves piece by piece.
pub(super) struct Paced {
    rest: Bytes,
    limiter: Option<Arc<Limiter>>,
    pulse: Pulse,
    waiting: Option<Pin<Box<Sleep>>>,
    next: Option<Bytes>,
}

impl Paced {
    pub(super) fn new(bytes: Bytes, limiter: Option<Arc<Limiter>>, pulse: Pulse) -> Self {
        Self { rest: bytes, limiter, pulse, waiting: None, next: None }
    }
}

impl futures_core::Stream for Paced {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                if waiting.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.waiting = None;
            }
            self.pulse.beat();
            if let Some(piece) = self.next.take() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.rest.is_empty() {
                return Poll::Ready(None);
            }
            let limiter = self.limiter.clone();
            let length = limiter.as_ref().map_or(PIECE_BYTES, |limiter| limiter.piece_bytes()).min(self.rest.len());
            let piece = self.rest.split_to(length);
            self.next = Some(piece);
            if let Some(limiter) = limiter {
                let pause = limiter.reserve(length);
                if !pause.is_zero() {
                    self.waiting = Some(Box::pin(tokio::time::sleep(pause)));
                }
            }
        }
    }
}
