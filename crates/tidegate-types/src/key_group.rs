//! Key groups: the unit in which keyed state is partitioned, snapshotted and rescaled.
//!
//! A job fixes its [`MaxParallelism`] once; every key then belongs to one [`KeyGroup`] for the
//! life of the job. Rescaling moves whole key groups between subtasks and never splits one.

use std::fmt;

use crate::{MaxParallelism, Parallelism, Subtask};

/// The number of a key group, from 0, below the job's [`MaxParallelism`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyGroup(u16);

impl KeyGroup {
    /// The key group with this number.
    #[must_use]
    #[inline]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The subtask that owns this key group: `floor(group * parallelism / max)`, Flink's rule.
    ///
    /// # Panics
    ///
    /// When the group is not below `max`, or `parallelism` exceeds it.
    #[must_use]
    pub fn owner(self, max: MaxParallelism, parallelism: Parallelism) -> Subtask {
        assert!(self.0 < max.get(), "key group {} of only {max}", self.0);
        assert!(parallelism.get() <= max.get(), "parallelism {parallelism} above maximum {max}");
        let index = u32::from(self.0) * u32::from(parallelism.get()) / u32::from(max.get());
        Subtask::new(u16::try_from(index).expect("below the parallelism"), parallelism)
    }
}

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A non-empty, inclusive range of key groups.
///
/// There is no empty range: a subtask without keyed state has no range at all, so that absence
/// is an `Option` the caller sees and not a value it must remember to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    // Invariant: first <= last.
    first: KeyGroup,
    last: KeyGroup,
}

impl KeyGroupRange {
    /// The range from `first` to `last`, both inside; `None` when `first` is above `last`.
    #[must_use]
    pub fn new(first: KeyGroup, last: KeyGroup) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The range owned by one subtask. The ranges of all subtasks partition the key groups.
    ///
    /// # Panics
    ///
    /// When the parallelism exceeds the maximum.
    #[must_use]
    pub fn of_subtask(max: MaxParallelism, subtask: Subtask) -> Self {
        let parallelism = subtask.parallelism();
        assert!(parallelism.get() <= max.get(), "parallelism {parallelism} above maximum {max}");
        // Widened, so that neither product can overflow: both factors are at most 2^15.
        let (max, parallelism, index) =
            (u32::from(max.get()), u32::from(parallelism.get()), u32::from(subtask.index()));
        let group = |n: u32| KeyGroup(u16::try_from(n).expect("below the maximum parallelism"));
        Self {
            first: group((index * max).div_ceil(parallelism)),
            last: group(((index + 1) * max - 1) / parallelism),
        }
    }

    /// The first key group inside.
    #[must_use]
    #[inline]
    pub const fn first(self) -> KeyGroup {
        self.first
    }

    /// The last key group inside.
    #[must_use]
    #[inline]
    pub const fn last(self) -> KeyGroup {
        self.last
    }

    /// How many key groups: 1 or more.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.last.0 - self.first.0) + 1
    }

    /// Whether the key group is inside.
    #[must_use]
    #[inline]
    pub fn contains(self, group: KeyGroup) -> bool {
        self.first <= group && group <= self.last
    }

    /// What both ranges have in common, if anything.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// The key groups, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = KeyGroup> {
        (self.first.0..=self.last.0).map(KeyGroup)
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Every (max, parallelism) pair up to 64: small enough to try them all, and every rounding
    // case of the divisions occurs.
    #[test]
    fn subtask_ranges_partition_the_key_groups_and_agree_with_owner() {
        for max in (1..=64).filter_map(MaxParallelism::new) {
            for parallelism in (1..=max.get()).filter_map(Parallelism::new) {
                let mut next = 0;
                for subtask in Subtask::all(parallelism) {
                    let range = KeyGroupRange::of_subtask(max, subtask);
                    assert_eq!(range.first().get(), next, "{subtask} of {max}");
                    assert!(range.iter().all(|g| g.owner(max, parallelism) == subtask));
                    next = range.last().get() + 1;
                }
                assert_eq!(next, max.get(), "parallelism {parallelism}");
            }
        }
    }

    #[test]
    fn the_largest_parallelism_does_not_overflow() {
        let max = MaxParallelism::new(1 << 15).unwrap();
        let all = Parallelism::new(1 << 15).unwrap();
        let last = Subtask::new((1 << 15) - 1, all);
        assert_eq!(KeyGroupRange::of_subtask(max, last).last().get(), (1 << 15) - 1);
        assert_eq!(KeyGroup::new((1 << 15) - 1).owner(max, all), last);
    }
}
