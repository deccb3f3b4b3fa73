//! A record that fits where it is kept.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ChangeRecord, FieldRecord, StepRecord};
    use jiff::Timestamp;

    #[test]
    fn a_record_that_is_too_long_keeps_what_failed() {
        let step = |id: usize, reason: Option<&str>| StepRecord {
            id: format!("a/{id}"),
            kind: "kubernetes.object".to_owned(),
            outcome: "changed".to_owned(),
            optional: false,
            offset: None,
            seconds: 0.1,
            waited: 0.0,
            attempts: 1,
            changes: vec![ChangeRecord {
                verb: "update".to_owned(),
                target: format!("ConfigMap lens/{id}"),
                fields: vec![FieldRecord {
                    path: "data.x".to_owned(),
                    before: None,
                    after: Some("y".to_owned()),
                    sensitive: false,
                }],
            }],
            reason: reason.map(str::to_owned),
            error: None,
            excerpt: None,
            evidence: vec!["event No: no".repeat(50); usize::from(reason.is_some())],
            hints: Vec::new(),
        };
        let mut steps: Vec<StepRecord> = (0..1000).map(|id| step(id, None)).collect();
        steps.push(step(1000, Some("refused")));
        let record = RunRecord {
            telemetry: None,
            run: "r".to_owned(),
            bundle: "lens".to_owned(),
            profile: None,
            namespace: "lens".to_owned(),
            agent: "0".to_owned(),
            mode: "run".to_owned(),
            trace_id: None,
            span_id: None,
            attempt: None,
            after: None,
            started: Timestamp::UNIX_EPOCH,
            seconds: 1.0,
            exit: 78,
            sentence: "a/1000 failed: refused".to_owned(),
            phases: Vec::new(),
            steps,
            digest: None,
            left: Vec::new(),
        };
        let read = |limit: usize| -> RunRecord {
            let text = record.to_json(limit).expect("JSON");
            assert!(text.len() <= limit, "{} of {limit}", text.len());
            serde_json::from_str(&text).expect("a record")
        };
        assert_eq!(read(1_000_000), record);
        assert!(read(200_000).steps[0].changes[0].fields.is_empty());
        assert!(read(130_000).steps[0].changes.is_empty());
        let short = read(1_000);
        assert_eq!(short.steps.len(), 1);
        assert_eq!(short.steps[0].id, "a/1000");
        assert_eq!(short.steps[0].evidence.len(), 1);
        assert!(read(500).steps[0].evidence.is_empty());
    }
}
