//! What a run leaves behind, and what an uninstall does.

use super::{RUN, RunRecord};

const UNINSTALL: &str = "uninstall";

impl RunRecord {
    /// Whether it left a bundle current that was made from just this.
    #[must_use]
    pub fn made_current(&self, digest: &str) -> bool {
        self.exit == 0 && self.mode == RUN && self.digest.as_deref() == Some(digest)
    }

    /// Says that everything was to go.
    #[must_use]
    pub fn of_uninstall(self) -> Self {
        let deleted: usize = self.steps.iter().map(|step| step.changes.len()).sum();
        let sentence = if self.exit == 0 {
            format!("{} is uninstalled: {deleted} objects deleted", self.bundle)
        } else {
            self.sentence
        };
        Self {
            mode: UNINSTALL.to_owned(),
            sentence,
            ..self
        }
    }

    /// What is left behind, for people; no text if there is nothing.
    #[must_use]
    pub fn remark(&self) -> String {
        let objects = self.left.join(", ");
        match self.mode.as_str() {
            _ if self.left.is_empty() => String::new(),
            UNINSTALL => format!(
                "Kept: {objects}\n`firstlight uninstall --purge` deletes also what holds data.\n"
            ),
            _ => format!(
                "Not in the bundle any more: {objects}\n`firstlight run --prune` deletes them; what holds data only with --prune-data.\n"
            ),
        }
    }
}
