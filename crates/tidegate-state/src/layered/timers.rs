//! Timers in layers: those near in memory, restored ones read when their time comes.
//!
//! Invariants:
//! - `near` has every live timer but those of the restored base at or after `heads` of their group;
//! - of the latter, `dead` has those that were deleted since;
//! - `changes` is what the files do not know: `Added` timers are live and in no file, `Deleted` ones
//!   are in some file and not live.
//!
//! A timer that is registered and fires between two freezes is therefore never written.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyGroupRange, RegisteredState, StateKey};

use super::{Nothing, canonical};
use crate::StateError;
use crate::backend::{Acceptance, Entry};
use crate::layer::{FrozenOverlay, KeyAt, LayerEntry, LayeredTable, StateBase};
use crate::schema::Labels;
use crate::table::Placed;
use crate::timers::Timers;

/// How many timers of a key group are read at a time, besides others of the same instant.
const BATCH: usize = 64;

type Timer<K> = (i64, u16, K);

pub(crate) struct LayeredTimers<K> {
    labels: Labels,
    range: KeyGroupRange,
    near: BTreeSet<Timer<K>>,
    changes: BTreeMap<Timer<K>, Change>,
    restored: Arc<dyn StateBase>,
    /// Where the unread restored timers of each key group begin; `None` before the first look.
    heads: Option<BTreeMap<u16, i64>>,
    order: BTreeSet<(i64, u16)>,
    dead: BTreeSet<Timer<K>>,
    failed: Option<StateError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Added,
    Deleted,
}

impl<K: StateKey> LayeredTimers<K> {
    pub(crate) fn new(labels: Labels, range: KeyGroupRange) -> Self {
        Self {
            labels,
            range,
            near: BTreeSet::new(),
            changes: BTreeMap::new(),
            restored: Arc::new(Nothing),
            heads: None,
            order: BTreeSet::new(),
            dead: BTreeSet::new(),
            failed: None,
        }
    }

    /// Finds the first restored timer of every key group.
    fn look(&mut self) -> Result<(), StateError> {
        if self.heads.is_some() {
            return Ok(());
        }
        let mut heads = BTreeMap::new();
        for group in self.range.iter().filter(|_| !self.restored.is_empty()) {
            self.restored.timers(group, i64::MIN, &mut |time, _| {
                heads.insert(group.get(), time);
                ControlFlow::Break(())
            })?;
        }
        self.order = heads.iter().map(|(group, time)| (*time, *group)).collect();
        self.heads = Some(heads);
        Ok(())
    }

    /// Reads restored timers until those near begin with the earliest of all.
    fn settle(&mut self) -> Result<(), StateError> {
        self.look()?;
        while let Some(&(time, group)) = self.order.first() {
            if self.near.first().is_some_and(|near| near.0 < time) {
                break;
            }
            self.read_batch(group, time)?;
        }
        Ok(())
    }

    fn read_batch(&mut self, group: u16, from_ms: i64) -> Result<(), StateError> {
        let mut batch: Vec<(i64, K)> = Vec::new();
        let (mut next, mut failed) = (None, None);
        self.restored.timers(KeyGroup::new(group), from_ms, &mut |time, key| {
            if batch.len() >= BATCH && batch.last().is_some_and(|last| last.0 != time) {
                next = Some(time);
                return ControlFlow::Break(());
            }
            match self.labels.key(key) {
                Ok(key) => batch.push((time, key)),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        for (time, key) in batch {
            let timer = (time, group, key);
            if !self.dead.remove(&timer) {
                self.near.insert(timer);
            }
        }
        self.order.remove(&(from_ms, group));
        let heads = self.heads.as_mut().expect("batches are read after the first look");
        match next {
            Some(time) => {
                heads.insert(group, time);
                self.order.insert((time, group));
            }
            None => {
                heads.remove(&group);
            }
        }
        if self.order.is_empty() {
            // All are read: the files behind it are of no use any more.
            self.restored = Arc::new(Nothing);
        }
        Ok(())
    }

    /// Whether the base has the timer and it has not been read.
    fn is_unread(&mut self, at: &Placed<K>, time_ms: i64) -> Result<bool, StateError> {
        self.look()?;
        let head = self.heads.as_ref().and_then(|heads| heads.get(&at.group.get()));
        if head.is_none_or(|head| time_ms < *head) {
            return Ok(false);
        }
        let bytes = canonical(&at.key);
        self.restored.has_timer(time_ms, KeyAt { group: at.group, hash: at.hash, bytes: &bytes })
    }

    fn try_register(&mut self, at: &Placed<K>, time_ms: i64) -> Result<(), StateError> {
        let timer = (time_ms, at.group.get(), at.key.clone());
        if self.near.contains(&timer) {
            return Ok(());
        }
        if !self.dead.remove(&timer) && self.is_unread(at, time_ms)? {
            return Ok(());
        }
        match self.changes.get(&timer) {
            Some(Change::Deleted) => drop(self.changes.remove(&timer)),
            _ => drop(self.changes.insert(timer.clone(), Change::Added)),
        }
        self.near.insert(timer);
        Ok(())
    }

    fn try_delete(&mut self, at: &Placed<K>, time_ms: i64) -> Result<(), StateError> {
        let timer = (time_ms, at.group.get(), at.key.clone());
        let is_unread = self.is_unread(at, time_ms)?;
        let was_near = self.near.remove(&timer);
        if is_unread && !self.dead.insert(timer.clone()) && !was_near {
            return Ok(());
        }
        if was_near || is_unread {
            self.gone(timer);
        }
        Ok(())
    }

    fn gone(&mut self, timer: Timer<K>) {
        match self.changes.get(&timer) {
            Some(Change::Added) => drop(self.changes.remove(&timer)),
            _ => drop(self.changes.insert(timer, Change::Deleted)),
        }
    }
}

impl<K: StateKey> Timers<K> for LayeredTimers<K> {
    fn next(&mut self) -> Option<i64> {
        if let Err(error) = self.settle() {
            self.failed.get_or_insert(error);
        }
        // At once, so that whoever asks comes to pop it and hears of the failure.
        if self.failed.is_some() {
            return Some(i64::MIN);
        }
        self.near.first().map(|timer| timer.0)
    }

    fn register(&mut self, at: &Placed<K>, time_ms: i64) {
        if let Err(error) = self.try_register(at, time_ms) {
            self.failed.get_or_insert(error);
        }
    }

    fn delete(&mut self, at: &Placed<K>, time_ms: i64) {
        if let Err(error) = self.try_delete(at, time_ms) {
            self.failed.get_or_insert(error);
        }
    }

    fn pop(&mut self, time_ms: i64) -> Result<Option<(i64, K)>, StateError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.settle()?;
        if self.near.first().is_none_or(|timer| timer.0 > time_ms) {
            return Ok(None);
        }
        let timer = self.near.pop_first().expect("it was just looked at");
        let popped = (timer.0, timer.2.clone());
        self.gone(timer);
        Ok(Some(popped))
    }
}

impl<K: StateKey> LayeredTable for LayeredTimers<K> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.labels.check(found)
    }

    fn restore(&mut self, base: Arc<dyn StateBase>) {
        self.restored = base;
    }

    fn load(&mut self, _: KeyGroup, _: Entry<'_>) -> Result<(), StateError> {
        unreachable!("timers are accepted as they are or not at all")
    }

    fn freeze(&mut self, _: u64) -> Option<Arc<dyn FrozenOverlay>> {
        let changes = std::mem::take(&mut self.changes);
        (!changes.is_empty()).then(|| Arc::new(FrozenTimers { changes }) as Arc<dyn FrozenOverlay>)
    }

    fn rebase(&mut self, _: Arc<dyn StateBase>, _: u64) -> Vec<Box<dyn Any + Send>> {
        // What was registered since the restore is in memory until it fires.
        Vec::new()
    }

    fn overlay_bytes(&self) -> u64 {
        (self.changes.len() * 2 * size_of::<Timer<K>>()) as u64
    }
}

struct FrozenTimers<K> {
    changes: BTreeMap<Timer<K>, Change>,
}

impl<K: StateKey> FrozenOverlay for FrozenTimers<K> {
    fn write(
        &self,
        write: &mut dyn FnMut(LayerEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let entry = |((time, group, key), change): (&Timer<K>, &Change)| {
            (*group, *time, canonical(key), key.key_hash(), *change)
        };
        let mut sorted: Vec<_> = self.changes.iter().map(entry).collect();
        sorted.sort_unstable_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        for (_, time_ms, key, hash, change) in &sorted {
            let is_deleted = *change == Change::Deleted;
            write(LayerEntry::Timer { time_ms: *time_ms, hash: *hash, key, is_deleted })?;
        }
        Ok(())
    }
}
