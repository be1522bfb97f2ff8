//! One value for each key.

use std::fmt;
use std::rc::Rc;

use super::{Slots, modify, read};
use crate::slot::ValueSlot;
use crate::{StateError, StateValue};

/// One value for each key. Cheap to clone; clones see the same state.
pub struct ValueState<V> {
    slots: Rc<dyn Slots<ValueSlot<V>>>,
}

impl<V: StateValue> ValueState<V> {
    pub(crate) fn new(slots: Rc<dyn Slots<ValueSlot<V>>>) -> Self {
        Self { slots }
    }

    /// A copy of the value, if there is one.
    pub fn get(&self) -> Result<Option<V>, StateError> {
        self.read(|value: Option<&V>| value.cloned())
    }

    /// Shows the value in place, without copying it.
    pub fn read<R>(&self, show: impl FnOnce(Option<&V>) -> R) -> Result<R, StateError> {
        read(&*self.slots, |slot| show(slot.map(|slot| &slot.0)))
    }

    /// Sets the value.
    pub fn put(&self, value: V) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = Some(ValueSlot(value)))
    }

    /// Changes the value in place; what `change` leaves as `None` is cleared.
    pub fn update<R>(&self, change: impl FnOnce(&mut Option<V>) -> R) -> Result<R, StateError> {
        modify(&*self.slots, |slot| {
            let mut value = slot.take().map(|slot| slot.0);
            let result = change(&mut value);
            *slot = value.map(ValueSlot);
            result
        })
    }

    /// Removes the value.
    pub fn clear(&self) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = None)
    }
}

impl<V> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<V> fmt::Debug for ValueState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueState").finish_non_exhaustive()
    }
}
