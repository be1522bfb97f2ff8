//! Timers: times registered under keys, popped in the order of time.
//!
//! Invariants: `heads` has the earliest time of every key group that has a timer, and nothing
//! else; groups are shared with frozen tables and cloned on the first write, as in `table`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, RegisteredState, StateKey};

use crate::StateError;
use crate::backend::{Acceptance, Entry, FrozenTable, StateTable};
use crate::schema::Labels;
use crate::slot::{ItemReader, ItemWriter};
use crate::table::Placed;

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeDomain {
    /// The time in the records, as told by watermarks.
    EventTime,
    /// The clock on the wall.
    ProcessingTime,
}

impl TimeDomain {
    /// The name of the state in checkpoints.
    pub(crate) fn state_name(self) -> Arc<str> {
        match self {
            Self::EventTime => "event-time timers".into(),
            Self::ProcessingTime => "processing-time timers".into(),
        }
    }
}

/// The timers of an operator for one clock.
pub(crate) trait Timers<K> {
    /// The earliest time of any timer.
    fn next(&mut self) -> Option<i64>;

    /// Adds a timer; nothing happens when the key has one at this time. A failure is told by the
    /// next `pop`.
    fn register(&mut self, at: &Placed<K>, time_ms: i64);

    fn delete(&mut self, at: &Placed<K>, time_ms: i64);

    /// Takes the earliest timer that is not after `time_ms`; those of one time in the order of
    /// key group and key.
    fn pop(&mut self, time_ms: i64) -> Result<Option<(i64, K)>, StateError>;
}

pub(crate) struct TimerTable<K> {
    labels: Labels,
    first: u16,
    groups: Vec<Arc<Group<K>>>,
    heads: BTreeSet<(i64, u16)>,
}

type Group<K> = BTreeSet<(i64, K)>;

impl<K: StateKey> TimerTable<K> {
    pub(crate) fn new(labels: Labels, range: KeyGroupRange) -> Self {
        let groups = range.iter().map(|_| Arc::new(BTreeSet::new())).collect();
        Self { labels, first: range.first().get(), groups, heads: BTreeSet::new() }
    }

    fn change(&mut self, group: KeyGroup, change: impl FnOnce(&mut Group<K>)) {
        let index = self.index(group);
        let timers = Arc::make_mut(&mut self.groups[index]);
        let before = timers.first().map(|timer| timer.0);
        change(timers);
        let after = timers.first().map(|timer| timer.0);
        if before != after {
            before.map(|time| self.heads.remove(&(time, group.get())));
            self.heads.extend(after.map(|time| (time, group.get())));
        }
    }

    fn index(&self, group: KeyGroup) -> usize {
        usize::from(group.get() - self.first)
    }
}

impl<K: StateKey> Timers<K> for TimerTable<K> {
    fn next(&mut self) -> Option<i64> {
        self.heads.first().map(|(time, _)| *time)
    }

    fn register(&mut self, at: &Placed<K>, time_ms: i64) {
        self.change(at.group, |timers| {
            timers.insert((time_ms, at.key.clone()));
        });
    }

    fn delete(&mut self, at: &Placed<K>, time_ms: i64) {
        let timer = (time_ms, at.key.clone());
        // Looked up first, so that a miss does not copy a shared group.
        if self.groups[self.index(at.group)].contains(&timer) {
            self.change(at.group, |timers| {
                timers.remove(&timer);
            });
        }
    }

    fn pop(&mut self, time_ms: i64) -> Result<Option<(i64, K)>, StateError> {
        let earliest = self.heads.first().filter(|(time, _)| *time <= time_ms);
        let Some(&(time, group)) = earliest else { return Ok(None) };
        let mut popped = None;
        self.change(KeyGroup::new(group), |timers| popped = timers.pop_first());
        debug_assert_eq!(popped.as_ref().map(|timer| timer.0), Some(time));
        Ok(popped)
    }
}

impl<K: StateKey> StateTable for TimerTable<K> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.labels.check(found)
    }

    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        let key = self.labels.key(entry.key)?;
        let times = ItemReader::new(entry.items, entry.count).and_then(|items| {
            items
                .map(|item| item.try_into().ok().map(i64::from_le_bytes))
                .collect::<Option<Vec<_>>>()
        });
        let times = times.ok_or_else(|| self.labels.value_error(entry.items.len()))?;
        let at = Placed { key, hash: entry.hash, group };
        times.into_iter().for_each(|time| self.register(&at, time));
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn FrozenTable> {
        Box::new(Frozen { first: self.first, groups: self.groups.clone() })
    }
}

struct Frozen<K> {
    first: u16,
    groups: Vec<Arc<Group<K>>>,
}

impl<K: StateKey> FrozenTable for Frozen<K> {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let group = &self.groups[usize::from(group.get() - self.first)];
        let mut timers: Vec<(KeyHash, Vec<u8>, i64)> = Vec::with_capacity(group.len());
        for (time, key) in &**group {
            let mut bytes = Vec::new();
            key.encode_key(&mut bytes);
            timers.push((KeyHash::of_bytes(&bytes), bytes, *time));
        }
        timers.sort_unstable();
        let mut items = Vec::new();
        for same in timers.chunk_by(|a, b| a.1 == b.1) {
            let mut writer = ItemWriter::new(&mut items);
            for (_, _, time) in same {
                writer.item(|out| out.extend_from_slice(&time.to_le_bytes()));
            }
            let count = writer.count();
            visit(Entry { hash: same[0].0, key: &same[0].1, count, items: &items })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_types::{MaxParallelism, OperatorUid, StateKind};

    use crate::descriptor::described;

    fn placed(key: u64) -> Placed<u64> {
        let hash = key.key_hash();
        Placed { key, hash, group: MaxParallelism::DEFAULT.key_group_of(hash) }
    }

    fn table() -> TimerTable<u64> {
        let range = KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(127)).unwrap();
        let operator = OperatorUid::new("tide").unwrap();
        let registered = described(&"timers".into(), StateKind::Timer, 0, "u64 -> time", 8);
        TimerTable::new(Labels { operator, registered }, range)
    }

    #[test]
    fn timers_come_in_the_order_of_time_once_each() {
        let mut table = table();
        for (key, time) in [(1, 30), (2, 10), (1, 30), (3, -5), (1, 20), (2, 10)] {
            table.register(&placed(key), time);
        }
        table.delete(&placed(1), 20);
        table.delete(&placed(1), 20);
        assert_eq!(table.next(), Some(-5));
        let due: Vec<_> = std::iter::from_fn(|| table.pop(29).unwrap()).collect();
        assert_eq!(due, [(-5, 3), (10, 2)]);
        assert_eq!((table.next(), table.pop(30).unwrap()), (Some(30), Some((30, 1))));
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_frozen_table_keeps_what_was_popped_later() {
        let mut table = table();
        table.register(&placed(7), 5);
        table.register(&placed(7), 9);
        let frozen = table.freeze();
        assert_eq!(table.pop(100).unwrap(), Some((5, 7)));
        let mut times = 0;
        let shown = frozen.entries(placed(7).group, &mut |entry| {
            times = entry.count;
            Ok(())
        });
        shown.unwrap();
        assert_eq!(times, 2);
    }
}
