//! What is migrated: files of five statements, in the form of each tool.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testbed::PostgresServer;

use crate::Failure;

/// The same statements for all tools.
pub(crate) struct Migrations {
    folder: TempDir,
}

impl Migrations {
    /// Writes so many files.
    pub(crate) fn new(files: usize) -> Result<Self, Failure> {
        let it = Self {
            folder: tempfile::tempdir()?,
        };
        for number in 1..=files {
            let sql = statements(number);
            write(&it.plain().join(format!("{number:04}.sql")), &sql)?;
            write(
                &it.bundle().join(format!("sql/V{number:04}__table.sql")),
                &sql,
            )?;
            write(
                &it.golang_migrate()
                    .join(format!("{number:04}_table.up.sql")),
                &sql,
            )?;
        }
        Ok(it)
    }

    /// Files for `psql`.
    pub(crate) fn plain(&self) -> PathBuf {
        self.folder.path().join("plain")
    }

    /// Files for golang-migrate.
    pub(crate) fn golang_migrate(&self) -> PathBuf {
        self.folder.path().join("golang-migrate")
    }

    /// A bundle with nothing else in it.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    /// Points the bundle at a database; its password and authority are in the Secret `bench`.
    pub(crate) fn aim(&self, server: &PostgresServer, database: &str) -> Result<(), Failure> {
        let PostgresServer {
            host, port, user, ..
        } = server;
        let text = format!(
            "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: {{ name: bench }}
servers:
  postgres:
    host: {host}
    port: {port}
    user: {user}
    password: {{ secret: bench, key: password }}
    tls: {{ mode: verify-full, ca: {{ secret: bench, key: ca.crt }} }}
phases:
  - name: schema
    steps:
      - migrate: {{ path: sql, database: {database} }}
        timeout: 20m
"
        );
        write(&self.bundle().join("manifests/bundle.yaml"), &text)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    Ok(fs::write(path, text)?)
}

fn statements(number: usize) -> String {
    format!(
        "-- Table {number} of the benchmark.
CREATE TABLE items_{number} (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE items_{number} IS 'One of many; its statements end with a ; each.';

CREATE INDEX items_{number}_name_idx ON items_{number} (name);

ALTER TABLE items_{number} ADD CONSTRAINT items_{number}_name_check CHECK (name <> '');

INSERT INTO items_{number} (name) VALUES ('first'), ('second'), ('third');
"
    )
}
