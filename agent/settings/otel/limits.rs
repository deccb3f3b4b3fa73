//! How much of a span or a record is kept.

use super::reader::Reader;

/// The standard's own figure for how many attributes, events or links there are.
const MOST: u32 = 128;

/// The bounds of spans and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many attributes a span has at most.
    pub span_attributes: u32,
    /// How many characters of a text are kept in an attribute of a span or of its events.
    pub span_value_length: usize,
    /// How many events a span has at most.
    pub span_events: u32,
    /// How many links a span has at most.
    pub span_links: u32,
    /// How many attributes an event of a span has at most.
    pub event_attributes: u32,
    /// How many attributes a link of a span has at most.
    pub link_attributes: u32,
    /// The bounds of log records.
    pub record: RecordLimits,
}

/// The bounds of log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// How many attributes one has at most.
    pub attributes: usize,
    /// How many characters of a text are kept in an attribute.
    pub value_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            span_attributes: MOST,
            span_value_length: usize::MAX,
            span_events: MOST,
            span_links: MOST,
            event_attributes: MOST,
            link_attributes: MOST,
            record: RecordLimits {
                attributes: MOST as usize,
                value_length: usize::MAX,
            },
        }
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let count = reader.count("OTEL_ATTRIBUTE_COUNT_LIMIT").unwrap_or(MOST);
        let length = reader.count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        let mut or = |name: &str, otherwise: u32| reader.count(name).unwrap_or(otherwise);
        let span_attributes = or("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count);
        let span_events = or("OTEL_SPAN_EVENT_COUNT_LIMIT", MOST);
        let span_links = or("OTEL_SPAN_LINK_COUNT_LIMIT", MOST);
        let event_attributes = or("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count);
        let link_attributes = or("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", count);
        let record_attributes = or("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count);
        let mut length_of = |name: &str| {
            let own = reader.count(name).or(length);
            own.map_or(usize::MAX, |most| most as usize)
        };
        Self {
            span_attributes,
            span_value_length: length_of("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            span_events,
            span_links,
            event_attributes,
            link_attributes,
            record: RecordLimits {
                attributes: record_attributes as usize,
                value_length: length_of("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            },
        }
    }
}
