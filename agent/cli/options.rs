//! The options that all commands share; each beats its variable.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::settings::{LogFormat, Output, Settings};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Folder that holds manifests/bundle.yaml [default: the current one]
    #[arg(long, short, global = true, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Profile of the bundle: a file in manifests/profiles
    #[arg(long, short, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// File of values, which wins over the profile; may be given several times
    #[arg(long, short = 'f', global = true, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Single value, which wins over all files; may be given several times
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only this phase
    #[arg(long, global = true, value_name = "PHASE")]
    only: Option<String>,
    /// Namespace of the installation [default: that of the cluster's credentials]
    #[arg(long, short, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// How results are printed
    #[arg(long, short, global = true, value_enum)]
    output: Option<OutputFormat>,
    /// How log lines are printed; auto is a live tree on a terminal, else text
    #[arg(long, global = true, value_enum)]
    log: Option<LogLines>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLines {
    Auto,
    Text,
    Json,
}

impl Options {
    /// Puts the options over what the environment says. Lists replace, as single values do.
    pub(super) fn over(&self, settings: Settings) -> Settings {
        let list = |ours: &[PathBuf], theirs: Vec<PathBuf>| {
            if ours.is_empty() {
                theirs
            } else {
                ours.to_vec()
            }
        };
        let output = self.output.map(|format| match format {
            OutputFormat::Text => Output::Text,
            OutputFormat::Json => Output::Json,
        });
        let log = self.log.map(|lines| match lines {
            LogLines::Auto => LogFormat::Auto,
            LogLines::Text => LogFormat::Text,
            LogLines::Json => LogFormat::Json,
        });
        Settings {
            bundle: self.bundle.clone().or(settings.bundle),
            profile: self.profile.clone().or(settings.profile),
            values: list(&self.values, settings.values),
            set: if self.set.is_empty() {
                settings.set
            } else {
                self.set.clone()
            },
            only: self.only.clone().or(settings.only),
            namespace: self.namespace.clone().or(settings.namespace),
            output: output.or(settings.output),
            log: log.or(settings.log),
            ..settings
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn an_option_beats_its_variable() {
        let settings = Settings {
            profile: Some("large".to_owned()),
            only: Some("schema".to_owned()),
            set: vec!["a=1".to_owned()],
            ..Settings::default()
        };
        let line = Line::parse_from(["firstlight", "--profile", "quickstart", "--set", "b=2"]);
        let settings = line.options.over(settings);
        assert_eq!(settings.profile.as_deref(), Some("quickstart"));
        assert_eq!(settings.only.as_deref(), Some("schema"));
        assert_eq!(settings.set, ["b=2"]);
    }
}
