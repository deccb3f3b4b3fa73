//! The environment: the only reader of it.
//!
//! `FIRSTLIGHT_…` variables have the names of the flags; a flag beats its variable, a variable
//! beats a file. The standard `OTEL_…` variables are read in [`otel`].

mod otel;
mod spool;

pub use otel::{Endpoint, Limits, Otel, Protocol, RecordLimits, Sampler, Signal};

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All variables of ours begin with this.
const PREFIX: &str = "FIRSTLIGHT_";

/// Where Kubernetes reads the reason of a pod's end, unless the pod names another file.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// What the environment says. Everything is optional: flags and files say the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The folder of the bundle.
    pub bundle: Option<PathBuf>,
    /// The bundle's profile.
    pub profile: Option<String>,
    /// Files of values, later ones win. In the variable separated by commas.
    pub values: Vec<PathBuf>,
    /// Single values as `key.path=value`, later ones win. In the variable separated by commas.
    pub set: Vec<String>,
    /// The one phase to run.
    pub only: Option<String>,
    /// How results are printed.
    pub output: Option<Output>,
    /// How log lines are printed.
    pub log: Option<LogFormat>,
    /// Which log lines are printed: `debug`, or by target as in `warn,firstlight=debug`.
    pub log_level: Option<String>,
    /// The namespace of the installation.
    pub namespace: Option<String>,
    /// The name of the pod this runs in.
    pub pod_name: Option<String>,
    /// The UID of the pod this runs in.
    pub pod_uid: Option<String>,
    /// The name of the Job this runs for.
    pub job_name: Option<String>,
    /// The UID of the Job this runs for.
    pub job_uid: Option<String>,
    /// Where the last sentence is left for Kubernetes.
    pub termination_log: Option<PathBuf>,
    /// Where telemetry waits that memory has no room for, and where the rest is left at the end.
    pub spool_dir: Option<PathBuf>,
    /// How many bytes may wait there, as `256Mi`.
    #[serde(deserialize_with = "spool::size")]
    pub spool_limit: Option<u64>,
    /// How long the end of a run waits for the servers of its telemetry, as `30s`.
    #[serde(deserialize_with = "spool::duration")]
    pub telemetry_grace: Option<Duration>,
    /// Where programs of this user keep what is to outlast them; none in a container.
    #[serde(skip)]
    pub state_dir: Option<PathBuf>,
    /// Whether `NO_COLOR` asks for plain text.
    #[serde(skip)]
    pub no_color: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How log lines are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A live picture on a terminal, else text.
    #[default]
    Auto,
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// A variable that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable} is wrong: {reason}")]
pub struct SettingsError {
    /// Its name.
    pub variable: String,
    /// What is wrong with it. Never quotes what may be a secret.
    pub reason: String,
}

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names the first variable that is wrong.
    pub fn from_env() -> Result<Self, SettingsError> {
        let mut settings = Self::from_vars(variables())?;
        let kubernetes = Path::new(TERMINATION_LOG);
        if settings.termination_log.is_none() && kubernetes.exists() {
            settings.termination_log = Some(kubernetes.to_path_buf());
        }
        Ok(settings)
    }

    /// Reads these variables; an empty one counts as not set, as a chart's template leaves it.
    ///
    /// # Errors
    /// Names the first variable that is wrong.
    pub fn from_vars(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let set: Vec<_> = variables
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .collect();
        let no_color = set.iter().any(|(name, _)| name == "NO_COLOR");
        let state_dir = state_dir(&set);
        let ours: Vec<_> = set
            .into_iter()
            .filter(|(n, _)| n.starts_with(PREFIX))
            .collect();
        let envy = envy::prefixed(PREFIX);
        // envy does not say which variable an error is about; each is tried alone to find out.
        for (name, value) in &ours {
            let alone = [(name.clone(), value.clone())];
            envy.from_iter::<_, Self>(alone)
                .map_err(|error| SettingsError {
                    variable: name.clone(),
                    reason: error.to_string(),
                })?;
        }
        let settings = envy
            .from_iter::<_, Self>(ours)
            .map_err(|error| SettingsError {
                variable: format!("{PREFIX}…"),
                reason: error.to_string(),
            })?;
        Ok(Self {
            state_dir,
            no_color,
            ..settings
        })
    }
}

/// As the XDG base directories have it.
fn state_dir(set: &[(String, String)]) -> Option<PathBuf> {
    let path = |name: &str| {
        let (_, value) = set.iter().find(|(other, _)| other == name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    path("XDG_STATE_HOME").or_else(|| Some(path("HOME")?.join(".local/state")))
}

/// Every variable that is text; others are not ours.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the reader of the environment"
)]
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let owned = variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Settings::from_vars(owned)
    }

    #[test]
    fn variables_have_the_names_of_the_flags() {
        let settings = read(&[
            ("FIRSTLIGHT_BUNDLE", "/bundle"),
            ("FIRSTLIGHT_VALUES", "a.yaml,b.yaml"),
            ("FIRSTLIGHT_SET", "a.b=1,c=2"),
            ("FIRSTLIGHT_OUTPUT", "json"),
            ("FIRSTLIGHT_LOG", "text"),
            ("FIRSTLIGHT_POD_NAME", "lens-1"),
            ("FIRSTLIGHT_ONLY", ""),
            ("FIRSTLIGHT_SERVICE_HOST", "10.0.0.1"),
            ("FIRSTLIGHT_SPOOL_LIMIT", "256Mi"),
            ("FIRSTLIGHT_TELEMETRY_GRACE", "1m30s"),
            ("HOME", "/home/lena"),
            ("NO_COLOR", "1"),
        ]);
        let wanted = Settings {
            bundle: Some("/bundle".into()),
            values: vec!["a.yaml".into(), "b.yaml".into()],
            set: vec!["a.b=1".to_owned(), "c=2".to_owned()],
            output: Some(Output::Json),
            log: Some(LogFormat::Text),
            pod_name: Some("lens-1".to_owned()),
            spool_limit: Some(256 << 20),
            telemetry_grace: Some(Duration::from_secs(90)),
            state_dir: Some("/home/lena/.local/state".into()),
            no_color: true,
            ..Settings::default()
        };
        assert_eq!(settings, Ok(wanted));
    }

    #[test]
    fn the_wrong_variable_is_named() {
        let error = read(&[("FIRSTLIGHT_LOG", "json"), ("FIRSTLIGHT_OUTPUT", "xml")]);
        let text = error.expect_err("xml is no output").to_string();
        assert_eq!(
            text,
            "environment variable FIRSTLIGHT_OUTPUT is wrong: unknown variant `xml`, expected `text` or `json`"
        );
    }

    #[test]
    fn a_wrong_size_or_duration_is_quoted() {
        for (name, value, wanted) in [
            (
                "FIRSTLIGHT_SPOOL_LIMIT",
                "much",
                "\"much\" is no size like 256Mi or 1G",
            ),
            (
                "FIRSTLIGHT_TELEMETRY_GRACE",
                "-1s",
                "\"-1s\" is no duration like 30s or 2m",
            ),
        ] {
            let error = read(&[(name, value)]).expect_err("it is wrong");
            assert_eq!(error.variable, name);
            assert_eq!(error.reason, wanted);
        }
    }
}
