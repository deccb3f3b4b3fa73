//! How much of a span is kept, where the SDK does not see to it: it bounds how many attributes there
//! are and not how long they are, and knows nothing of what is added by hand.

use super::records::cut;
use crate::settings::Limits;
use opentelemetry::trace::Link;
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanLinks;

/// Cuts each text to so many characters.
pub(super) fn shorten(attributes: &mut [KeyValue], most: usize) {
    let shorter = |text: &str| {
        let short = cut(text, most);
        (short.len() < text.len()).then(|| short.to_owned().into())
    };
    for attribute in attributes {
        if let Value::String(text) = &mut attribute.value
            && let Some(short) = shorter(text.as_str())
        {
            *text = short;
        }
    }
}

/// Keeps so many, each so long, and says how many it has dropped.
pub(super) fn bound(attributes: &mut Vec<KeyValue>, most: u32, length: usize) -> u32 {
    let made = attributes.len();
    attributes.truncate(most as usize);
    shorten(attributes, length);
    u32::try_from(made - attributes.len()).unwrap_or(u32::MAX)
}

/// Adds a link, or counts it as dropped.
pub(super) fn add_link(links: &mut SpanLinks, mut link: Link, limits: Limits) {
    if links.len() >= limits.span_links as usize {
        links.dropped_count += 1;
        return;
    }
    let (most, length) = (limits.link_attributes, limits.span_value_length);
    link.dropped_attributes_count += bound(&mut link.attributes, most, length);
    links.links.push(link);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::SpanContext;

    fn linked(limits: Limits) -> SpanLinks {
        let attributes = vec![KeyValue::new("kind", "previous"), KeyValue::new("n", 1)];
        let link = Link::new(SpanContext::empty_context(), attributes, 0);
        let mut links = SpanLinks::default();
        add_link(&mut links, link, limits);
        links
    }

    #[test]
    fn a_link_beyond_the_limit_is_counted() {
        let links = linked(Limits {
            span_links: 0,
            ..Limits::default()
        });
        assert_eq!((links.len(), links.dropped_count), (0, 1));
    }

    #[test]
    fn attributes_of_a_link_are_as_many_and_as_long_as_is_said() {
        let links = linked(Limits::default());
        assert_eq!((links[0].attributes.len(), links.dropped_count), (2, 0));
        let links = linked(Limits {
            link_attributes: 1,
            span_value_length: 4,
            ..Limits::default()
        });
        assert_eq!(links[0].attributes, [KeyValue::new("kind", "prev")]);
        assert_eq!(links[0].dropped_attributes_count, 1);
    }
}
