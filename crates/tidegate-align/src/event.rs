//! What goes into the alignment and what comes out of it.

use std::fmt;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlignmentMode {
    /// A channel whose barrier has come waits for the others: every record counts exactly once.
    ExactlyOnce,
}

/// What happened in a channel. Channels are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A barrier came.
    Barrier {
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
    /// There will be no snapshot for this checkpoint: pass the cancellation on.
    Abort {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        cause: AbortCause,
    },
    /// Every channel has ended.
    End,
}

/// Why an alignment was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbortCause {
    /// A sender cancelled the checkpoint.
    Cancelled,
    /// A newer checkpoint came in a channel that never had a barrier of this one.
    Superseded,
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        })
    }
}

/// Up to three actions, in order. Nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    list: [Option<Action>; Self::MOST],
    taken: usize,
    length: usize,
}

impl Actions {
    /// The most that one event leads to: abort, unblock, and what starts anew.
    const MOST: usize = 3;

    pub(crate) fn push(&mut self, action: Action) {
        self.list[self.length] = Some(action);
        self.length += 1;
    }

    /// What was said last.
    pub(crate) fn said_last(&self) -> Option<Action> {
        self.list[..self.length].last().copied().flatten()
    }
}

impl Iterator for Actions {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        let action = self.list.get(self.taken).copied().flatten();
        self.taken += usize::from(action.is_some());
        action
    }
}
