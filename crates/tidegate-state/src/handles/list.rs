//! A list of values for each key.

use std::fmt;
use std::rc::Rc;

use super::{Slots, modify, read};
use crate::slot::ListSlot;
use crate::{StateError, StateValue};

/// A list of values for each key, in the order in which they were added.
pub struct ListState<V> {
    slots: Rc<dyn Slots<ListSlot<V>>>,
}

impl<V: StateValue> ListState<V> {
    pub(crate) fn new(slots: Rc<dyn Slots<ListSlot<V>>>) -> Self {
        Self { slots }
    }

    /// Adds a value at the end.
    pub fn add(&self, value: V) -> Result<(), StateError> {
        modify(&*self.slots, |slot| match slot {
            Some(list) => list.0.push(value),
            None => *slot = Some(ListSlot(vec![value])),
        })
    }

    /// A copy of all values.
    pub fn get(&self) -> Result<Vec<V>, StateError> {
        self.read(<[V]>::to_vec)
    }

    /// Shows the values in place; empty when there are none.
    pub fn read<R>(&self, show: impl FnOnce(&[V]) -> R) -> Result<R, StateError> {
        read(&*self.slots, |slot| show(slot.map_or(&[], |list| &list.0)))
    }

    /// Replaces all values.
    pub fn update(&self, values: Vec<V>) -> Result<(), StateError> {
        modify(&*self.slots, |slot| {
            *slot = if values.is_empty() { None } else { Some(ListSlot(values)) };
        })
    }

    /// Removes all values.
    pub fn clear(&self) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = None)
    }
}

impl<V> Clone for ListState<V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<V> fmt::Debug for ListState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListState").finish_non_exhaustive()
    }
}
