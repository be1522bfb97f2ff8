//! The names of files: unique in their directory, whoever else writes there.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_state::KeyedContext;
use tidegate_types::CheckpointId;
use xxhash_rust::xxh3::xxh3_64;

/// Makes names of one subtask of one attempt. They carry the attempt, so that a superseded process
/// cannot meet its successor's files.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: String,
    next: AtomicU64,
}

impl Names {
    pub(crate) fn new(context: &KeyedContext) -> Self {
        let operator = xxh3_64(context.operator.as_str().as_bytes());
        let (attempt, index) = (context.attempt, context.subtask.index());
        // Two processes may believe to be the same attempt; only one of them owns the directory.
        let process = std::process::id();
        let prefix = format!("{attempt}-{operator:016x}-{index}-{process:x}");
        Self { prefix, next: AtomicU64::new(0) }
    }

    /// A name for a file of the task's own.
    pub(crate) fn working(&self) -> String {
        format!("{}-{:x}.segment", self.prefix, self.next())
    }

    /// A name for a file of a checkpoint.
    pub(crate) fn of_checkpoint(&self, checkpoint: CheckpointId) -> String {
        format!("{}-chk{checkpoint}-{:x}.segment", self.prefix, self.next())
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
