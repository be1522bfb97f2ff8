//! A list of values for each key.

use std::fmt;
use std::rc::Rc;

use super::ListSlots;
use crate::{StateError, StateValue, ValueRef};

/// A list of values for each key, in the order in which they were added.
pub struct ListState<V: StateValue> {
    slots: Rc<dyn ListSlots<V>>,
}

impl<V: StateValue> ListState<V> {
    pub(crate) fn new(slots: Rc<dyn ListSlots<V>>) -> Self {
        Self { slots }
    }

    /// Adds a value at the end. What is in the list already is neither read nor copied.
    pub fn add(&self, value: V) -> Result<(), StateError> {
        self.slots.add(value)
    }

    /// A copy of all values.
    pub fn get(&self) -> Result<Vec<V>, StateError> {
        let mut values = Vec::new();
        self.slots.visit(&mut |value| values.push(value.to_value()))?;
        Ok(values)
    }

    /// Shows the values where they lie, in order, without copying them.
    ///
    /// # Panics
    ///
    /// When `show` writes to the same state.
    pub fn for_each(&self, mut show: impl FnMut(ValueRef<'_, V>)) -> Result<(), StateError> {
        self.slots.visit(&mut show)
    }

    /// Replaces all values.
    pub fn update(&self, values: Vec<V>) -> Result<(), StateError> {
        self.slots.replace(values)
    }

    /// Removes all values.
    pub fn clear(&self) -> Result<(), StateError> {
        self.slots.replace(Vec::new())
    }
}

impl<V: StateValue> Clone for ListState<V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<V: StateValue> fmt::Debug for ListState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListState").finish_non_exhaustive()
    }
}
