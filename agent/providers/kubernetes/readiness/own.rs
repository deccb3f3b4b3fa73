//! A rule that a bundle brings.

use super::super::live::Live;
use super::verdict::SETTLE;
use super::{STALE, Verdict, is_stale};
use crate::expression::{NoAnswer, ReadyRule};

/// What the bundle's rule says; none where it leaves the question to the rule of the kind.
pub(super) fn verdict(rule: &ReadyRule, live: &Live) -> Option<Verdict> {
    if rule.ready.is_none() && rule.failed.is_none() {
        return None;
    }
    if is_stale(live) {
        return Some(Verdict::not_ready(STALE));
    }
    if let Some(failed) = &rule.failed {
        match failed.holds(live.value()) {
            Ok(true) => return Some(Verdict::Failed(format!("`failed: {failed}` is true"))),
            Err(NoAnswer::NotBoolean) => {
                let why = format!("`failed: {failed}`: {}", NoAnswer::NotBoolean);
                return Some(Verdict::Failed(why));
            }
            // What is not there yet has not failed.
            Ok(false) | Err(_) => {}
        }
    }
    let ready = rule.ready.as_ref()?;
    Some(match ready.holds(live.value()) {
        Ok(true) => current(live),
        Ok(false) => Verdict::NotReady(format!("`ready: {ready}` is not true")),
        Err(NoAnswer::NotBoolean) => {
            Verdict::Failed(format!("`ready: {ready}`: {}", NoAnswer::NotBoolean))
        }
        Err(why) => Verdict::NotReady(format!("`ready: {ready}` cannot be told: {why}")),
    })
}

/// Ready, if that can only have been said of this generation.
fn current(live: &Live) -> Verdict {
    match (live.generation(), live.observed_generation()) {
        (Some(2..), None) => Verdict::ReadyIfHeld(SETTLE),
        _ => Verdict::Ready,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::expression::Expression;

    #[test]
    fn failed_is_asked_first_and_nothing_of_an_older_generation() {
        let compile = |source: &str| Expression::compile(source).expect("an expression");
        let ready = "object.status.phase == 'Running'";
        let failed = "object.status.phase == 'Broken'";
        let rule = ReadyRule {
            ready: Some(compile(ready)),
            failed: Some(compile(failed)),
        };
        let judged = |status: Value| {
            let object = json!({ "metadata": { "generation": 2 }, "status": status });
            verdict(&rule, &Live::new(object)).expect("a verdict")
        };
        assert_eq!(
            judged(json!({ "phase": "Running", "observedGeneration": 2 })),
            Verdict::Ready
        );
        assert_eq!(
            judged(json!({ "phase": "Broken" })),
            Verdict::Failed(format!("`failed: {failed}` is true"))
        );
        assert_eq!(
            judged(json!({ "phase": "Starting" })),
            Verdict::NotReady(format!("`ready: {ready}` is not true"))
        );
        assert_eq!(
            judged(json!({})),
            Verdict::NotReady(format!(
                "`ready: {ready}` cannot be told: there is no field `phase`"
            ))
        );
        assert_eq!(
            judged(json!({ "phase": "Running", "observedGeneration": 1 })),
            Verdict::not_ready(STALE)
        );
        let text = ReadyRule {
            ready: Some(compile("object.metadata.generation")),
            failed: None,
        };
        assert_eq!(
            verdict(
                &text,
                &Live::new(json!({ "metadata": { "generation": 2 } }))
            ),
            Some(Verdict::Failed(
                "`ready: object.metadata.generation`: its value is neither true nor false"
                    .to_owned()
            ))
        );
        assert_eq!(verdict(&ReadyRule::default(), &Live::new(json!({}))), None);
    }

    #[test]
    fn what_may_have_been_said_of_an_older_generation_must_hold() {
        let rule = ReadyRule {
            ready: Some(Expression::compile("object.ok").expect("an expression")),
            failed: None,
        };
        for (generation, status, expected) in [
            (json!(2), json!({}), Verdict::ReadyIfHeld(SETTLE)),
            (json!(2), json!({ "observedGeneration": 2 }), Verdict::Ready),
            (json!(1), json!({}), Verdict::Ready),
            (Value::Null, json!({}), Verdict::Ready),
        ] {
            let object = json!({ "metadata": { "generation": generation },
                "status": status, "ok": true });
            assert_eq!(
                verdict(&rule, &Live::new(object.clone())),
                Some(expected),
                "{object}"
            );
        }
    }
}
