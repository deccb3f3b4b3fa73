//! Gathers small items into export requests of a fair size.

use super::pipe::{Flush, Pipe};
use super::spool::Batch;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many items one request holds at most.
const ITEMS: usize = 256;

/// About how many bytes one request holds at most: collectors take four times as much by gRPC.
const BYTES: usize = 1024 * 1024;

/// Something that is exported by the batch.
pub(super) trait Item: Send + Sized + 'static {
    /// About how many bytes it has when encoded.
    fn size(&self) -> usize;
    /// One export request with all of these.
    fn encode(items: Vec<Self>, resource: Resource) -> Bytes;
}

/// Items on their way to a pipe.
pub(super) struct Gather<T> {
    waiting: Mutex<Waiting<T>>,
    turn: Mutex<()>,
    resource: Resource,
    pipe: Arc<Pipe>,
}

struct Waiting<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T: Item> Gather<T> {
    pub(super) fn new(resource: Resource, pipe: Arc<Pipe>) -> Self {
        let waiting = Mutex::new(Waiting {
            items: Vec::new(),
            bytes: 0,
        });
        Self {
            waiting,
            turn: Mutex::default(),
            resource,
            pipe,
        }
    }

    /// Takes one item; never waits for a server.
    pub(super) fn add(&self, item: T) {
        let full = {
            let mut waiting = self.waiting();
            waiting.bytes += item.size();
            waiting.items.push(item);
            waiting.items.len() >= ITEMS || waiting.bytes >= BYTES
        };
        if full {
            self.flush();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Item> Flush for Gather<T> {
    fn flush(&self) {
        // Who flushes when another one does waits for it: nothing is then between here and the pipe.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let items = self.waiting().take();
        if items.is_empty() {
            return;
        }
        let count = items.len() as u64;
        let bytes = T::encode(items, self.resource.clone());
        self.pipe.push(Batch {
            bytes,
            items: count,
        });
    }
}

impl<T> Waiting<T> {
    fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }
}

impl<T> std::fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

/// The scope of everything that we export.
pub(super) fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
