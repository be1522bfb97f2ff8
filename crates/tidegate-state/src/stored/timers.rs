//! Timers in a store, of which the earliest are in memory, too.
//!
//! Invariants:
//! - the store has every timer and nothing else;
//! - `near` has those of each key group that are before its entry in `unread`, and all of a group
//!   without one; it may have later ones as well;
//! - `order` has what `unread` has, by time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use tidegate_types::{KeyGroup, KeyGroupRange, RegisteredState, StateKey};

use super::{RowStore, StoredSchema, rows};
use crate::StateError;
use crate::backend::Acceptance;
use crate::schema::Labels;
use crate::table::Placed;
use crate::timers::Timers;

/// How many timers of a key group are read at a time, besides others of the same instant.
const BATCH: usize = 64;
/// How many timers are in memory before the latest are left to the store alone.
const NEAR_MAX: usize = 1 << 17;

pub(crate) struct StoredTimers<K> {
    labels: Labels,
    store: Rc<dyn RowStore>,
    near: BTreeSet<(i64, u16, K)>,
    unread: BTreeMap<u16, i64>,
    order: BTreeSet<(i64, u16)>,
    /// Told by the next `pop`.
    failed: Option<StateError>,
}

impl<K: StateKey> StoredTimers<K> {
    pub(crate) fn new(labels: Labels, range: KeyGroupRange, store: Rc<dyn RowStore>) -> Self {
        // What the store has is found when somebody asks.
        let unread = range.iter().map(|group| (group.get(), i64::MIN)).collect();
        let order = range.iter().map(|group| (i64::MIN, group.get())).collect();
        Self { labels, store, near: BTreeSet::new(), unread, order, failed: None }
    }

    /// Reads until nothing in the store alone is before the earliest in memory.
    fn settle(&mut self) -> Result<(), StateError> {
        while let Some(&(time, group)) = self.order.first() {
            if self.near.first().is_some_and(|near| near.0 < time) {
                break;
            }
            self.read_batch(time, group)?;
        }
        Ok(())
    }

    fn read_batch(&mut self, from_ms: i64, group: u16) -> Result<(), StateError> {
        let key_group = KeyGroup::new(group);
        let mut from = Vec::new();
        rows::timer(key_group, from_ms, &[], &mut from);
        let (_, to) = rows::range_of_group(key_group);
        let mut batch: Vec<(i64, u16, K)> = Vec::new();
        let mut next = None;
        self.store.scan(&from, Some(&to), &mut |row, _| {
            let (time, key) =
                rows::split_timer(row).ok_or_else(|| self.labels.value_error(row.len()))?;
            if batch.len() >= BATCH && batch.last().is_some_and(|last| last.0 != time) {
                next = Some(time);
                return Ok(ControlFlow::Break(()));
            }
            batch.push((time, group, self.labels.key(key)?));
            Ok(ControlFlow::Continue(()))
        })?;
        self.near.extend(batch);
        self.set_unread(group, next);
        Ok(())
    }

    fn set_unread(&mut self, group: u16, from_ms: Option<i64>) {
        let before = match from_ms {
            Some(time) => self.unread.insert(group, time),
            None => self.unread.remove(&group),
        };
        before.map(|time| self.order.remove(&(time, group)));
        self.order.extend(from_ms.map(|time| (time, group)));
    }

    /// Leaves the latest to the store, when there are too many.
    fn evict(&mut self) {
        while self.near.len() > NEAR_MAX {
            let Some((time, group, _)) = self.near.pop_last() else { return };
            if self.unread.get(&group).is_none_or(|unread| time < *unread) {
                self.set_unread(group, Some(time));
            }
        }
    }

    fn try_register(&mut self, at: &Placed<K>, time_ms: i64) -> Result<(), StateError> {
        let mut row = Vec::new();
        rows::timer(at.group, time_ms, &rows::canonical(&at.key), &mut row);
        self.store.put(&row, &[])?;
        if self.unread.get(&at.group.get()).is_none_or(|unread| time_ms < *unread) {
            self.near.insert((time_ms, at.group.get(), at.key.clone()));
            self.evict();
        }
        Ok(())
    }

    fn remove(&mut self, group: KeyGroup, time_ms: i64, key: &K) -> Result<(), StateError> {
        let mut row = Vec::new();
        rows::timer(group, time_ms, &rows::canonical(key), &mut row);
        self.store.delete(&row)
    }
}

impl<K: StateKey> Timers<K> for StoredTimers<K> {
    fn next(&mut self) -> Option<i64> {
        if let Err(error) = self.settle() {
            self.failed.get_or_insert(error);
        }
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
        self.near.remove(&(time_ms, at.group.get(), at.key.clone()));
        if let Err(error) = self.remove(at.group, time_ms, &at.key) {
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
        let (time, group, key) = self.near.pop_first().expect("it was just looked at");
        self.remove(KeyGroup::new(group), time, &key)?;
        Ok(Some((time, key)))
    }
}

/// Timers are accepted as they are or not at all.
pub(crate) struct TimerSchema<'l>(pub(crate) &'l Labels);

impl StoredSchema for TimerSchema<'_> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.0.check(found)
    }

    fn migrate(&self, _: &[u8]) -> Result<Vec<u8>, StateError> {
        unreachable!("timers are accepted as they are or not at all")
    }
}
