//! What is put on record, in a form and a size that fit its place.

use super::request::without_calls;
use crate::telemetry::spool::Batch;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;

/// The spans that are open.
pub(super) const OPEN: &str = "open";

/// How many bytes a record has at most, compressed: a `ConfigMap` holds 1 MiB with its other fields.
const LIMIT: usize = 700 * 1024;

/// Batches as they are kept: each is compressed once, however often it is on record.
#[derive(Debug, Default)]
pub(super) struct Parts {
    whole: BTreeMap<u64, Bytes>,
    /// Without calls, with how many those were; only of batches for which there was no room.
    short: BTreeMap<u64, (Bytes, u64)>,
}

impl Parts {
    /// The parts of a record, and how many spans there was no room for. Calls go first, because
    /// nothing is below them.
    pub(super) fn of(&mut self, open: &[u8], batches: &[Batch]) -> (BTreeMap<String, Bytes>, u64) {
        self.forget(batches);
        let open = compressed(open);
        let mut room = Room(LIMIT.saturating_sub(open.len()));
        let mut parts = BTreeMap::from([(OPEN.to_owned(), open)]);
        let whole = |it: &mut Self, batch: &Batch| it.whole(batch);
        let sizes: usize = batches.iter().map(|it| whole(self, it).len()).sum();
        let mut left_out = 0;
        if sizes <= room.0 {
            for batch in batches {
                parts.insert(key("ended", batch), self.whole(batch));
            }
            return (parts, left_out);
        }
        // The newest first: phases end after their steps, and the steps would hang in the air.
        for batch in batches.iter().rev() {
            let (short, calls) = self.short(batch);
            if room.takes(short.len()) {
                parts.insert(key("steps", batch), short);
                left_out += calls;
            } else {
                left_out += batch.items;
            }
        }
        (parts, left_out)
    }

    /// Those that have arrived, or wait on disk, are not asked for again.
    fn forget(&mut self, batches: &[Batch]) {
        let numbers: HashSet<u64> = batches.iter().map(|batch| batch.number).collect();
        self.whole.retain(|number, _| numbers.contains(number));
        self.short.retain(|number, _| numbers.contains(number));
    }

    fn whole(&mut self, batch: &Batch) -> Bytes {
        let whole = self.whole.entry(batch.number);
        whole.or_insert_with(|| compressed(&batch.bytes)).clone()
    }

    fn short(&mut self, batch: &Batch) -> (Bytes, u64) {
        let short = self.short.entry(batch.number);
        let make = || match without_calls(&batch.bytes) {
            Some((bytes, calls)) => (compressed(&bytes), calls),
            None => (Bytes::new(), batch.items),
        };
        short.or_insert_with(make).clone()
    }
}

struct Room(usize);

impl Room {
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.0;
        if fits {
            self.0 -= bytes;
        }
        fits
    }
}

/// A part of this name never changes what it holds.
fn key(what: &str, batch: &Batch) -> String {
    format!("{what}-{:08}", batch.number)
}

fn compressed(bytes: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory it cannot fail; if it did, the part would be found to be no request.
    let _ = gzip.write_all(bytes);
    gzip.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::progress::request::{encoded, tests::span};
    use opentelemetry::trace::SpanKind;
    use opentelemetry_sdk::Resource;
    use std::time::SystemTime;

    /// A batch of a step and a call whose name no compression makes shorter.
    fn batch(number: u64, noise: usize) -> Batch {
        let noise: String = (0..noise)
            .map(|_| char::from(rand::random_range(33..127_u8)))
            .collect();
        let step = span(number, "step", SpanKind::Internal);
        let call = span(number + 1000, &noise, SpanKind::Client);
        Batch {
            number,
            bytes: encoded(vec![step, call], &Resource::builder_empty().build()),
            items: 2,
            made: SystemTime::UNIX_EPOCH,
        }
    }

    fn names(parts: &BTreeMap<String, Bytes>) -> Vec<&str> {
        parts.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_has_arrived_is_no_part_any_more() {
        let mut parts = Parts::default();
        let batches = [batch(1, 10), batch(2, 10), batch(3, 10)];
        let (first, left_out) = parts.of(b"open", &batches[..2]);
        assert_eq!(names(&first), ["ended-00000001", "ended-00000002", OPEN]);
        assert_eq!(left_out, 0);
        let (next, _) = parts.of(b"open", &batches[1..]);
        assert_eq!(names(&next), ["ended-00000002", "ended-00000003", OPEN]);
        assert_eq!(next["ended-00000002"], first["ended-00000002"]);
        assert_eq!(parts.whole.len(), 2, "what has arrived is forgotten");
    }

    #[test]
    fn without_room_calls_are_left_out_first() {
        let mut parts = Parts::default();
        let batches: Vec<Batch> = (1..=4).map(|number| batch(number, 300_000)).collect();
        let (kept, left_out) = parts.of(b"open", &batches);
        assert_eq!(left_out, 4, "one call of each");
        assert_eq!(names(&kept)[4], "steps-00000004");
        let size: usize = kept.values().map(Bytes::len).sum();
        assert!(size < LIMIT, "{size}");
    }
}
