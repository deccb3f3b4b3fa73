//! Runs a graph: every node starts when what it needs has ended, failures skip only what needs them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::converge::{Context, Ending};
use super::slot::{End, Slot, Start, slots};
use super::spans::{node_span, record_group, record_outcome, record_result, run_span};
use super::{
    Because, EventKind, Graph, Mode, Outcome, Pacing, Report, Reporters, RunInfo, StepError,
    StepReport,
};

/// What to run and how.
pub struct Run {
    /// What identifies it.
    pub info: RunInfo,
    /// The steps.
    pub graph: Graph,
    /// Whether to change things.
    pub mode: Mode,
    /// How often to look.
    pub pacing: Pacing,
    /// Who listens.
    pub reporters: Reporters,
    /// Told from outside when the run has to end early.
    pub stop: CancellationToken,
}

struct Runner {
    slots: Vec<Slot>,
    root: Span,
    mode: Mode,
    pacing: Pacing,
    reporters: Reporters,
    stop: CancellationToken,
}

/// Runs the graph to its end and says how it went.
pub async fn run(run: Run) -> Report {
    let Run {
        info,
        graph,
        mode,
        pacing,
        reporters,
        stop,
    } = run;
    let (started, clock) = (SystemTime::now(), Instant::now());
    let root = run_span(&info, mode);
    let ids = graph.ids();
    root.in_scope(|| {
        reporters.send(EventKind::RunStarted {
            run: &info,
            mode,
            nodes: &ids,
        });
    });
    let slots = slots(graph);
    let runner = Arc::new(Runner {
        slots,
        root: root.clone(),
        mode,
        pacing,
        reporters,
        stop,
    });
    let announce = tokio::spawn(Arc::clone(&runner).announce_stop());
    runner.run_nodes().await;
    announce.abort();
    // It holds the run's span until it has ended, and a span that is held is not exported.
    let _ = announce.await;
    let steps: Vec<StepReport> = runner.slots.iter().filter_map(Slot::take_report).collect();
    let left = steps.iter().any(|step| !step.outcome.is_settled());
    let report = Report {
        run: info,
        mode,
        started,
        took: clock.elapsed(),
        steps,
        // Told to stop after its last step, it has done all the same.
        stopped: runner.stop.is_cancelled() && left,
    };
    record_result(&root, &report);
    root.in_scope(|| {
        runner
            .reporters
            .send(EventKind::RunFinished { report: &report });
    });
    report
}

impl Runner {
    async fn run_nodes(self: &Arc<Self>) {
        let mut tasks = JoinSet::new();
        for at in 0..self.slots.len() {
            tasks.spawn(Arc::clone(self).run_node(at));
        }
        tasks.join_all().await;
    }

    async fn announce_stop(self: Arc<Self>) {
        self.stop.cancelled().await;
        let grace = self.pacing.grace;
        self.root
            .in_scope(|| self.reporters.send(EventKind::RunStopping { grace }));
    }

    async fn run_node(self: Arc<Self>, at: usize) {
        let slot = &self.slots[at];
        let start = self.clear_to_start(slot).await;
        if slot.node.step.is_none() {
            self.tell_group_started(slot, &start);
        }
        slot.start.send_replace(Some(start.clone()));
        let end = if slot.node.step.is_some() {
            self.clone().run_step(at, start).await
        } else {
            self.run_group(slot, start).await
        };
        // Who wanted the node's span has it by now. Kept here it would end only with the run.
        slot.start.send_replace(None);
        slot.end.send_replace(Some(end));
    }

    /// Waits for the group that the node is in and for all that it needs.
    async fn clear_to_start(&self, slot: &Slot) -> Start {
        let parent = match slot.parent {
            Some(parent) => self.slots[parent].started().await,
            None => Start::Go {
                span: self.root.clone(),
                after: None,
            },
        };
        let Start::Go { span, mut after } = parent else {
            return parent;
        };
        for need in &slot.needs {
            match self.slots[*need].ended().await {
                End::Bad(because) => return Start::Skip(because),
                End::Fine { pending } => after = after.or(pending),
            }
        }
        if self.stop.is_cancelled() {
            return Start::Skip(Because::Stopped);
        }
        Start::Go {
            span: node_span(&span, &slot.node),
            after,
        }
    }

    /// Before its members are released, so that nobody hears of them first.
    fn tell_group_started(&self, slot: &Slot, start: &Start) {
        if let Start::Go { span, .. } = start {
            let step = &slot.node.id;
            span.in_scope(|| {
                self.reporters.send(EventKind::StepStarted {
                    step,
                    timeout: None,
                });
            });
        }
    }

    async fn run_group(&self, slot: &Slot, start: Start) -> End {
        let began = Instant::now();
        let id = &slot.node.id;
        // A group that is skipped is no more current than what it needed, whatever its members are.
        let mut end = match &start {
            Start::Skip(because) => End::Bad(because.clone()),
            // Where nothing but needs meet, what they wait for is what the next one waits for.
            Start::Go { after, .. } if slot.members.is_empty() => End::Fine {
                pending: after.clone(),
            },
            Start::Go { .. } => End::Fine { pending: None },
        };
        for member in &slot.members {
            end = match (end, self.slots[*member].ended().await) {
                (bad @ End::Bad(_), _) | (_, bad @ End::Bad(_)) => bad,
                (End::Fine { pending }, End::Fine { pending: other }) => End::Fine {
                    pending: pending.or(other),
                },
            };
        }
        let Start::Go { span, .. } = start else {
            return end;
        };
        let because = match &end {
            End::Bad(because) => Some(because),
            End::Fine { .. } => None,
        };
        record_group(&span, because);
        let took = began.elapsed();
        span.in_scope(|| {
            self.reporters.send(EventKind::GroupFinished {
                step: id,
                because,
                took,
            });
        });
        end
    }

    async fn run_step(self: Arc<Self>, at: usize, start: Start) -> End {
        let node = &self.slots[at].node;
        let Some((_, options)) = &node.step else {
            return End::Fine { pending: None };
        };
        let (kind, optional, timeout) = (options.kind, options.optional, options.timeout);
        let began = Instant::now();
        let (span, ending, started) = match start {
            Start::Skip(because) => {
                let span = node_span(&self.span_above(at), node);
                (span, skipped(because), None)
            }
            Start::Go { span, after } => {
                let started = SystemTime::now();
                span.in_scope(|| {
                    let timeout = Some(timeout);
                    self.reporters.send(EventKind::StepStarted {
                        step: &node.id,
                        timeout,
                    });
                });
                let work = Arc::clone(&self).work(at).instrument(span.clone());
                let mut ending = tokio::spawn(work).await.unwrap_or_else(panicked);
                if let Outcome::Deferred { after: unknown, .. } = &mut ending.outcome {
                    *unknown = after;
                }
                (span, ending, Some(started))
            }
        };
        let report = StepReport {
            id: node.id.clone(),
            kind,
            outcome: ending.outcome,
            optional,
            started,
            took: began.elapsed(),
            waited: ending.waited,
            attempts: ending.attempts,
        };
        record_outcome(&span, &report);
        span.in_scope(|| {
            self.reporters
                .send(EventKind::StepFinished { report: &report });
        });
        let end = end_of(&report);
        *self.slots[at]
            .report
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(report);
        end
    }

    /// The span of the nearest group around a node that has started.
    fn span_above(&self, at: usize) -> Span {
        let group = self.slots[at].parent.map(|parent| &self.slots[parent]);
        let start = group.and_then(|group| group.start.borrow().clone());
        match start {
            Some(Start::Go { span, .. }) => span,
            _ => self.root.clone(),
        }
    }

    /// A task of its own, so that a panic fails this step only.
    async fn work(self: Arc<Self>, at: usize) -> Ending {
        let node = &self.slots[at].node;
        let Some((resource, options)) = &node.step else {
            return skipped(Because::Stopped);
        };
        let context = Context {
            id: node.id.clone(),
            options: options.clone(),
            mode: self.mode,
            pacing: self.pacing.clone(),
            stop: self.stop.clone(),
            reporters: self.reporters.clone(),
        };
        resource.converge(context).await
    }
}

fn end_of(report: &StepReport) -> End {
    match &report.outcome {
        Outcome::Unchanged => End::Fine { pending: None },
        Outcome::Changed(_) | Outcome::Deferred { .. } => End::Fine {
            pending: Some(report.id.clone()),
        },
        Outcome::Failed { .. } | Outcome::Skipped { .. } if report.optional => {
            End::Fine { pending: None }
        }
        Outcome::Failed {
            error: StepError::Stopped { .. },
            ..
        } => End::Bad(Because::Stopped),
        Outcome::Failed { .. } => End::Bad(Because::Need(report.id.clone())),
        Outcome::Skipped { because } => End::Bad(because.clone()),
    }
}

fn skipped(because: Because) -> Ending {
    let outcome = Outcome::Skipped { because };
    Ending {
        outcome,
        attempts: 0,
        waited: Duration::ZERO,
    }
}

fn panicked(error: JoinError) -> Ending {
    let text = match error.try_into_panic() {
        Ok(payload) => panic_text(payload.as_ref()),
        Err(error) => error.to_string(),
    };
    let error = StepError::Panicked {
        source: text.into(),
    };
    let outcome = Outcome::Failed {
        changed: Vec::new(),
        error,
    };
    Ending {
        outcome,
        attempts: 1,
        waited: Duration::ZERO,
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
