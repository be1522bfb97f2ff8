//! The settings of the fs backend.

use std::num::NonZeroUsize;

/// Settings of the fs backend, each with its configuration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsStateConfig {
    /// `execution.checkpointing.incremental` (`state.backend.incremental`): checkpoints write what
    /// has changed and refer to earlier files for the rest. Otherwise each is one file of its own.
    pub incremental: bool,
    /// `state.backend.fs.overlay-max-bytes`: an overlay of more bytes than this, as estimated, is
    /// written to a file between checkpoints. Up to twice as much is in memory while that goes on.
    pub overlay_max_bytes: u64,
    /// `state.backend.fs.compaction.*`.
    pub compaction: CompactionConfig,
}

impl Default for FsStateConfig {
    fn default() -> Self {
        Self {
            incremental: true,
            overlay_max_bytes: 256 << 20,
            compaction: CompactionConfig::default(),
        }
    }
}

/// When segments are merged in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// `state.backend.fs.compaction.max-segments`: how many segments a look-up may have to ask. More
    /// are merged, the newest first.
    pub max_segments: NonZeroUsize,
    /// `state.backend.fs.compaction.min-merge`: how many segments of similar size are merged.
    pub min_merge: NonZeroUsize,
    /// `state.backend.fs.compaction.max-space-amplification-percent`: how large all newer segments
    /// may be together, in percent of the oldest, before all are merged into one. It bounds the
    /// bytes that are dead because something newer hides them.
    pub max_space_amplification_percent: u32,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            max_segments: NonZeroUsize::new(8).expect("not zero"),
            min_merge: NonZeroUsize::new(4).expect("not zero"),
            max_space_amplification_percent: 100,
        }
    }
}
