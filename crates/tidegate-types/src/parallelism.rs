//! Parallelism, maximum parallelism, and the subtasks they make.

use std::fmt;
use std::num::NonZeroU16;

use crate::{KeyGroup, KeyHash};

/// How many subtasks an operator has: 1 to 32,768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parallelism(NonZeroU16);

impl Parallelism {
    /// One subtask.
    pub const ONE: Self = Self(NonZeroU16::MIN);

    /// `None` for 0 and above 32,768 (the bound of [`MaxParallelism`]).
    #[must_use]
    pub fn new(subtasks: u16) -> Option<Self> {
        NonZeroU16::new(subtasks).filter(|n| n.get() <= MaxParallelism::LIMIT).map(Self)
    }

    /// The number of subtasks.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of key groups of a job, and so the largest parallelism it can ever be given. Fixed
/// when the job first starts and checked on every restore. 1 to 32,768 (Flink's bound).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxParallelism(NonZeroU16);

impl MaxParallelism {
    /// The largest number of key groups, and so of subtasks.
    pub const LIMIT: u16 = 1 << 15;

    /// 128 key groups: Flink's lower bound for a job that names none.
    pub const DEFAULT: Self = Self(NonZeroU16::new(128).expect("128 is not zero"));

    /// `None` for 0 and above 32,768.
    #[must_use]
    pub fn new(key_groups: u16) -> Option<Self> {
        NonZeroU16::new(key_groups).filter(|n| n.get() <= Self::LIMIT).map(Self)
    }

    /// The number of key groups.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The key group of a key: `floor(hash * max / 2^64)`. Part of the format (docs/format.md).
    ///
    /// Because the product grows with the hash, entries sorted by hash are sorted by key group too.
    #[must_use]
    #[inline]
    pub fn key_group_of(self, hash: KeyHash) -> KeyGroup {
        let group = (u128::from(hash.get()) * u128::from(self.get())) >> 64;
        // Below the maximum parallelism: nothing is lost.
        KeyGroup::new(u16::try_from(group).unwrap_or(u16::MAX))
    }
}

impl fmt::Display for MaxParallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the parallel instances of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtask {
    // Invariant: index < parallelism.
    index: u16,
    parallelism: Parallelism,
}

impl Subtask {
    /// The subtask with this index, from 0.
    ///
    /// # Panics
    ///
    /// When `index` is not below `parallelism`.
    #[must_use]
    pub fn new(index: u16, parallelism: Parallelism) -> Self {
        assert!(index < parallelism.get(), "subtask {index} of only {parallelism}");
        Self { index, parallelism }
    }

    /// All subtasks of an operator, in order.
    pub fn all(parallelism: Parallelism) -> impl Iterator<Item = Self> {
        (0..parallelism.get()).map(move |index| Self { index, parallelism })
    }

    /// Which one, from 0.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.index
    }

    /// Of how many.
    #[must_use]
    pub const fn parallelism(self) -> Parallelism {
        self.parallelism
    }
}

impl fmt::Display for Subtask {
    /// `2/4` is the second of four, counted from one as people do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.parallelism)
    }
}
