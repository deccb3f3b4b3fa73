//! How long a server asks to be left alone.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use prost::Message;
use std::time::Duration;

/// What a gRPC status carries in its details: `google.rpc.Status`, as far as it is read here.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Reads a `Retry-After`: seconds, or a date.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(text).ok()?;
    let pause = date.timestamp().duration_since(now);
    Some(Duration::try_from(pause).unwrap_or_default())
}

/// Reads the `RetryInfo` among the details of a gRPC status; none says that it is of no use to try
/// again, where the status alone leaves that open.
pub(super) fn retry_info(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details
        .iter()
        .find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay;
    let delay = delay.unwrap_or_default();
    let seconds = u64::try_from(delay.seconds).unwrap_or(0);
    Some(Duration::new(
        seconds,
        u32::try_from(delay.nanos).unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T21:00:00Z".parse().expect("a time");
        let seconds = |text: &str| retry_after(text, now).map(|pause| pause.as_secs());
        for (text, wanted) in [
            ("3", Some(3)),
            (" 120 ", Some(120)),
            ("Sat, 21 Nov 2026 21:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 20:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_pause_is_in_the_details() {
        let info = RetryInfo {
            retry_delay: Some(Delay {
                seconds: 2,
                nanos: 500_000_000,
            }),
        };
        let with = |type_url: &str, value: Vec<u8>| {
            let any = Any {
                type_url: type_url.to_owned(),
                value,
            };
            Details { details: vec![any] }.encode_to_vec()
        };
        let retry = with(
            "type.googleapis.com/google.rpc.RetryInfo",
            info.encode_to_vec(),
        );
        assert_eq!(retry_info(&retry), Some(Duration::from_millis(2_500)));
        let other = with("type.googleapis.com/google.rpc.Help", Vec::new());
        assert_eq!(retry_info(&other), None);
        assert_eq!(retry_info(b""), None);
        assert_eq!(retry_info(b"\xff"), None);
    }
}
