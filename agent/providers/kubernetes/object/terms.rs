//! What a step may say of how its object is applied and judged.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::{Configs, Controller, config_sum};
use super::Object;
use super::trace_mark::TraceMark;
use crate::expression::ReadyRule;

impl Object {
    /// Judges the object by this rule, where it says something.
    #[must_use]
    pub fn judged_by(mut self, rule: ReadyRule) -> Self {
        self.rule = rule;
        self
    }

    /// The operators of the bundle, of which one may serve its kind.
    #[must_use]
    pub fn served_by(mut self, controllers: Arc<[Controller]>) -> Self {
        self.controllers = controllers;
        self
    }

    /// Allows to delete the object and make it anew when a field that is to change cannot be
    /// changed, if it holds no data.
    #[must_use]
    pub fn recreate(self, allowed: bool) -> Self {
        let recreate = allowed;
        Self { recreate, ..self }
    }

    /// Allows to change an object that somebody else has made.
    #[must_use]
    pub fn adopt(self, allowed: bool) -> Self {
        let adopt = allowed;
        Self { adopt, ..self }
    }

    /// Restarts the pods of a workload when configuration that they read changes. `configs` is
    /// what the bundle applies of it.
    #[must_use]
    pub fn restart_with(self, configs: Arc<Configs>) -> Self {
        let configs = config_sum::has_pods(&self.document).then_some(configs);
        Self { configs, ..self }
    }

    /// Says on the object in which trace it was last written.
    #[must_use]
    pub fn traced(self) -> Self {
        let trace = TraceMark::LastWrite;
        Self { trace, ..self }
    }

    /// Also tries out what is not there yet, so that a preview knows what the server says to it.
    #[must_use]
    pub fn rehearse(self, wanted: bool) -> Self {
        let rehearse = wanted;
        Self { rehearse, ..self }
    }

    /// Reads the time here: how long a state has held decides about some kinds.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }
}
