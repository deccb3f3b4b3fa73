//! What is applied: settings and as many objects with a status, in the form of each tool.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;

/// The kind that the stand-in controller makes ready.
pub(crate) const GROUP: &str = "bench.firstlight.test";

/// The same objects for all tools.
pub(crate) struct Load {
    folder: TempDir,
}

impl Load {
    /// Writes so many objects.
    pub(crate) fn new(objects: usize) -> Result<Self, Failure> {
        let load = Self {
            folder: tempfile::tempdir()?,
        };
        let documents = documents(objects);
        load.write("objects.yaml", &documents)?;
        load.write("bundle/manifests/objects.yaml", &documents)?;
        load.write("bundle/manifests/bundle.yaml", BUNDLE)?;
        load.write("chart/templates/objects.yaml", &documents)?;
        load.write("chart/Chart.yaml", CHART)?;
        Ok(load)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        Ok(fs::write(path, text)?)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}

const BUNDLE: &str = "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: bench }
phases:
  - name: objects
    steps:
      - apply: { path: manifests/objects.yaml, ready: condition }
        timeout: 20m
";

const CHART: &str = "apiVersion: v2
name: bench
version: 1.0.0
";

fn documents(objects: usize) -> String {
    let mut text = String::new();
    for number in 0..objects / 2 {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-{number}
  labels: {{ app.kubernetes.io/name: settings, app.kubernetes.io/instance: n{number} }}
data:
  application.properties: |
    server.port=8080
    server.number={number}
  LOG_LEVEL: info
---
apiVersion: {GROUP}/v1
kind: Widget
metadata:
  name: widget-{number}
  labels: {{ app.kubernetes.io/name: widget, app.kubernetes.io/instance: n{number} }}
spec:
  size: {number}
  replicas: 3
  resources: {{ requests: {{ cpu: 100m, memory: 128Mi }} }}
"
        );
    }
    text
}
