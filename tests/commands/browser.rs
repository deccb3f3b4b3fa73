//! A real browser without a screen and without a network.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const PROBE: &str = include_str!("probe.js");
/// What stands before what the probe has found, in the page as the browser has it.
const FOUND: &str = "<pre id=\"measured\">";

/// What colours the reader has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// A browser with a folder of its own, in which nothing of an earlier visit is left.
pub(crate) struct Browser {
    folder: TempDir,
    scheme: Scheme,
}

/// A page as the browser shows it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What the probe has found.
    pub(crate) found: Value,
    /// What the browser had to say about the page.
    pub(crate) console: Vec<String>,
}

impl Browser {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, scheme }
    }

    /// Opens a page with the probe in it.
    pub(crate) fn look(&self, page: &str) -> Seen {
        let probed = page.replacen("<head>", &format!("<head><script>{PROBE}</script>"), 1);
        assert_ne!(probed, page, "a page has a head");
        let (shown, console) = self.visit(&probed, &["--dump-dom".to_owned()]);
        let found = shown.split_once(FOUND).map(|(_, after)| after);
        let found = found.and_then(|after| after.split_once("</pre>"));
        let (found, _) = found.unwrap_or_else(|| panic!("the probe did not run: {shown}"));
        let json = found
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&nbsp;", "\u{a0}")
            .replace("&amp;", "&");
        Seen {
            found: serde_json::from_str(&json).expect("JSON"),
            console,
        }
    }

    /// A picture of the page, as PNG.
    pub(crate) fn picture(&self, page: &str) -> Vec<u8> {
        self.made("page.png", "--screenshot", page)
    }

    /// The page as it would be printed, as PDF.
    pub(crate) fn print(&self, page: &str) -> Vec<u8> {
        self.made("page.pdf", "--print-to-pdf", page)
    }

    fn made(&self, name: &str, how: &str, page: &str) -> Vec<u8> {
        let path = self.folder.path().join(name);
        self.visit(page, &[format!("{how}={}", path.display())]);
        std::fs::read(&path).unwrap_or_else(|error| panic!("no {name}: {error}"))
    }

    fn visit(&self, page: &str, arguments: &[String]) -> (String, Vec<String>) {
        let file = self.file(page);
        let scheme = match self.scheme {
            Scheme::Dark => 0,
            Scheme::Light => 1,
        };
        // As root it runs only without its sandbox; it sees nothing but our own page.
        let output = Command::new("timeout")
            .args(["60", "unshare", "--net", "chromium", "--headless"])
            .args(["--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .args(["--hide-scrollbars", "--window-size=1200,1600"])
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!(
                "--user-data-dir={}",
                self.folder.path().join("profile").display()
            ))
            .args(arguments)
            .arg(format!("file://{}", file.display()))
            .output()
            .expect("timeout runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "chromium failed ({}); tests/testbed/install.sh installs it: {stderr}",
            output.status
        );
        let console = stderr.lines().filter(|line| line.contains(":CONSOLE:"));
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            console.map(ToOwned::to_owned).collect(),
        )
    }

    fn file(&self, page: &str) -> PathBuf {
        let path: &Path = self.folder.path();
        let path = path.join("page.html");
        std::fs::write(&path, page).expect("a file");
        path
    }
}
