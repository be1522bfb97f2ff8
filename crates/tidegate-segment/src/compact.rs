//! Compaction: several segments become one.

use std::io::Write;
use std::ops::ControlFlow;

use tidegate_types::KeyGroupRange;

use crate::{Segment, SegmentError, SegmentWriter, Tombstones};

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Entries written so far.
    pub written: u64,
    /// Bytes of the new segment so far.
    pub length: u64,
}

/// Merges segments, the newest first, into `writer`, which is not finished: what they have of
/// `key_groups`, of every state that any of them has.
///
/// Streams: besides the writer's memory, it needs some 200 bytes for each input. `go_on` is asked
/// every 1,024 entries.
///
/// # Errors
///
/// [`SegmentError::Cancelled`] when `go_on` breaks; [`SegmentError::Unlike`] when the segments have
/// different numbers of key groups, or different schemas of a state; and all errors of reading and
/// writing. The writer is to be dropped then.
pub fn compact<W: Write>(
    newest_first: &[&Segment],
    key_groups: KeyGroupRange,
    tombstones: Tombstones,
    writer: &mut SegmentWriter<W>,
    go_on: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Progress, SegmentError> {
    let _ = (newest_first, key_groups, tombstones, writer, go_on);
    unimplemented!()
}
