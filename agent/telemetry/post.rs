//! What the OTLP exporters post with: it puts their requests into a pipe.
//!
//! The exporters encode and group. Left to send by themselves they would give up a batch after a
//! few attempts, so to them every request succeeds at once, and the pipe delivers it.

use super::pipe::Pipe;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Only so that the exporters do not read one from the environment: nothing is ever sent there.
const NOWHERE: &str = "http://pipe.invalid";

/// The way from one exporter to its pipe.
#[derive(Debug)]
pub(super) struct Post {
    pipe: Arc<Pipe>,
    /// How many items the next request holds, which its bytes do not tell.
    items: AtomicU64,
}

impl Post {
    /// Takes requests of one item until told otherwise: metrics are one state each.
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self {
            pipe,
            items: AtomicU64::new(1),
        }
    }

    /// Sets an exporter up to post with this.
    ///
    /// What the exporter reads from the environment all the same, such as headers, ends with the
    /// request: the transport has read it too. Compression needs a feature that is not enabled.
    pub(super) fn used_by<B: WithExportConfig + WithHttpConfig>(self: Arc<Self>, builder: B) -> B {
        builder
            .with_endpoint(NOWHERE)
            .with_protocol(Protocol::HttpBinary)
            .with_shared_http_client(self)
    }

    /// Makes an export of so many items; one at a time. What cannot be encoded counts as lost.
    pub(super) fn take(&self, items: u64, export: impl Future<Output = OTelSdkResult>) {
        self.items.store(items, Ordering::SeqCst);
        // It never waits, because the client does not.
        match export.now_or_never() {
            Some(Ok(())) => {}
            Some(Err(error)) => self.pipe.lose(items, error.to_string()),
            None => self.pipe.lose(items, "not encoded in time".to_owned()),
        }
    }
}

impl HttpClient for Post {
    fn send_bytes<'post, 'answer>(
        &'post self,
        request: Request<Bytes>,
    ) -> BoxFuture<'answer, Result<Response<Bytes>, HttpError>>
    where
        'post: 'answer,
        Self: 'answer,
    {
        let items = self.items.load(Ordering::SeqCst);
        self.pipe.push(request.into_body(), items);
        ready(Ok(Response::new(Bytes::new()))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::gather::{Gather, ITEMS};
    use crate::telemetry::pipe::Flush;
    use crate::telemetry::spool::Keep;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::SpanData;
    use std::time::SystemTime;

    fn span(name: String) -> SpanData {
        let now = SystemTime::now();
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links: opentelemetry_sdk::trace::SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn gathered() -> (Arc<Pipe>, Gather<SpanData>) {
        let pipe = Arc::new(Pipe::new(Keep::Bytes(usize::MAX), None));
        let post = Arc::new(Post::new(Arc::clone(&pipe)));
        let gather = Gather::new(&Resource::builder_empty().build(), post);
        (pipe, gather.expect("an exporter"))
    }

    #[test]
    fn what_was_gathered_is_in_the_pipe_after_a_flush() {
        let (pipe, gather) = gathered();
        for number in 0..ITEMS + 2 {
            gather.add(span(format!("span {number}")));
        }
        assert_eq!(pipe.tally().made, ITEMS as u64);
        gather.flush();
        assert_eq!(pipe.tally().made, ITEMS as u64 + 2);
        gather.flush();
        assert_eq!(pipe.tally().made, ITEMS as u64 + 2);
        assert_eq!(pipe.trouble(), None);
    }

    #[test]
    fn large_items_do_not_wait_for_more() {
        let (pipe, gather) = gathered();
        gather.add(span("x".repeat(700_000)));
        assert_eq!(pipe.tally().made, 0);
        gather.add(span("x".repeat(700_000)));
        assert_eq!(pipe.tally().made, 2);
    }

    #[test]
    fn what_cannot_be_encoded_is_told() {
        let pipe = Arc::new(Pipe::new(Keep::Bytes(100), None));
        let post = Post::new(Arc::clone(&pipe));
        let failed = OTelSdkError::InternalFailure("too large".to_owned());
        post.take(3, ready(Err(failed)));
        let tally = pipe.tally();
        assert_eq!((tally.made, tally.delivered, tally.refused), (3, 0, 3));
        assert_eq!(
            pipe.trouble().as_deref(),
            Some("Operation failed: too large")
        );
    }
}
