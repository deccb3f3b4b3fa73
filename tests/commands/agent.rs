//! The program with a bundle of the test's own.

use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Output};

use tempfile::TempDir;
use testbed::{Cluster, Env, PostgresServer, unique};

/// Nobody runs its pods, so who waits for it waits.
pub(crate) const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: example.com/web }] }
";

/// A bundle in a folder of its own, and a namespace of its own on a cluster.
pub(crate) struct Agent {
    bundle: TempDir,
    kubeconfig: std::path::PathBuf,
    pub(crate) namespace: String,
}

/// How a command ended: what it printed and its exit code.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Ended {
    /// The one true sentence: the last line.
    pub(crate) fn sentence(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

impl Agent {
    /// A bundle of these phases for the API server of the test bed.
    pub(crate) fn new(name: &str, servers: &str, phases: &str) -> Self {
        let cluster = Env::load()
            .and_then(|env| env.api_server())
            .expect("an API server");
        Self::on(&cluster, name, servers, phases)
    }

    /// A bundle of these phases for a cluster.
    pub(crate) fn on(cluster: &Cluster, name: &str, servers: &str, phases: &str) -> Self {
        let bundle = tempfile::tempdir().expect("a folder");
        let namespace = unique(name);
        let agent = Self {
            bundle,
            kubeconfig: cluster.kubeconfig.clone(),
            namespace,
        };
        let text = format!(
            "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: {{ name: {name} }}\n{servers}\nphases:\n{phases}"
        );
        agent.write("manifests/bundle.yaml", &text);
        let mut kubectl = cluster.kubectl().expect("kubectl");
        let made = kubectl
            .args(["create", "namespace", &agent.namespace])
            .output();
        assert!(made.expect("kubectl runs").status.success(), "no namespace");
        agent
    }

    /// Writes a file of the bundle.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.bundle.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Reads a file of the bundle.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.bundle.path().join(path)).expect("text")
    }

    /// Where a file of the bundle is.
    pub(crate) fn path(&self, path: &str) -> String {
        self.bundle.path().join(path).display().to_string()
    }

    /// The command, in an environment that holds nothing else.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
        command
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.bundle.path())
            .env("FIRSTLIGHT_NAMESPACE", &self.namespace)
            .env(
                "FIRSTLIGHT_TERMINATION_LOG",
                self.bundle.path().join("termination"),
            )
            .args(arguments);
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    /// What was left for Kubernetes as the reason of the pod's end.
    pub(crate) fn termination(&self) -> String {
        std::fs::read_to_string(self.bundle.path().join("termination")).unwrap_or_default()
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    told(&command.output().expect("the program runs"))
}

/// Waits for the end of one that runs, with its output in pipes.
pub(crate) fn ended_child(child: Child) -> Ended {
    told(&child.wait_with_output().expect("the program ends"))
}

fn told(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The test bed's Postgres, and the `servers:` of a bundle that uses it with a password from a Secret.
pub(crate) fn postgres(secret: &str) -> (PostgresServer, String) {
    let server = Env::load()
        .and_then(|env| env.postgres())
        .expect("a Postgres");
    let text = format!(
        "servers:\n  postgres:\n    host: {}\n    port: {}\n    user: {}\n    password: {{ secret: {secret}, key: password }}\n    tls: {{ mode: disable }}\n",
        server.host, server.port, server.user
    );
    (server, text)
}

/// A bundle that migrates a database of its own with the files that the test writes.
pub(crate) fn migrating(name: &str) -> Agent {
    let (server, servers) = postgres("database");
    let database = unique(name);
    let phases = format!(
        "  - name: secrets
    steps:
      - secret: {{ name: database, values: {{ password: \"{}\" }} }}
  - name: schema
    steps:
      - database: {{ name: {database} }}
      - migrate: {{ path: sql, database: {database} }}
        needs: [{database}]
",
        server.password
    );
    Agent::new(name, &servers, &phases)
}
