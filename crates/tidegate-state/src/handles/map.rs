//! A map for each key.

use std::fmt;
use std::rc::Rc;

use tidegate_types::StateKey;

use super::MapSlots;
use crate::{StateError, StateValue, ValueRef};

/// A map for each key.
pub struct MapState<N, V: StateValue> {
    slots: Rc<dyn MapSlots<N, V>>,
}

impl<N: StateKey, V: StateValue> MapState<N, V> {
    pub(crate) fn new(slots: Rc<dyn MapSlots<N, V>>) -> Self {
        Self { slots }
    }

    /// A copy of the value under `name`, if there is one.
    pub fn get(&self, name: &N) -> Result<Option<V>, StateError> {
        self.read(name, |value| value.map(|value| value.to_value()))
    }

    /// Shows the value under `name` where it lies, without copying it.
    ///
    /// # Panics
    ///
    /// When `show` writes to the same state.
    pub fn read<R>(
        &self,
        name: &N,
        show: impl FnOnce(Option<ValueRef<'_, V>>) -> R,
    ) -> Result<R, StateError> {
        let (mut show, mut result) = (Some(show), None);
        self.slots.read(name, &mut |value| result = show.take().map(|show| show(value)))?;
        Ok(result.expect("a value is shown once"))
    }

    /// Whether there is a value under `name`.
    pub fn contains(&self, name: &N) -> Result<bool, StateError> {
        self.read(name, |value| value.is_some())
    }

    /// Sets the value under `name`.
    pub fn put(&self, name: N, value: V) -> Result<(), StateError> {
        self.slots.put(name, value)
    }

    /// Removes the value under `name` and gives it back.
    pub fn remove(&self, name: &N) -> Result<Option<V>, StateError> {
        self.slots.remove(name)
    }

    /// Shows all entries where they lie, ascending by the canonical bytes of their names: the same
    /// order in every backend and every run.
    ///
    /// # Panics
    ///
    /// When `show` writes to the same state.
    pub fn for_each(&self, mut show: impl FnMut(&N, ValueRef<'_, V>)) -> Result<(), StateError> {
        self.slots.visit(&mut show)
    }

    /// A copy of all entries, in the order of [`for_each`](Self::for_each).
    pub fn entries(&self) -> Result<Vec<(N, V)>, StateError> {
        let mut entries = Vec::new();
        self.for_each(|name, value| entries.push((name.clone(), value.to_value())))?;
        Ok(entries)
    }

    /// How many entries there are. They are counted.
    pub fn len(&self) -> Result<usize, StateError> {
        let mut count = 0;
        self.for_each(|_, _| count += 1)?;
        Ok(count)
    }

    /// Whether there are no entries. They are counted.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.len()? == 0)
    }

    /// Removes all entries.
    pub fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}

impl<N, V: StateValue> Clone for MapState<N, V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<N, V: StateValue> fmt::Debug for MapState<N, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapState").finish_non_exhaustive()
    }
}
