//! The store in memory, through `object_store`, and the runtime that requests of all remote stores run on.
//!
//! All of tokio lives here. Requests are spawned on one runtime of this process, which is never dropped, and callers wait on a
//! channel: that works on any thread, also inside another runtime, where blocking on a future would panic.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, mpsc};
use std::task::Poll;

use bytes::Bytes;
use jiff::Timestamp;
use lacre_format::name::ObjectName;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::{Builder, Runtime};

use super::error::{Operation, StoreError};
use super::{LIST_ENTRIES_MAX, Listing, ObjectMeta, PutOutcome};

/// Threads that drive requests; they wait far more than they work.
const REQUEST_THREADS: usize = 2;

/// An object store behind blocking calls.
pub(super) struct RemoteStore {
    store: Arc<dyn ObjectStore>,
}

impl RemoteStore {
    pub(super) fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()) }
    }

    pub(super) fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        let (store, path) = self.target(name);
        let options = PutOptions::from(PutMode::Create);
        let put = async move { store.put_opts(&path, PutPayload::from_bytes(bytes), options).await };
        match wait(name.as_str(), put)? {
            Ok(_) => Ok(PutOutcome::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(PutOutcome::AlreadyExists),
            Err(error) => Err(of_remote(error, name.as_str())),
        }
    }

    pub(super) fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let (store, path) = self.target(name);
        let put = async move { store.put(&path, PutPayload::from_bytes(bytes)).await };
        match wait(name.as_str(), put)? {
            Ok(_) => Ok(()),
            Err(error) => Err(of_remote(error, name.as_str())),
        }
    }

    pub(super) fn get(&self, name: &ObjectName, bytes_max: u64) -> Result<Bytes, StoreError> {
        let (store, path) = self.target(name);
        let get = async move {
            let found = store.get_opts(&path, GetOptions::default()).await?;
            if found.meta.size > bytes_max { Ok(Err(found.meta.size)) } else { found.bytes().await.map(Ok) }
        };
        match wait(name.as_str(), get)? {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(size)) => Err(StoreError::TooLarge { name: name.to_string(), size, limit: bytes_max }),
            Err(error) => Err(of_remote(error, name.as_str())),
        }
    }

    pub(super) fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (store, path) = self.target(name);
        let wanted = range.clone();
        let get = async move {
            if wanted.is_empty() {
                let found = store.head(&path).await?;
                return Ok((found.size, Bytes::new()));
            }
            let options = GetOptions { range: Some(GetRange::Bounded(wanted)), ..GetOptions::default() };
            let found = store.get_opts(&path, options).await?;
            let size = found.meta.size;
            Ok((size, found.bytes().await?))
        };
        let out_of_range = || StoreError::OutOfRange { name: name.to_string(), start: range.start, end: range.end };
        match wait::<Result<_, object_store::Error>>(name.as_str(), get)? {
            Ok((size, _)) if size < range.end => Err(out_of_range()),
            Ok((_, bytes)) => Ok(bytes),
            Err(object_store::Error::Generic { .. }) => Err(out_of_range()),
            Err(error) => Err(of_remote(error, name.as_str())),
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let store = Arc::clone(&self.store);
        let path = Path::from(prefix);
        let list = async move {
            let mut found = store.list(Some(&path));
            let mut objects = Vec::new();
            while let Some(meta) = next(&mut found).await {
                let meta = meta?;
                if objects.len() >= LIST_ENTRIES_MAX {
                    return Ok(None);
                }
                objects.push(ObjectMeta {
                    name: meta.location.to_string(),
                    bytes: meta.size,
                    modified: Timestamp::from_millisecond(meta.last_modified.timestamp_millis())
                        .unwrap_or(Timestamp::UNIX_EPOCH),
                });
            }
            Ok(Some(objects))
        };
        match wait::<Result<_, object_store::Error>>(prefix, list)? {
            Ok(Some(objects)) => Ok(Listing { objects, foreign: Vec::new() }),
            Ok(None) => {
                let limit = u64::try_from(LIST_ENTRIES_MAX).unwrap_or(u64::MAX);
                Err(StoreError::TooLarge { name: prefix.to_owned(), size: limit.saturating_add(1), limit })
            }
            Err(error) => Err(of_remote(error, prefix)),
        }
    }

    pub(super) fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let (store, path) = self.target(name);
        match wait(name.as_str(), async move { store.delete(&path).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(of_remote(error, name.as_str())),
        }
    }

    fn target(&self, name: &ObjectName) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.store), Path::from(name.as_str()))
    }
}

/// The next item of a boxed stream.
async fn next<T>(stream: &mut Pin<Box<dyn futures_core::Stream<Item = T> + Send>>) -> Option<T> {
    std::future::poll_fn(|context| -> Poll<Option<T>> { stream.as_mut().poll_next(context) }).await
}

/// Runs a request on the runtime of this process and waits for its answer.
pub(super) fn wait<T: Send + 'static>(
    name: &str,
    request: impl Future<Output = T> + Send + 'static,
) -> Result<T, StoreError> {
    let unavailable =
        |reason: String| StoreError::Unavailable { name: name.to_owned(), operation: Operation::Request, reason };
    let runtime = runtime().map_err(|reason| unavailable(reason.clone()))?;
    let (answer, answered) = mpsc::sync_channel(1);
    let task = runtime.spawn(async move {
        let result = request.await;
        // The caller waits below until this is sent; it cannot have gone away.
        drop(answer.send(result));
    });
    drop(task);
    answered.recv().map_err(|_| unavailable("the request ended without an answer".to_owned()))
}

fn runtime() -> Result<&'static Runtime, &'static String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(REQUEST_THREADS)
                .thread_name("lacre-store")
                .enable_all()
                .build()
                .map_err(|error| format!("no threads for requests: {error}"))
        })
        .as_ref()
}

fn of_remote(error: object_store::Error, name: &str) -> StoreError {
    let name = name.to_owned();
    let operation = Operation::Request;
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound { name },
        object_store::Error::InvalidPath { .. } => StoreError::BadName { name },
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            StoreError::PermissionDenied { name, operation }
        }
        other => StoreError::Unavailable { name, operation, reason: other.to_string() },
    }
}
