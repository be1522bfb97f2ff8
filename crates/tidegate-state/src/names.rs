//! The names of a backend's files: unique in their directory, whoever else writes there.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_types::CheckpointId;
use xxhash_rust::xxh3::xxh3_64;

use crate::KeyedContext;

/// Makes names of one subtask of one attempt.
///
/// They begin with the attempt, for people to read, and have 64 random bits, so that a superseded
/// process never gives the name of its successor's file: both may believe to be the same attempt, and
/// in containers have the same process id.
#[derive(Debug)]
pub struct FileNames {
    prefix: String,
    next: AtomicU64,
}

impl FileNames {
    /// Names that nobody else makes.
    #[must_use]
    pub fn new(context: &KeyedContext) -> Self {
        let operator = xxh3_64(context.operator.as_str().as_bytes());
        let (attempt, index) = (context.attempt, context.subtask.index());
        // The standard library seeds its hashers from the system's random numbers.
        let random = RandomState::new().hash_one(operator);
        let prefix = format!("{attempt}-{operator:016x}-{index}-{random:016x}");
        Self { prefix, next: AtomicU64::new(0) }
    }

    /// A name for a file or directory of the task's own, with this ending.
    #[must_use]
    pub fn working(&self, ending: &str) -> String {
        format!("{}-{:x}{ending}", self.prefix, self.next())
    }

    /// A name for a file of a checkpoint, with this ending.
    #[must_use]
    pub fn of_checkpoint(&self, checkpoint: CheckpointId, ending: &str) -> String {
        format!("{}-chk{checkpoint}-{:x}{ending}", self.prefix, self.next())
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidegate_types::{
        AttemptId, KeyGroupRange, MaxParallelism, OperatorUid, Parallelism, Subtask,
    };

    use super::*;

    #[test]
    fn two_who_believe_to_be_the_same_give_no_name_twice() {
        let (max, subtask) = (MaxParallelism::DEFAULT, Subtask::new(0, Parallelism::ONE));
        let context = KeyedContext {
            operator: OperatorUid::new("count").unwrap(),
            subtask,
            max_parallelism: max,
            key_groups: KeyGroupRange::of_subtask(max, subtask),
            attempt: AttemptId::new(1),
        };
        let makers = [FileNames::new(&context), FileNames::new(&context)];
        let names = makers.iter().flat_map(|maker| {
            let of = |n| maker.of_checkpoint(CheckpointId::new(n).unwrap(), ".segment");
            [maker.working(".segment"), maker.working(".segment"), of(1), of(1), of(2)]
        });
        assert_eq!(names.collect::<BTreeSet<_>>().len(), 10);
    }
}
