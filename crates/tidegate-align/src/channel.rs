//! Channels for barriers that may overtake: crossbeam's, with credits and a side lane.
//!
//! ```text
//!             ┌─ data, barriers, cancellations, end: in order, unbounded ─▶┐
//!   Output ───┤─ announcements, one lane for all channels of a gate ──────▶├─── Inputs ─▶ gate
//!             └◀─ credits: one for each item that was handed out ──────────┘
//! ```
//!
//! Invariants:
//! - credits bound the channel: an output that has none left says so, and whoever sends all the
//!   same is in debt, for which the next sends wait; barriers need no credit, so they are never
//!   held up by a full channel;
//! - a barrier is in its place in the channel before it is announced: who hears the announcement
//!   finds it there without waiting;
//! - every operation takes constant time, and every wait is crossbeam's.

use std::fmt;

use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};
use tidegate_types::{Barrier, CheckpointId};

use crate::Message;

/// The other end of a channel is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("the other end of the channel is gone")
    }
}

impl std::error::Error for Disconnected {}

/// The sending end of one channel of a gate.
pub struct Output<T> {
    data: Sender<Message<T>>,
    announcements: Sender<(usize, Barrier)>,
    credits: Receiver<usize>,
    /// The channel's number at its gate.
    channel: usize,
    /// The credits left; negative when in debt.
    left: isize,
}

/// The receiving ends of all channels of one gate.
pub struct Inputs<T> {
    pub(crate) channels: Vec<Input<T>>,
    pub(crate) announcements: Receiver<(usize, Barrier)>,
}

/// The receiving end of one channel.
pub(crate) struct Input<T> {
    pub(crate) data: Receiver<Message<T>>,
    /// Of a channel that has credits: where they go, and how many at once.
    credits: Option<(Sender<usize>, usize)>,
    unsent: usize,
}

/// The channels of one gate. Each holds `capacity` items before its sender has no credit left.
///
/// # Panics
///
/// When the capacity is 0.
#[must_use]
pub fn channels<T>(count: usize, capacity: usize) -> (Vec<Output<T>>, Inputs<T>) {
    assert!(capacity > 0, "a channel that holds nothing lets nothing through");
    let left = isize::try_from(capacity).expect("a capacity is far below the address space");
    let (announcing, announcements) = unbounded();
    let ends = (0..count).map(|channel| {
        let (data, receiver) = unbounded();
        let (credit, credits) = unbounded();
        let announcements = announcing.clone();
        // A quarter at once: the sender never waits while as much as that is not told to it.
        let at_once = (capacity / 4).max(1);
        let input = Input { data: receiver, credits: Some((credit, at_once)), unsent: 0 };
        (Output { data, announcements, credits, channel, left }, input)
    });
    let (outputs, channels) = ends.unzip();
    (outputs, Inputs { channels, announcements })
}

impl<T> Output<T> {
    /// Sends an item and never waits: without a credit it goes into debt. Whoever heeds the
    /// capacity waits for [`has_room`](Self::has_room) before.
    pub fn send(&mut self, item: T) -> Result<(), Disconnected> {
        self.left -= 1;
        self.put(Message::Data(item))
    }

    /// Whether there is a credit left. Without one, and without anybody who could give one, the
    /// channel is [`Disconnected`].
    pub fn has_room(&mut self) -> Result<bool, Disconnected> {
        while self.left <= 0 {
            match self.credits.try_recv() {
                Ok(credits) => self.left += signed(credits),
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(Disconnected),
            }
        }
        Ok(true)
    }

    /// How many items have been sent without a credit.
    pub fn debt(&self) -> usize {
        self.left.min(0).unsigned_abs()
    }

    /// Becomes ready when credits come: to wait on with others. Nobody else may receive from it.
    pub fn credits(&self) -> &Receiver<usize> {
        &self.credits
    }

    /// Waits for a credit.
    pub fn wait_for_room(&mut self) -> Result<(), Disconnected> {
        while !self.has_room()? {
            self.left += signed(self.credits.recv().map_err(|_| Disconnected)?);
        }
        Ok(())
    }

    /// Puts a barrier behind all that was sent. It takes no credit.
    pub fn barrier(&mut self, barrier: Barrier) -> Result<(), Disconnected> {
        self.put(Message::Barrier(barrier))
    }

    /// Like [`barrier`](Self::barrier), and announces it, so that it may overtake what was sent.
    pub fn announced_barrier(&mut self, barrier: Barrier) -> Result<(), Disconnected> {
        self.barrier(barrier)?;
        self.announcements.send((self.channel, barrier)).map_err(|_| Disconnected)
    }

    /// Tells the receiver not to wait for a checkpoint.
    pub fn cancel(&mut self, checkpoint: CheckpointId) -> Result<(), Disconnected> {
        self.put(Message::Cancelled(checkpoint))
    }

    /// Ends the channel. One that is dropped without counts as failed.
    pub fn end(&mut self) -> Result<(), Disconnected> {
        self.put(Message::End)
    }

    fn put(&self, message: Message<T>) -> Result<(), Disconnected> {
        self.data.send(message).map_err(|_| Disconnected)
    }
}

impl<T> Inputs<T> {
    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }
}

impl<T> Input<T> {
    /// A channel of somebody else's making.
    pub(crate) fn plain(data: Receiver<Message<T>>) -> Self {
        Self { data, credits: None, unsent: 0 }
    }

    /// An item has been handed out: there is room for another.
    pub(crate) fn credit(&mut self) {
        if let Some((credits, at_once)) = &self.credits {
            self.unsent += 1;
            if self.unsent >= *at_once {
                // A sender that is gone needs none.
                let _ = credits.send(std::mem::take(&mut self.unsent));
            }
        }
    }
}

fn signed(credits: usize) -> isize {
    isize::try_from(credits).expect("at most a channel's capacity at once")
}

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, left, .. } = self;
        f.debug_struct("Output")
            .field("channel", channel)
            .field("left", left)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Inputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("channels", &self.channels.len()).finish_non_exhaustive()
    }
}
