//! A record that fits its place.

use super::RunRecord;

impl RunRecord {
    /// The record as JSON of at most `limit` bytes. What is too long loses first the fields of its
    /// changes, then the changes, then the steps in which nothing is to be seen, then the evidence.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self, limit: usize) -> Result<String, serde_json::Error> {
        let mut record = self.clone();
        let mut text = serde_json::to_string(&record)?;
        for shorten in [
            without_fields,
            without_changes,
            without_quiet_steps,
            without_evidence,
        ] {
            if text.len() <= limit {
                break;
            }
            shorten(&mut record);
            text = serde_json::to_string(&record)?;
        }
        Ok(text)
    }
}

fn without_fields(record: &mut RunRecord) {
    let steps = record.steps.iter_mut();
    for change in steps.flat_map(|step| &mut step.changes) {
        change.fields.clear();
    }
}

fn without_changes(record: &mut RunRecord) {
    for step in &mut record.steps {
        step.changes.clear();
    }
}

fn without_quiet_steps(record: &mut RunRecord) {
    record.steps.retain(|step| step.reason.is_some());
}

fn without_evidence(record: &mut RunRecord) {
    for step in &mut record.steps {
        step.evidence.clear();
    }
}
