//! What goes into the alignment and what comes out of it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tidegate_types::{Barrier, CheckpointId};

/// What travels in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<T> {
    /// A record, or a batch of them.
    Data(T),
    /// All data of the checkpoint has been sent in this channel.
    Barrier(Barrier),
    /// The sender will not take part in this checkpoint: nobody shall wait for it.
    Cancelled(CheckpointId),
    /// Nothing comes any more.
    End,
}

/// How barriers and data of different channels relate.
///
/// Savepoints and final checkpoints are aligned in the unaligned modes too: the one is the user's
/// to take anywhere, with the other all data must have been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlignmentMode {
    /// A channel whose barrier has come waits for the others: every record counts exactly once.
    ExactlyOnce,
    /// Barriers are counted and no channel ever waits: records that come between the first and
    /// the last barrier count twice after a restore.
    AtLeastOnce,
    /// The first barrier does not wait for the others and overtakes the data. What it overtakes
    /// belongs to the checkpoint: every record counts exactly once.
    Unaligned,
    /// Like [`ExactlyOnce`](Self::ExactlyOnce) until the checkpoint is older than `timeout`; then
    /// like [`Unaligned`](Self::Unaligned).
    AlignedWithTimeout {
        /// Since the checkpoint was triggered.
        timeout: Duration,
    },
}

impl AlignmentMode {
    /// Whether barriers are announced besides their place in the channels: they may overtake.
    #[must_use]
    pub fn announces(self) -> bool {
        matches!(self, Self::Unaligned | Self::AlignedWithTimeout { .. })
    }
}

/// What happened. Channels are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A barrier came, in its place between the data.
    Barrier {
        /// In this channel.
        channel: usize,
        /// The barrier.
        barrier: Barrier,
    },
    /// A barrier is in the channel, behind data that has not been read.
    Announced {
        /// In this channel.
        channel: usize,
        /// The barrier.
        barrier: Barrier,
    },
    /// The sender cancelled a checkpoint.
    Cancelled {
        /// In this channel.
        channel: usize,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// The channel ended.
    Ended {
        /// This channel.
        channel: usize,
    },
    /// The timer of [`Action::StartTimer`] has run down.
    TimedOut {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Nobody waits for the checkpoint any more: the coordinator has given it up.
    GivenUp {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
}

/// What to do, in the order in which it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Read no further in this channel.
    Block {
        /// The channel.
        channel: usize,
    },
    /// Read on in every channel.
    UnblockAll,
    /// Snapshot now, before the next record, and pass the barrier on.
    Snapshot(Barrier),
    /// Snapshot now, before the next record, and pass the barrier on, past the data that waits on
    /// its way out. The checkpoint is complete with [`Action::Captured`].
    Overtake(Barrier),
    /// From now on, what has not been processed of this channel belongs to the checkpoint too.
    /// Keep a copy of it, and process it as ever.
    Capture {
        /// The channel.
        channel: usize,
    },
    /// The announced barrier is in this channel: take out at once, and keep, all that comes before
    /// it, so that the checkpoint need not wait until it is processed.
    Drain {
        /// The channel.
        channel: usize,
    },
    /// The barrier has come in this channel: no more of it belongs to the checkpoint.
    StopCapture {
        /// The channel.
        channel: usize,
    },
    /// No channel holds data of the checkpoint any more: the copies are its channel state.
    Captured {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Say [`Event::TimedOut`] when the checkpoint is older than the timeout.
    StartTimer(Barrier),
    /// There will be no snapshot for this checkpoint, or no channel state: pass the cancellation
    /// on and drop the copies.
    Abort {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        cause: AbortCause,
    },
    /// Every channel has ended.
    End,
}

/// How far the alignment of a checkpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nothing has been heard of it.
    Unknown,
    /// Some barriers have come; no channel waits for the others.
    Counting,
    /// Some barriers have come, or were announced; the channels they came in wait for the others.
    Aligning,
    /// The snapshot has been taken; what comes before the barriers still to come is captured.
    Capturing,
    /// It is complete or aborted, or cannot come about any more. All that comes of it is ignored.
    Over,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Counting => "counting",
            Self::Aligning => "aligning",
            Self::Capturing => "capturing",
            Self::Over => "over",
        })
    }
}

/// Why an alignment was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbortCause {
    /// A sender cancelled the checkpoint.
    Cancelled,
    /// A newer checkpoint came in a channel that never had a barrier of this one, or that was
    /// not to be read.
    Superseded,
    /// The coordinator waits for it no more.
    GivenUp,
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::GivenUp => "given up",
        })
    }
}

/// The actions that an event leads to, in order. Most events lead to none, which costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "an action that is not carried out leaves channels blocked for good"]
pub struct Actions {
    list: VecDeque<Action>,
}

impl Actions {
    pub(crate) fn push(&mut self, action: Action) {
        self.list.push_back(action);
    }
}

impl Iterator for Actions {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        self.list.pop_front()
    }
}
