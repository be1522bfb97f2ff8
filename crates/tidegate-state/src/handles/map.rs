//! A map for each key.

use std::fmt;
use std::rc::Rc;

use hashbrown::HashMap;
use tidegate_types::StateKey;

use super::{Slots, modify, read};
use crate::slot::MapSlot;
use crate::{StateError, StateValue};

/// A map for each key.
pub struct MapState<N, V> {
    slots: Rc<dyn Slots<MapSlot<N, V>>>,
}

impl<N: StateKey, V: StateValue> MapState<N, V> {
    pub(crate) fn new(slots: Rc<dyn Slots<MapSlot<N, V>>>) -> Self {
        Self { slots }
    }

    /// A copy of the value under `name`, if there is one.
    pub fn get(&self, name: &N) -> Result<Option<V>, StateError> {
        read(&*self.slots, |map| map.and_then(|map| map.0.get(name)).cloned())
    }

    /// Whether there is a value under `name`.
    pub fn contains(&self, name: &N) -> Result<bool, StateError> {
        read(&*self.slots, |map| map.is_some_and(|map| map.0.contains_key(name)))
    }

    /// Sets the value under `name`.
    pub fn put(&self, name: N, value: V) -> Result<(), StateError> {
        modify(&*self.slots, |slot| {
            slot.get_or_insert_with(|| MapSlot(HashMap::default())).0.insert(name, value);
        })
    }

    /// Removes the value under `name` and gives it back.
    pub fn remove(&self, name: &N) -> Result<Option<V>, StateError> {
        if !self.contains(name)? {
            return Ok(None);
        }
        modify(&*self.slots, |slot| {
            let removed = slot.as_mut().and_then(|map| map.0.remove(name));
            if slot.as_ref().is_some_and(|map| map.0.is_empty()) {
                *slot = None;
            }
            removed
        })
    }

    /// A copy of all entries, ascending by the canonical bytes of their names: the same order in
    /// every backend and every run.
    pub fn entries(&self) -> Result<Vec<(N, V)>, StateError> {
        let copy = |(_, name, value): (Vec<u8>, &N, &V)| (name.clone(), value.clone());
        read(&*self.slots, |map| {
            map.map_or_else(Vec::new, |map| map.sorted().into_iter().map(copy).collect())
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> Result<usize, StateError> {
        read(&*self.slots, |map| map.map_or(0, |map| map.0.len()))
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        read(&*self.slots, |map| map.is_none())
    }

    /// Removes all entries.
    pub fn clear(&self) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = None)
    }
}

impl<N, V> Clone for MapState<N, V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<N, V> fmt::Debug for MapState<N, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapState").finish_non_exhaustive()
    }
}
