//! Exchanges: the channels between two tasks, and the sender that deals records out to them.
//!
//! Invariants: records, watermarks and barriers keep their order within each channel; a barrier
//! and a watermark go to every channel, behind every record that was pushed before; a full
//! channel makes its sender wait between two records, which is the back pressure.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use parking_lot::Mutex;
use tidegate_align::{Disconnected, Inputs, Output, channels};
use tidegate_types::{Barrier, CheckpointId, MaxParallelism, Parallelism, StateKey};

use crate::cancel::Cancel;
use crate::error::TaskError;
use crate::push::{Lifecycle, Push};
use crate::record::{Batch, Keyed, Record};
use crate::snapshot::SnapshotBuilder;
use crate::task::TaskContext;

/// Records in one message.
pub(crate) const BATCH_RECORDS: usize = 256;
/// Messages that a channel holds before its sender waits: with the batch, 4,096 records.
const CHANNEL_MESSAGES: usize = 16;
/// How long a record may wait for its batch to fill.
const LINGER: Duration = Duration::from_millis(5);

/// Batches without room for them at which a sender waits even in the middle of a record.
const MOST_DEBT: usize = 64;

type Senders<T> = Vec<Output<Batch<T>>>;

/// All channels of one edge of the job graph, for one attempt. Each end is taken once.
pub(crate) struct EdgeChannels<T> {
    outputs: Vec<Mutex<Option<Senders<T>>>>,
    inputs: Vec<Mutex<Option<Inputs<Batch<T>>>>>,
}

impl<T: Send + 'static> EdgeChannels<T> {
    /// A channel from each of `up` senders to each of `down` receivers.
    pub(crate) fn connect(up: Parallelism, down: Parallelism) -> Arc<dyn Any + Send + Sync> {
        let mut outputs: Vec<Senders<T>> = (0..up.get()).map(|_| Vec::new()).collect();
        let mut inputs = Vec::new();
        for _ in 0..down.get() {
            let (senders, receivers) = channels(usize::from(up.get()), CHANNEL_MESSAGES);
            outputs.iter_mut().zip(senders).for_each(|(output, sender)| output.push(sender));
            inputs.push(receivers);
        }
        Arc::new(Self {
            outputs: outputs.into_iter().map(|ends| Mutex::new(Some(ends))).collect(),
            inputs: inputs.into_iter().map(|ends| Mutex::new(Some(ends))).collect(),
        })
    }

    pub(crate) fn take_senders(&self, subtask: u16) -> Senders<T> {
        self.outputs[usize::from(subtask)].lock().take().expect("one task takes its senders once")
    }

    pub(crate) fn take_receivers(&self, subtask: u16) -> Inputs<Batch<T>> {
        self.inputs[usize::from(subtask)].lock().take().expect("one task takes its receivers once")
    }
}

/// Whether a task's outputs have no room. Written and read by the task's own thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputRoom(Arc<AtomicBool>);

impl OutputRoom {
    /// Some channel may be full: the task is to wait before the next record.
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, short: bool) {
        self.0.store(short, Ordering::Relaxed);
    }
}

/// The end of a chain: buffers records for each receiver and sends them in batches.
///
/// It does not wait in the middle of a record, which could be the middle of a barrier's way: it
/// sends in debt, says that room is short, and the task waits before its next record. Only one
/// record that makes very many others waits in their midst.
pub(crate) struct ChannelWriter<T> {
    channels: Senders<T>,
    buffers: Vec<Vec<Record<T>>>,
    last_flush: Instant,
    cancel: Cancel,
    room: OutputRoom,
}

impl<T> ChannelWriter<T> {
    pub(crate) fn new(channels: Senders<T>, context: &TaskContext) -> Self {
        let buffers = channels.iter().map(|_| Vec::with_capacity(BATCH_RECORDS)).collect();
        let (cancel, room) = (context.cancel.clone(), context.room.clone());
        Self { channels, buffers, last_flush: Instant::now(), cancel, room }
    }

    fn write(&mut self, target: usize, record: Record<T>) -> Result<(), TaskError> {
        let buffer = &mut self.buffers[target];
        buffer.push(record);
        if buffer.len() >= BATCH_RECORDS { self.send_buffer(target) } else { Ok(()) }
    }

    fn send_buffer(&mut self, target: usize) -> Result<(), TaskError> {
        if self.buffers[target].is_empty() {
            return Ok(());
        }
        let full = Vec::with_capacity(BATCH_RECORDS);
        let records = std::mem::replace(&mut self.buffers[target], full);
        self.send(target, Batch::Records(records))
    }

    fn send(&mut self, target: usize, batch: Batch<T>) -> Result<(), TaskError> {
        let channel = &mut self.channels[target];
        channel.send(batch).map_err(gone)?;
        if !channel.has_room().map_err(gone)? {
            self.room.set(true);
            while channel.debt() > MOST_DEBT && !channel.has_room().map_err(gone)? {
                self.cancel.wait_for(channel.credits())?;
            }
        }
        Ok(())
    }

    fn send_all(&mut self, batch: impl Fn() -> Batch<T>) -> Result<(), TaskError> {
        for target in 0..self.channels.len() {
            self.send_buffer(target)?;
            self.send(target, batch())?;
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: Barrier, announce: bool) -> Result<(), TaskError> {
        for target in 0..self.channels.len() {
            self.send_buffer(target)?;
            let channel = &mut self.channels[target];
            let sent = if announce {
                channel.announced_barrier(barrier)
            } else {
                channel.barrier(barrier)
            };
            sent.map_err(gone)?;
        }
        Ok(())
    }

    fn cancelled(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.channels.iter_mut().try_for_each(|channel| channel.cancel(checkpoint)).map_err(gone)
    }

    fn room(&mut self, waiting: &mut Vec<Receiver<usize>>) -> Result<(), TaskError> {
        for channel in &mut self.channels {
            if !channel.has_room().map_err(gone)? {
                waiting.push(channel.credits().clone());
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        for channel in &mut self.channels {
            // Whoever was told to end first does not listen any more, and that is as well. Nothing
            // is in the channel: the final checkpoint's barrier was the last to go through it.
            let _ = channel.end();
        }
    }

    fn flush_buffers(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
        if idle || now.saturating_duration_since(self.last_flush) >= LINGER {
            self.last_flush = now;
            (0..self.channels.len()).try_for_each(|target| self.send_buffer(target))?;
        }
        Ok(())
    }
}

/// The receiver has failed or was cancelled; its own report says why.
fn gone(Disconnected: Disconnected) -> TaskError {
    TaskError::Cancelled
}

/// Sends each record to the subtask that owns its key.
pub(crate) struct KeyBy<K, T, F> {
    pub(crate) key_of: Arc<F>,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) parallelism: Parallelism,
    pub(crate) writer: ChannelWriter<Keyed<K, T>>,
}

impl<K, T, F> Push<T> for KeyBy<K, T, F>
where
    K: StateKey,
    F: Fn(&T) -> K,
{
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        let key = (self.key_of)(&record.value);
        let hash = key.key_hash();
        let group = self.max_parallelism.key_group_of(hash);
        let target = group.owner(self.max_parallelism, self.parallelism).index();
        let value = Keyed { key, hash, value: record.value };
        self.writer.write(usize::from(target), Record { value, timestamp: record.timestamp })
    }
}

/// Sends records to the receivers in turn.
pub(crate) struct Rebalance<T> {
    pub(crate) next: usize,
    pub(crate) writer: ChannelWriter<T>,
}

impl<T> Push<T> for Rebalance<T> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        self.next = (self.next + 1) % self.writer.channels.len();
        self.writer.write(self.next, record)
    }
}

macro_rules! ends_in_channels {
    ($name:ident<$($generic:ident),+>) => {
        impl<$($generic),+> Lifecycle for $name<$($generic),+> {
            fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
                None
            }
            fn watermark(&mut self, watermark: i64) -> Result<(), TaskError> {
                self.writer.send_all(|| Batch::Watermark(watermark))
            }
            fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
                self.writer.barrier(snapshot.barrier(), snapshot.announces())
            }
            fn cancelled(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
                self.writer.cancelled(checkpoint)
            }
            fn room(&mut self, waiting: &mut Vec<Receiver<usize>>) -> Result<(), TaskError> {
                self.writer.room(waiting)
            }
            fn flush(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
                self.writer.flush_buffers(now, idle)
            }
            fn end(&mut self) {
                self.writer.end();
            }
        }
    };
}
ends_in_channels!(KeyBy<K, T, F>);
ends_in_channels!(Rebalance<T>);
