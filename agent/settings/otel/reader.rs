//! Reads single variables, and keeps what is wrong with them.

use super::{Endpoint, Protocol, Sampler, Signal};
use crate::secret::Sensitive;
use crate::settings::SettingsError;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long one export may take, unless the environment says otherwise: the standard's own figure.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Variables that are set.
pub(super) struct Reader {
    pub(super) set: BTreeMap<String, String>,
    pub(super) mistakes: Vec<SettingsError>,
}

impl Reader {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.set.get(name).map(|value| value.trim().to_owned())
    }

    /// A text that goes into a header; one that no header can carry would fail each request.
    pub(super) fn header(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let fits = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        if text.as_bytes().iter().all(fits) {
            return Some(text);
        }
        let reason = "a character of it cannot stand in a header, so that it is not handed on";
        self.mistake(name, reason);
        None
    }

    pub(super) fn names_an_endpoint(&self) -> bool {
        let is_one =
            |name: &String| name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("ENDPOINT");
        self.set.keys().any(is_one)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The signal's own variable, or else the one for all signals.
    fn pick(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.upper());
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        let pair = |name: String| self.text(&name).map(|value| (name, value));
        pair(own).or_else(|| pair(all))
    }

    fn mistake(&mut self, variable: &str, reason: impl Into<String>) {
        let mistake = SettingsError {
            variable: variable.to_owned(),
            reason: reason.into(),
        };
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    fn number(&mut self, name: &str, value: &str) -> Option<Duration> {
        let millis = value.parse().ok().filter(|millis| *millis > 0);
        if millis.is_none() {
            self.mistake(name, format!("{value} is not a number of milliseconds"));
        }
        millis.map(Duration::from_millis)
    }

    pub(super) fn millis(&mut self, name: &str) -> Option<Duration> {
        self.text(name).and_then(|value| self.number(name, &value))
    }

    pub(super) fn count(&mut self, name: &str) -> Option<u32> {
        let text = self.text(name)?;
        let count = text.parse().ok();
        if count.is_none() {
            self.mistake(name, format!("{text} is not a number of 0 or more"));
        }
        count
    }

    /// Whether the trace of the caller is taken on and handed on. Of the propagators only the
    /// W3C's own says anything here: there is no baggage.
    pub(super) fn propagates(&mut self) -> bool {
        const NAME: &str = "OTEL_PROPAGATORS";
        let Some(list) = self.text(NAME) else {
            return true;
        };
        let mut propagates = false;
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name {
                "tracecontext" => propagates = true,
                "baggage" | "none" => {}
                other => {
                    let reason = format!(
                        "{other} is not a propagator that firstlight has: tracecontext, baggage or none"
                    );
                    self.mistake(NAME, reason);
                }
            }
        }
        propagates
    }

    /// Tells who wants other points of metrics than there are.
    pub(super) fn only_cumulative(&mut self) {
        for (name, only) in [
            (
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "cumulative",
            ),
            (
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
                "explicit_bucket_histogram",
            ),
        ] {
            match self.text(name) {
                Some(other) if !other.eq_ignore_ascii_case(only) => {
                    self.mistake(name, format!("{other} is not what firstlight has: {only}"));
                }
                _ => {}
            }
        }
    }

    /// `key=value` pairs with percent-encoded values.
    pub(super) fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let text = self.text(name).unwrap_or_default();
        let mut pairs = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let decoded = part.split_once('=').and_then(|(key, value)| {
                Some((key.trim().to_owned(), percent_decoded(value.trim())?))
            });
            match decoded {
                Some((key, value)) if !key.is_empty() => pairs.push((key, value)),
                // The part is not quoted: in headers it may be a token.
                _ => self.mistake(
                    name,
                    "a part of it is not key=value with a percent-encoded value",
                ),
            }
        }
        pairs
    }

    pub(super) fn sampler(&mut self) -> Sampler {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(name) = self.text(NAME) else {
            return Sampler::default();
        };
        let own = name.strip_prefix("parentbased_");
        let ratio = match own.unwrap_or(&name) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let text = self.text(ARGUMENT).unwrap_or_else(|| "1".to_owned());
                match text.parse() {
                    Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
                    _ => {
                        self.mistake(ARGUMENT, format!("{text} is not a number from 0 to 1"));
                        1.0
                    }
                }
            }
            _ => {
                self.mistake(NAME, format!("{name} is not a sampler that firstlight has"));
                return Sampler::default();
            }
        };
        Sampler {
            follows_parent: own.is_some(),
            ratio,
        }
    }

    pub(super) fn endpoint(&mut self, signal: Signal) -> Option<Endpoint> {
        let exporter = format!("OTEL_{}_EXPORTER", signal.upper());
        match self.text(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(other) => {
                let reason =
                    format!("{other} is not an exporter that firstlight has: otlp or none");
                self.mistake(&exporter, reason);
            }
        }
        let (name, address) = self.pick(signal, "ENDPOINT")?;
        let protocol = self.protocol(signal);
        Some(Endpoint {
            url: self.url(signal, protocol, &name, &address)?,
            protocol,
            headers: self.headers(signal),
            timeout: self
                .pick(signal, "TIMEOUT")
                .and_then(|(name, value)| self.number(&name, &value))
                .unwrap_or(TIMEOUT),
            gzip: self.gzip(signal),
            certificate: self
                .pick(signal, "CERTIFICATE")
                .map(|(_, path)| path.into()),
            client: self.client(signal),
        })
    }

    fn protocol(&mut self, signal: Signal) -> Protocol {
        match self.pick(signal, "PROTOCOL") {
            Some((_, value)) if value == "grpc" => Protocol::Grpc,
            Some((name, value)) if value != "http/protobuf" => {
                let reason =
                    format!("{value} is not a protocol that firstlight has: grpc or http/protobuf");
                self.mistake(&name, reason);
                Protocol::default()
            }
            _ => Protocol::default(),
        }
    }

    /// A signal's own URL is used as it is; the path is added to the one for all signals.
    fn url(
        &mut self,
        signal: Signal,
        protocol: Protocol,
        name: &str,
        address: &str,
    ) -> Option<String> {
        let has_scheme = ["http://", "https://"].iter().any(|scheme| {
            let rest = address.get(scheme.len()..).unwrap_or_default();
            address.to_ascii_lowercase().starts_with(scheme) && !rest.is_empty()
        });
        match protocol {
            Protocol::Grpc if has_scheme => Some(address.to_owned()),
            Protocol::Grpc if !address.contains("://") => {
                let insecure = self
                    .pick(signal, "INSECURE")
                    .is_some_and(|(_, v)| v.eq_ignore_ascii_case("true"));
                Some(format!(
                    "{}://{address}",
                    if insecure { "http" } else { "https" }
                ))
            }
            Protocol::HttpProtobuf if has_scheme && name == "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(
                format!("{}{}", address.trim_end_matches('/'), signal.path()),
            ),
            Protocol::HttpProtobuf if has_scheme => Some(address.to_owned()),
            _ => {
                // Before an @ there is a login.
                let place = address.rsplit('@').next().unwrap_or_default();
                let reason = format!("{place} does not begin with http:// or https://");
                self.mistake(name, reason);
                None
            }
        }
    }

    fn headers(&mut self, signal: Signal) -> Vec<(String, Sensitive)> {
        let Some((name, _)) = self.pick(signal, "HEADERS") else {
            return Vec::new();
        };
        let pairs = self.pairs(&name).into_iter();
        pairs
            .map(|(key, value)| (key, Sensitive::new(value)))
            .collect()
    }

    fn gzip(&mut self, signal: Signal) -> bool {
        match self.pick(signal, "COMPRESSION") {
            Some((_, value)) if value == "gzip" => true,
            Some((name, value)) if value != "none" => {
                self.mistake(
                    &name,
                    format!("{value} is not a compression that firstlight has: gzip or none"),
                );
                false
            }
            _ => false,
        }
    }

    fn client(&mut self, signal: Signal) -> Option<(PathBuf, PathBuf)> {
        let certificate = self.pick(signal, "CLIENT_CERTIFICATE");
        let key = self.pick(signal, "CLIENT_KEY");
        match (certificate, key) {
            (Some((_, certificate)), Some((_, key))) => Some((certificate.into(), key.into())),
            (Some((name, _)), None) => {
                self.mistake(
                    &name,
                    "it needs the key in OTEL_EXPORTER_OTLP_CLIENT_KEY beside it",
                );
                None
            }
            (None, Some((name, _))) => {
                self.mistake(
                    &name,
                    "it needs the certificate in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE beside it",
                );
                None
            }
            (None, None) => None,
        }
    }
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}
