//! Gathers small items into export requests of a fair size.

use super::pipe::Flush;
use super::post::Post;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many items one request holds at most.
pub(super) const ITEMS: usize = 256;

/// About how many bytes one request holds at most: collectors take four times as much by gRPC.
pub(super) const BYTES: usize = 1024 * 1024;

/// About what ids, times and the like of one item take.
pub(super) const FIXED: usize = 128;

/// About what a number takes, and what stands around a text.
pub(super) const NUMBER: usize = 16;

/// Something that is exported by the batch.
pub(super) trait Item: Send + Sized + 'static {
    /// What makes requests of these.
    type Exporter: Send + Sync + 'static;
    /// An exporter for what this resource makes.
    fn exporter(post: Arc<Post>, resource: &Resource)
    -> Result<Self::Exporter, ExporterBuildError>;
    /// About how many bytes it has when encoded.
    fn size(&self) -> usize;
    /// Posts one export request with all of these.
    fn export(items: Vec<Self>, exporter: &Self::Exporter, post: &Post);
}

/// Items on their way to a pipe.
pub(super) struct Gather<T: Item> {
    waiting: Mutex<Waiting<T>>,
    turn: Mutex<()>,
    exporter: T::Exporter,
    post: Arc<Post>,
}

struct Waiting<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T: Item> Gather<T> {
    pub(super) fn new(resource: &Resource, post: Arc<Post>) -> Result<Self, ExporterBuildError> {
        let waiting = Mutex::new(Waiting {
            items: Vec::new(),
            bytes: 0,
        });
        Ok(Self {
            waiting,
            turn: Mutex::default(),
            exporter: T::exporter(Arc::clone(&post), resource)?,
            post,
        })
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
        if !items.is_empty() {
            T::export(items, &self.exporter, &self.post);
        }
    }
}

impl<T> Waiting<T> {
    fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }
}

impl<T: Item> std::fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}
