//! Exchanges: the channels between two tasks, and the sender that deals records out to them.
//!
//! Invariants: records, watermarks and barriers keep their order within each channel; a barrier
//! and a watermark go to every channel, behind every record that was pushed before; a full
//! channel blocks its sender, which is the back pressure.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use tidegate_align::Message;
use tidegate_types::{MaxParallelism, Parallelism, StateKey};

use crate::cancel::Cancel;
use crate::error::TaskError;
use crate::push::{Lifecycle, Push};
use crate::record::{Batch, Keyed, Record};
use crate::snapshot::SnapshotBuilder;

/// Records in one message.
const BATCH_RECORDS: usize = 256;
/// Messages that a channel holds before its sender waits: with the batch, 4,096 records.
const CHANNEL_MESSAGES: usize = 16;
/// How long a record may wait for its batch to fill.
const LINGER: Duration = Duration::from_millis(5);

type Senders<T> = Vec<Sender<Message<Batch<T>>>>;
type Receivers<T> = Vec<Receiver<Message<Batch<T>>>>;

/// All channels of one edge of the job graph, for one attempt. Each end is taken once.
pub(crate) struct EdgeChannels<T> {
    outputs: Vec<Mutex<Option<Senders<T>>>>,
    inputs: Vec<Mutex<Option<Receivers<T>>>>,
}

impl<T: Send + 'static> EdgeChannels<T> {
    /// A channel from each of `up` senders to each of `down` receivers.
    pub(crate) fn connect(up: Parallelism, down: Parallelism) -> Arc<dyn Any + Send + Sync> {
        let mut outputs: Vec<Senders<T>> = (0..up.get()).map(|_| Vec::new()).collect();
        let mut inputs: Vec<Receivers<T>> = (0..down.get()).map(|_| Vec::new()).collect();
        for output in &mut outputs {
            for input in &mut inputs {
                let (sender, receiver) = bounded(CHANNEL_MESSAGES);
                output.push(sender);
                input.push(receiver);
            }
        }
        Arc::new(Self {
            outputs: outputs.into_iter().map(|ends| Mutex::new(Some(ends))).collect(),
            inputs: inputs.into_iter().map(|ends| Mutex::new(Some(ends))).collect(),
        })
    }

    pub(crate) fn take_senders(&self, subtask: u16) -> Senders<T> {
        self.outputs[usize::from(subtask)].lock().take().expect("one task takes its senders once")
    }

    pub(crate) fn take_receivers(&self, subtask: u16) -> Receivers<T> {
        self.inputs[usize::from(subtask)].lock().take().expect("one task takes its receivers once")
    }
}

/// The end of a chain: buffers records for each receiver and sends them in batches.
pub(crate) struct ChannelWriter<T> {
    channels: Senders<T>,
    buffers: Vec<Vec<Record<T>>>,
    last_flush: Instant,
    cancel: Cancel,
}

impl<T> ChannelWriter<T> {
    pub(crate) fn new(channels: Senders<T>, cancel: Cancel) -> Self {
        let buffers = channels.iter().map(|_| Vec::with_capacity(BATCH_RECORDS)).collect();
        Self { channels, buffers, last_flush: Instant::now(), cancel }
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
        self.send(target, Message::Data(Batch::Records(records)))
    }

    fn send(&self, target: usize, message: Message<Batch<T>>) -> Result<(), TaskError> {
        match self.channels[target].try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => self.cancel.send(&self.channels[target], message),
            // The receiver has failed or was cancelled; its own report says why.
            Err(TrySendError::Disconnected(_)) => Err(TaskError::Cancelled),
        }
    }

    fn send_all(&mut self, message: impl Fn() -> Message<Batch<T>>) -> Result<(), TaskError> {
        for target in 0..self.channels.len() {
            self.send_buffer(target)?;
            self.send(target, message())?;
        }
        Ok(())
    }

    fn end(&self) {
        for channel in &self.channels {
            // Whoever was told to end first does not listen any more, and that is as well. Nothing
            // is in the channel: the final checkpoint's barrier was the last to go through it.
            let _ = channel.try_send(Message::End);
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
                self.writer.send_all(|| Message::Data(Batch::Watermark(watermark)))
            }
            fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
                let barrier = snapshot.barrier();
                self.writer.send_all(|| Message::Barrier(barrier))
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
