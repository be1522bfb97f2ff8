//! Alignment against its document, against every interleaving, and the gate over real channels.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod document;
mod gate;
mod interleavings;
mod overtaking;
mod world;

use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

fn barrier(number: u64) -> Barrier {
    let checkpoint = CheckpointId::new(number).unwrap();
    Barrier { checkpoint, kind: SnapshotKind::Checkpoint, triggered_at_ms: 0 }
}
