//! What comes out of a gate.

use std::time::Duration;

use tidegate_types::{Barrier, CheckpointId};

use crate::AbortCause;

/// What comes out of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateEvent<T, I> {
    /// Data, in the order of its channel.
    Data {
        /// The channel, from 0.
        channel: usize,
        /// What was sent.
        item: T,
    },
    /// The barriers of all channels have come: snapshot now, then go on.
    Barrier(Barrier, AlignmentStats),
    /// A barrier has overtaken data: snapshot now, pass it on ahead of what waits on its way out,
    /// then go on. The data that it has overtaken comes with [`GateEvent::Captured`].
    Overtaking(Barrier, AlignmentStats),
    /// All that the barrier has overtaken: it belongs to the checkpoint, besides the snapshot.
    Captured {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// A copy of the data of each channel that had any, in order.
        channels: Vec<(usize, Vec<T>)>,
        /// From the first barrier to the last.
        stats: AlignmentStats,
    },
    /// There will be no snapshot for this checkpoint, or no channel state to one already taken.
    Aborted {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        cause: AbortCause,
    },
    /// A channel ended.
    ChannelEnded {
        /// The channel, from 0.
        channel: usize,
    },
    /// Every channel has ended. Comes once; afterwards only interrupts and the deadline do.
    End,
    /// A message of the interrupt channel.
    Interrupt(I),
    /// The interrupt channel has no sender any more. Comes at every call that looks at it.
    InterruptClosed,
    /// The deadline has passed.
    DeadlineReached,
    /// A sender is gone without an end: it failed. Comes once for a channel.
    Disconnected {
        /// The channel, from 0.
        channel: usize,
    },
}

/// What an alignment took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlignmentStats {
    /// From the first barrier, or its announcement, to the last.
    pub duration: Duration,
    /// How many channels were blocked.
    pub blocked_channels: usize,
    /// The weight of the data that was handed out meanwhile: of one item 1, unless the gate was
    /// told to weigh ([`InputGate::weighing`](crate::InputGate::weighing)).
    pub processed: u64,
}

/// What the alignment said and was not handed out yet.
pub(super) enum Ready<T> {
    Barrier(Barrier, AlignmentStats),
    Overtaking(Barrier, AlignmentStats),
    Captured(CheckpointId, Vec<(usize, Vec<T>)>, AlignmentStats),
    Aborted(CheckpointId, AbortCause),
    ChannelEnded(usize),
    End,
}

impl<T, I> From<Ready<T>> for GateEvent<T, I> {
    fn from(ready: Ready<T>) -> Self {
        match ready {
            Ready::Barrier(barrier, stats) => Self::Barrier(barrier, stats),
            Ready::Overtaking(barrier, stats) => Self::Overtaking(barrier, stats),
            Ready::Captured(checkpoint, channels, stats) => {
                Self::Captured { checkpoint, channels, stats }
            }
            Ready::Aborted(checkpoint, cause) => Self::Aborted { checkpoint, cause },
            Ready::ChannelEnded(channel) => Self::ChannelEnded { channel },
            Ready::End => Self::End,
        }
    }
}
