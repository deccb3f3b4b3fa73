//! The step of migrations alone: one resource, the loop around it and a server, in a process of
//! its own as the other tools are. No bundle is read and no Kubernetes asked.

use std::path::Path;
use std::time::Duration;

use firstlight::engine::{
    self, Attempt, Graph, Mode, Outcome, Pacing, Reporters, Run, RunInfo, StepId, StepOptions,
};
use firstlight::providers::postgres::{File, Migrations, Placeholders, Server, Settings, Tls};
use firstlight::secret::{
    Credential, ReadSecret, SecretError, SecretRef, Secrets, Sensitive, Setting,
};
use testbed::Env;

use crate::Failure;

const PATIENCE: Duration = Duration::from_mins(20);

/// Everything is given.
struct NoSecrets;

impl Secrets for NoSecrets {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
        Box::pin(async { Err(SecretError::Missing(reference.clone())) })
    }
}

/// Migrates a database of the test bed's server by the files of a folder.
pub(crate) async fn migrate(folder: &Path, database: &str) -> Result<(), Failure> {
    let resource = Migrations::new(server()?, database, files(folder)?);
    let mut graph = Graph::builder();
    let options = StepOptions {
        kind: "postgres.migrations",
        timeout: PATIENCE,
        no_progress: None,
        optional: false,
    };
    graph.step(StepId::new("migrations"), Vec::new(), options, resource);
    let name = || "bench".to_owned();
    let report = engine::run(Run {
        info: RunInfo {
            id: name(),
            bundle: name(),
            profile: None,
            namespace: name(),
            trace_id: None,
            attempt: Attempt::default(),
        },
        graph: graph.build().map_err(|found| format!("{found:?}"))?,
        mode: Mode::Apply,
        pacing: Pacing::default(),
        reporters: Reporters::new(),
        stop: tokio_util::sync::CancellationToken::new(),
    });
    for step in report.await.steps {
        if let Outcome::Failed { error, .. } = step.outcome {
            return Err(Box::new(error));
        }
    }
    Ok(())
}

fn server() -> Result<Server, Failure> {
    let at = Env::load()?.postgres()?;
    let plain = |value: &str| Credential::Plain(Sensitive::new(value));
    let settings = Settings {
        host: Setting::Known(at.host),
        port: Setting::Known(at.port),
        user: plain(&at.user),
        password: plain(&at.password),
        database: "postgres".to_owned(),
        tls: Tls::VerifyFull {
            ca: Some(plain(&std::fs::read_to_string(&at.ca_file)?)),
            server_name: None,
        },
        statement_timeout: Some(PATIENCE),
    };
    Ok(Server::new(settings, std::sync::Arc::new(NoSecrets)))
}

fn files(folder: &Path) -> Result<Vec<File>, Failure> {
    let file = |entry: std::io::Result<std::fs::DirEntry>| -> Result<File, Failure> {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (version, description) = name
            .trim_start_matches('V')
            .split_once("__")
            .ok_or("a name without a version")?;
        let sql = std::fs::read_to_string(&path)?;
        let version = version.parse::<u64>()?;
        let none = Placeholders::new();
        Ok(File::new(version, description, name.as_ref(), &sql, &none))
    };
    std::fs::read_dir(folder)?.map(file).collect()
}
