//! Chained operators: each pushes what it makes into the next, without a channel between them.
//!
//! Invariants: an operator passes a barrier on after it has put its own snapshot into the
//! [`SnapshotBuilder`], so that what it emitted before lies before the barrier everywhere; a
//! watermark is passed on after everything that it releases.

use std::time::Instant;

use crossbeam::channel::Receiver;
use tidegate_types::CheckpointId;

use crate::error::TaskError;
use crate::record::Record;
use crate::snapshot::SnapshotBuilder;

/// The events of a chain that are not records. Each goes down the whole chain.
pub(crate) trait Lifecycle {
    /// The next operator; `None` at the end of the chain.
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle>;

    /// Event time has advanced.
    fn watermark(&mut self, watermark: i64) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.watermark(watermark))
    }

    /// All records before the barrier have been pushed: add what belongs to the checkpoint.
    fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.barrier(snapshot))
    }

    /// There will be no snapshot for a checkpoint: tell the next tasks not to wait for it.
    fn cancelled(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.cancelled(checkpoint))
    }

    /// Adds what becomes ready when there is room again, for each channel that has none.
    fn room(&mut self, waiting: &mut Vec<Receiver<usize>>) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.room(waiting))
    }

    /// A batch is done (`idle`: and nothing else waits): send what has been held back.
    fn flush(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.flush(now, idle))
    }

    /// Processing time, in milliseconds since the Unix epoch, has reached this.
    fn advance_clock(&mut self, now_ms: i64) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.advance_clock(now_ms))
    }

    /// When [`Lifecycle::advance_clock`] is needed next, in milliseconds since the Unix epoch.
    fn next_timer_ms(&mut self) -> Option<i64> {
        self.downstream().and_then(Lifecycle::next_timer_ms)
    }

    /// The checkpoint is complete and durable: commit.
    fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.completed(checkpoint))
    }

    /// There will be no such checkpoint: what was kept for it is not needed.
    fn aborted(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.downstream().map_or(Ok(()), |next| next.aborted(checkpoint))
    }

    /// The task ends as it should: whoever reads from it will not take that for a failure.
    fn end(&mut self) {
        if let Some(next) = self.downstream() {
            next.end();
        }
    }
}

/// The entrance of an operator.
pub(crate) trait Push<T>: Lifecycle {
    /// Processes one record.
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError>;
}

/// Hands every record to several chains: a stream that is used more than once.
pub(crate) struct Tee<T> {
    pub(crate) branches: Vec<Box<dyn Push<T>>>,
}

impl<T> Tee<T> {
    fn each(
        &mut self,
        mut f: impl FnMut(&mut dyn Push<T>) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        self.branches.iter_mut().try_for_each(|branch| f(branch.as_mut()))
    }
}

impl<T> Lifecycle for Tee<T> {
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        None
    }
    fn watermark(&mut self, watermark: i64) -> Result<(), TaskError> {
        self.each(|branch| branch.watermark(watermark))
    }
    fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
        self.each(|branch| branch.barrier(snapshot))
    }
    fn cancelled(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.each(|branch| branch.cancelled(checkpoint))
    }
    fn room(&mut self, waiting: &mut Vec<Receiver<usize>>) -> Result<(), TaskError> {
        self.each(|branch| branch.room(waiting))
    }
    fn flush(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
        self.each(|branch| branch.flush(now, idle))
    }
    fn advance_clock(&mut self, now_ms: i64) -> Result<(), TaskError> {
        self.each(|branch| branch.advance_clock(now_ms))
    }
    fn next_timer_ms(&mut self) -> Option<i64> {
        self.branches.iter_mut().filter_map(|branch| branch.next_timer_ms()).min()
    }
    fn aborted(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.each(|branch| branch.aborted(checkpoint))
    }
    fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.each(|branch| branch.completed(checkpoint))
    }
    fn end(&mut self) {
        self.branches.iter_mut().for_each(|branch| branch.end());
    }
}

impl<T: Clone> Push<T> for Tee<T> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        let Some((last, others)) = self.branches.split_last_mut() else { return Ok(()) };
        for branch in others {
            branch.push(record.clone())?;
        }
        last.push(record)
    }
}
