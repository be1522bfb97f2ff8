//! The task behind an input gate: takes batches, watermarks and aligned barriers from its
//! channels and drives its chain with them.

use std::time::{Duration, Instant};

use tidegate_align::{AlignmentMode, GateEvent, InputGate};
use tidegate_types::Barrier;

use super::{TaskBody, TaskContext, wall_clock_ms};
use crate::error::TaskError;
use crate::push::Push;
use crate::record::{Batch, LAST_WATERMARK};
use crate::report::Command;
use crate::snapshot::{SnapshotBuilder, SnapshotOrigin};

/// How long an incomplete batch may wait when nothing else comes.
const LINGER: Duration = Duration::from_millis(5);

/// What comes first in the chain: takes the elements of the gate.
pub(crate) type GateHead<T> = Box<dyn Push<T>>;

pub(crate) struct GateTask<T> {
    gate: InputGate<Batch<T>>,
    /// The newest watermark of each channel.
    watermarks: Vec<i64>,
    /// The least of them, as it was passed on.
    watermark: i64,
    head: GateHead<T>,
}

impl<T: Send + 'static> GateTask<T> {
    pub(crate) fn new(
        channels: Vec<crossbeam::channel::Receiver<tidegate_align::Message<Batch<T>>>>,
        head: GateHead<T>,
    ) -> Self {
        let watermarks = vec![i64::MIN; channels.len()];
        let gate = InputGate::new(channels, AlignmentMode::ExactlyOnce);
        Self { gate, watermarks, watermark: i64::MIN, head }
    }

    fn batch(&mut self, channel: usize, batch: Batch<T>) -> Result<(), TaskError> {
        match batch {
            Batch::Records(records) => {
                records.into_iter().try_for_each(|record| self.head.push(record))
            }
            Batch::Watermark(watermark) => {
                let newest = &mut self.watermarks[channel];
                *newest = watermark.max(*newest);
                self.pass_watermark()
            }
        }
    }

    fn pass_watermark(&mut self) -> Result<(), TaskError> {
        let least = self.watermarks.iter().copied().min().unwrap_or(LAST_WATERMARK);
        if least > self.watermark {
            self.watermark = least;
            self.head.watermark(least)?;
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        barrier: Barrier,
        alignment: Duration,
        context: &TaskContext,
    ) -> Result<(), TaskError> {
        let started = Instant::now();
        let mut snapshot = SnapshotBuilder::new(barrier);
        self.head.barrier(&mut snapshot)?;
        context.snapshots.submit(snapshot.finish(SnapshotOrigin {
            task: context.task,
            subtask: context.subtask,
            alignment,
            synchronous: started.elapsed(),
        }));
        Ok(())
    }

    /// When to wake without input: for a batch that lingers, or for a processing-time timer.
    fn deadline(&mut self, unflushed: bool, now: Instant) -> Option<Instant> {
        let linger = unflushed.then(|| now + LINGER);
        let timer = self.head.next_timer_ms().map(|at_ms| {
            let wait_ms = at_ms.saturating_sub(wall_clock_ms()).clamp(0, 3_600_000);
            now + Duration::from_millis(wait_ms.unsigned_abs())
        });
        linger.into_iter().chain(timer).min()
    }
}

impl<T: Send + 'static> TaskBody for GateTask<T> {
    fn run(mut self: Box<Self>, context: &TaskContext) -> Result<(), TaskError> {
        let mut unflushed = false;
        loop {
            let now = Instant::now();
            let deadline = self.deadline(unflushed, now);
            match self.gate.next(&context.commands, deadline) {
                GateEvent::Data { channel, item } => {
                    self.batch(channel, item)?;
                    self.head.flush(now, false)?;
                    unflushed = true;
                }
                GateEvent::Barrier(barrier, stats) => {
                    self.snapshot(barrier, stats.duration, context)?;
                }
                GateEvent::Interrupt(Command::Completed(checkpoint)) => {
                    self.head.completed(checkpoint)?;
                }
                GateEvent::Interrupt(Command::Finish) => {
                    self.head.end();
                    return Ok(());
                }
                GateEvent::Interrupt(
                    Command::Inject(_) | Command::Stop { .. } | Command::Resume,
                ) => {
                    unreachable!("barriers are injected at sources")
                }
                GateEvent::DeadlineReached => {
                    self.head.flush(now, true)?;
                    unflushed = false;
                }
                GateEvent::ChannelEnded { channel } => {
                    self.watermarks[channel] = LAST_WATERMARK;
                    self.pass_watermark()?;
                }
                GateEvent::Aborted { .. } | GateEvent::End => {}
                // A sender is gone: its own report tells why. Or the driver is.
                GateEvent::Disconnected { .. } | GateEvent::InterruptClosed => {
                    return Err(TaskError::Cancelled);
                }
            }
            if self.head.next_timer_ms().is_some() {
                self.head.advance_clock(wall_clock_ms())?;
            }
            context.cancel.check()?;
        }
    }
}
