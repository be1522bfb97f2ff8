//! Compaction: several neighbouring segments become one, in the background.
//!
//! What is merged is decided by sizes alone, as in RocksDB's universal style. With `s` segments at
//! most and a space amplification of `a` percent, a look-up asks `s` segments, dead bytes are at
//! most `a` percent of the live ones, and an entry is written about log(state / overlay) times.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tidegate_segment::{Change, KeyedEntry, MergedEntries, MergedTimers, SegmentError, Tombstones};
use tidegate_state::{CancelToken, Expiry, StateError};
use tidegate_types::{CheckpointId, KeyGroup, KeyGroupRange, RegisteredState, StateKind};

use crate::CompactionConfig;
use crate::place::{Place, Writer};
use crate::stored::{Part, Stored};

/// How many entries are merged between two looks at the cancellation.
const STEP: u32 = 1024;

/// Which of the segments with these sizes in bytes, oldest first, are to be merged, if any.
pub(crate) fn plan(sizes: &[u64], config: &CompactionConfig) -> Option<Range<usize>> {
    let count = sizes.len();
    if count < 2 {
        return None;
    }
    let newer: u64 = sizes[1..].iter().sum();
    let allowed = u64::from(config.max_space_amplification_percent);
    if count >= config.min_merge.get() && newer.saturating_mul(100) > sizes[0] * allowed {
        return Some(0..count);
    }
    // The newest ones, as long as the next is not larger than all of them together.
    let mut start = count - 1;
    let mut merged = sizes[start];
    while start > 0 && sizes[start - 1] <= merged.saturating_mul(2) {
        start -= 1;
        merged += sizes[start];
    }
    if count - start >= config.min_merge.get().max(2) {
        return Some(start..count);
    }
    let max = config.max_segments.get();
    (count > max).then(|| count.saturating_sub(count - max + 1).min(count - 2)..count)
}

/// What is to be merged.
pub(crate) struct Merge {
    /// Oldest first.
    pub(crate) parts: Vec<Part>,
    /// What is below them.
    pub(crate) below: Vec<KeyGroupRange>,
    pub(crate) expiries: Arc<BTreeMap<Arc<str>, Expiry>>,
    pub(crate) checkpoint: CheckpointId,
    /// By which values expire.
    pub(crate) now_ms: i64,
}

impl Merge {
    /// Writes the merged segment.
    pub(crate) fn run(
        &self,
        place: &Place,
        cancel: &CancelToken,
    ) -> Result<Arc<Stored>, StateError> {
        let mut states: Vec<&RegisteredState> = Vec::new();
        for part in self.parts.iter().rev() {
            for (_, state) in part.stored.segment.states() {
                if !states.iter().any(|known| known.name == state.name) {
                    states.push(state);
                }
            }
        }
        place.write(self.checkpoint, |writer| {
            let mut steps = 0;
            for state in states {
                place.written(writer.begin_state(state))?;
                for group in place.context.key_groups.iter() {
                    cancel.check()?;
                    let mut step = || {
                        steps += 1;
                        if steps % STEP == 0 { cancel.check() } else { Ok(()) }
                    };
                    if state.kind == StateKind::Timer {
                        self.timers(state, group, place, writer, &mut step)?;
                    } else {
                        self.entries(state, group, place, writer, &mut step)?;
                    }
                }
            }
            for part in &self.parts {
                place.written(part.stored.segment.check_intact())?;
            }
            Ok(())
        })
    }

    fn tombstones(&self, group: KeyGroup) -> Tombstones {
        let hides = self.below.iter().any(|range| range.contains(group));
        if hides { Tombstones::Keep } else { Tombstones::Drop }
    }

    fn of(&self, group: KeyGroup) -> impl Iterator<Item = &Part> {
        self.parts.iter().rev().filter(move |part| part.key_groups.contains(group))
    }

    fn entries(
        &self,
        state: &RegisteredState,
        group: KeyGroup,
        place: &Place,
        writer: &mut Writer,
        step: &mut dyn FnMut() -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let streams: Vec<_> = self
            .of(group)
            .filter_map(|part| {
                let segment = &part.stored.segment;
                Some(segment.entries(segment.state(&state.name)?, group))
            })
            .collect();
        let expiry = self.expiries.get(&state.name);
        let is_expired = |entry: &KeyedEntry<'_>| {
            let value = entry.change.value();
            expiry.is_some_and(|e| value.is_some_and(|value| e.is_expired(value, self.now_ms)))
        };
        for entry in MergedEntries::new(streams, self.tombstones(group)) {
            step()?;
            let mut entry = entry.map_err(|error| place.failed(error))?;
            if is_expired(&entry) {
                // What it hides was written earlier, and yet may expire later: under another
                // length of life. So it goes on hiding, if anything is below.
                if self.tombstones(group) == Tombstones::Drop {
                    continue;
                }
                entry.change = match entry.change.map_key() {
                    Some(map_key) => Change::DeleteEntry { map_key },
                    None => Change::Delete,
                };
            }
            place.written(writer.write(&entry))?;
        }
        Ok(())
    }

    fn timers(
        &self,
        state: &RegisteredState,
        group: KeyGroup,
        place: &Place,
        writer: &mut Writer,
        step: &mut dyn FnMut() -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let streams: Vec<_> = self
            .of(group)
            .filter_map(|part| {
                let segment = &part.stored.segment;
                Some(segment.timers(segment.state(&state.name)?, group, i64::MIN))
            })
            .collect();
        for timer in MergedTimers::new(streams, self.tombstones(group)) {
            step()?;
            let timer = timer.map_err(|error: SegmentError| place.failed(error))?;
            place.written(writer.write_timer(&timer))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroUsize;

    #[test]
    fn similar_sizes_are_merged_and_a_large_base_is_left_alone() {
        let config = CompactionConfig::default();
        assert_eq!(plan(&[], &config), None);
        assert_eq!(plan(&[100, 1, 1], &config), None);
        assert_eq!(plan(&[100, 1, 1, 1, 1], &config), Some(1..5));
        assert_eq!(plan(&[100, 30, 1, 1, 1], &config), None, "three of a size are too few");
        assert_eq!(plan(&[10, 4, 4, 4], &config), Some(0..4), "more is dead than may be");
        let small: Vec<u64> = (0..9).map(|step| 1 << (40 - 3 * step)).collect();
        assert_eq!(plan(&small, &config), Some(7..9), "one segment too many");
    }

    #[test]
    fn an_entry_is_written_a_logarithmic_number_of_times() {
        let (mut sizes, mut written) = (Vec::new(), 0_u64);
        for added in 1..=10_000_u64 {
            sizes.push(1);
            while let Some(run) = plan(&sizes, &CompactionConfig::default()) {
                let sum = sizes.drain(run).sum();
                written += sum;
                sizes.push(sum);
            }
            // Nothing is overwritten here, so that the base grows by all that is added: the worst
            // there is. log2 of 10,000 is 13.3.
            assert!(written <= 14 * added, "{written} after {added}");
        }
    }

    proptest! {
        // Whatever the sizes of what is added: merging ends, and then the bounds hold.
        #[test]
        fn the_bounds_hold_after_every_step(
            added in prop::collection::vec(1_u64..1_000_000, 1..200),
            max in 2_usize..10,
            min in 2_usize..6,
        ) {
            let config = CompactionConfig {
                max_segments: NonZeroUsize::new(max).unwrap(),
                min_merge: NonZeroUsize::new(min).unwrap(),
                max_space_amplification_percent: 100,
            };
            let mut sizes = Vec::new();
            for size in added {
                sizes.push(size);
                let before = sizes.len();
                let mut merges = 0;
                while let Some(run) = plan(&sizes, &config) {
                    prop_assert!(run.len() >= 2 && run.end == sizes.len());
                    let sum = sizes.drain(run).sum();
                    sizes.push(sum);
                    merges += 1;
                }
                prop_assert!(merges < before, "it ends");
                prop_assert!(sizes.len() <= max);
                let newer: u64 = sizes[1..].iter().sum();
                prop_assert!(sizes.len() < min || newer <= sizes[0]);
            }
        }
    }
}
