//! Barriers: what divides the records before a checkpoint from those after it.

use crate::CheckpointId;

/// What a barrier asks the operators to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// A native, possibly incremental checkpoint for recovery.
    Checkpoint,
    /// A canonical, self-contained savepoint that belongs to the user.
    Savepoint,
    /// The last checkpoint of a job whose sources have ended: sinks commit their tail with it.
    Final,
}

/// Divides a stream into what belongs to a checkpoint and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Barrier {
    /// The checkpoint that this barrier starts.
    pub checkpoint: CheckpointId,
    /// What is to be written.
    pub kind: SnapshotKind,
    /// When the coordinator triggered it: milliseconds since the Unix epoch.
    pub triggered_at_ms: u64,
}
