//! The task behind an input gate: takes batches, watermarks and aligned barriers from its
//! channels and drives its chain with them.

use std::time::{Duration, Instant};

use tidegate_align::{AbortCause, AlignmentMode, AlignmentStats, GateEvent, InputGate, Inputs};
use tidegate_types::{Barrier, CheckpointId};

use super::{TaskBody, TaskContext, age, wall_clock_ms};
use crate::error::TaskError;
use crate::in_flight::{self, Captured, Codec};
use crate::push::Push;
use crate::record::{Batch, Data, LAST_WATERMARK};
use crate::report::{Command, Report};
use crate::snapshot::{SnapshotBuilder, SnapshotOrigin, TaskSnapshot};

/// How long an incomplete batch may wait when nothing else comes.
const LINGER: Duration = Duration::from_millis(5);

/// What comes first in the chain: takes the elements of the gate.
pub(crate) type GateHead<T> = Box<dyn Push<T>>;

pub(crate) struct GateTask<T> {
    gate: InputGate<Batch<T>>,
    codec: Codec<T>,
    /// The newest watermark of each channel.
    watermarks: Vec<i64>,
    /// The least of them, as it was passed on.
    watermark: i64,
    /// The snapshot of a barrier that has overtaken records, until those are known.
    overtaking: Option<TaskSnapshot>,
    head: GateHead<T>,
}

impl<T: Data> GateTask<T> {
    /// With the records that were in flight in the restored checkpoint, if any.
    pub(crate) fn new(
        inputs: Inputs<Batch<T>>,
        head: GateHead<T>,
        codec: Codec<T>,
        context: &TaskContext,
    ) -> Result<Self, TaskError> {
        let mode = match context.shared.alignment {
            // Without an operator there is no name under which records could be found again.
            mode if mode.announces() && context.operators.is_empty() => AlignmentMode::ExactlyOnce,
            mode => mode,
        };
        let watermarks = vec![i64::MIN; inputs.len()];
        let mut gate = InputGate::over(inputs, mode).aging(age).weighing(Batch::weight);
        in_flight::restore(&mut gate, watermarks.len(), codec, context)?;
        Ok(Self { gate, codec, watermarks, watermark: i64::MIN, overtaking: None, head })
    }

    /// Processes records until something is not to wait for the rest of them.
    fn batch(
        &mut self,
        channel: usize,
        batch: Batch<T>,
        context: &TaskContext,
    ) -> Result<(), TaskError> {
        match batch {
            Batch::Records(records) => {
                let mut records = records.into_iter();
                for record in records.by_ref() {
                    self.head.push(record)?;
                    if context.room.is_short() || self.gate.is_urgent(&context.commands) {
                        break;
                    }
                }
                if records.len() > 0 {
                    self.gate.put_back(channel, Batch::Records(records.collect()));
                }
                Ok(())
            }
            Batch::Watermark(watermark) => {
                let newest = &mut self.watermarks[channel];
                *newest = watermark.max(*newest);
                self.pass_watermark()
            }
        }
    }

    /// The next thing that happens; without room for what records lead to, none of them.
    fn next(
        &mut self,
        deadline: Option<Instant>,
        context: &TaskContext,
    ) -> Result<Option<GateEvent<Batch<T>, Command>>, TaskError> {
        if context.room.is_short() {
            let mut waiting = Vec::new();
            self.head.room(&mut waiting)?;
            if !waiting.is_empty() {
                return Ok(self.gate.next_urgent(&context.commands, &waiting, deadline));
            }
            context.room.set(false);
        }
        Ok(Some(self.gate.next(&context.commands, deadline)))
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
        stats: AlignmentStats,
        context: &TaskContext,
    ) -> Result<TaskSnapshot, TaskError> {
        let start_delay = age(&barrier).saturating_sub(stats.duration);
        let started = Instant::now();
        let mut snapshot = SnapshotBuilder::new(barrier, context.shared.alignment);
        self.head.barrier(&mut snapshot)?;
        Ok(snapshot.finish(SnapshotOrigin {
            task: context.task,
            subtask: context.subtask,
            start_delay,
            alignment: stats.duration,
            processed: stats.processed,
            synchronous: started.elapsed(),
        }))
    }

    /// The records that a barrier has overtaken are known: the snapshot is whole.
    fn captured(
        &mut self,
        channels: Vec<(usize, Vec<Batch<T>>)>,
        stats: AlignmentStats,
        context: &TaskContext,
    ) {
        let snapshot = self.overtaking.take().expect("the snapshot comes before what it lacks");
        let operator = context.operators.first().expect("a task without one aligns").clone();
        // The memory backend promises that a checkpoint is one file.
        let inline = context.shared.backend.name() == "memory";
        let job = Captured { channels, codec: self.codec, inline }.into_job();
        context.snapshots.submit(snapshot.with_channels(operator, job, stats));
    }

    fn aborted(
        &mut self,
        checkpoint: CheckpointId,
        cause: AbortCause,
        context: &TaskContext,
    ) -> Result<(), TaskError> {
        self.overtaking.take_if(|snapshot| snapshot.barrier().checkpoint == checkpoint);
        self.head.cancelled(checkpoint)?;
        if cause != AbortCause::GivenUp {
            let (task, subtask) = (context.task, context.subtask);
            let error = Box::new(TaskError::Alignment { cause });
            // Nobody listens once the attempt is being dropped.
            let _ = context.reports.send(Report::Declined { checkpoint, task, subtask, error });
        }
        Ok(())
    }

    /// Carries out a command; `true` when it was the last one.
    fn obey(&mut self, command: Command) -> Result<bool, TaskError> {
        match command {
            Command::Completed(checkpoint) => self.head.completed(checkpoint)?,
            Command::Aborted(checkpoint) => {
                self.gate.give_up(checkpoint);
                self.head.aborted(checkpoint)?;
            }
            Command::Finish => {
                self.head.end();
                return Ok(true);
            }
            Command::Inject(_) | Command::Stop { .. } | Command::Resume => {
                unreachable!("barriers are injected at sources")
            }
        }
        Ok(false)
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

impl<T: Data> TaskBody for GateTask<T> {
    fn run(mut self: Box<Self>, context: &TaskContext) -> Result<(), TaskError> {
        let mut unflushed = false;
        loop {
            let now = Instant::now();
            let deadline = self.deadline(unflushed, now);
            match self.next(deadline, context)? {
                Some(GateEvent::Data { channel, item }) => {
                    self.batch(channel, item, context)?;
                    self.head.flush(now, false)?;
                    unflushed = true;
                }
                Some(GateEvent::Barrier(barrier, stats)) => {
                    let snapshot = self.snapshot(barrier, stats, context)?;
                    context.snapshots.submit(snapshot);
                }
                Some(GateEvent::Overtaking(barrier, stats)) => {
                    self.overtaking = Some(self.snapshot(barrier, stats, context)?);
                }
                Some(GateEvent::Captured { channels, stats, .. }) => {
                    self.captured(channels, stats, context);
                }
                Some(GateEvent::Aborted { checkpoint, cause }) => {
                    self.aborted(checkpoint, cause, context)?;
                }
                Some(GateEvent::Interrupt(command)) => {
                    if self.obey(command)? {
                        return Ok(());
                    }
                }
                Some(GateEvent::DeadlineReached) => {
                    self.head.flush(now, true)?;
                    unflushed = false;
                }
                Some(GateEvent::ChannelEnded { channel }) => {
                    self.watermarks[channel] = LAST_WATERMARK;
                    self.pass_watermark()?;
                }
                None | Some(GateEvent::End) => {}
                // A sender is gone: its own report tells why. Or the driver is.
                Some(GateEvent::Disconnected { .. } | GateEvent::InterruptClosed) => {
                    return Err(TaskError::Cancelled);
                }
                Some(other) => unreachable!(
                    "{other:?} is known to whoever adds it",
                    other = std::mem::discriminant(&other)
                ),
            }
            if self.head.next_timer_ms().is_some() {
                self.head.advance_clock(wall_clock_ms())?;
            }
            context.cancel.check()?;
        }
    }
}
