//! Progress on a terminal. In a pipe nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tidegate_runtime::control::SavepointReport;

use crate::output::size;

/// Shows how a savepoint is getting on, until it is dropped.
pub(crate) struct SavepointProgress(ProgressBar);

impl SavepointProgress {
    pub(crate) fn start() -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_message("waiting for the savepoint to start");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(crate) fn show(&self, report: &SavepointReport) {
        let SavepointReport { acknowledged, subtasks, bytes, .. } = report;
        if *subtasks == 0 {
            return;
        }
        let style = "{spinner} savepoint {bar:30} {pos} of {len} subtasks, {msg} ({elapsed})";
        let style = ProgressStyle::with_template(style).expect("a sound template");
        self.0.set_style(style);
        self.0.set_length(*subtasks as u64);
        self.0.set_position(*acknowledged as u64);
        self.0.set_message(size(*bytes));
    }
}

impl Drop for SavepointProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
