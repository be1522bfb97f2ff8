//! What the alignment remembers of each channel and of each checkpoint under way.

use tidegate_types::{Barrier, CheckpointId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Channel {
    /// The newest checkpoint that the channel has spoken of in its place: by a barrier or by a
    /// cancellation.
    pub(super) newest: Option<CheckpointId>,
    /// The newest checkpoint whose barrier was announced: it is in the channel.
    pub(super) announced: Option<CheckpointId>,
    pub(super) ended: bool,
}

/// A checkpoint some of whose barriers have come, or were announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) barrier: Barrier,
    /// How many channels have neither delivered the barrier nor ended.
    pub(super) missing: usize,
    pub(super) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// At least once: the snapshot comes with the last barrier, and no channel waits for it.
    Counting,
    /// The snapshot comes with the last barrier.
    Aligning {
        /// Whether some channel was told to wait.
        blocking: bool,
    },
    /// The snapshot has been taken; data before the barriers still to come is captured.
    Capturing,
}
