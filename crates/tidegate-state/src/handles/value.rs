//! One value for each key.

use std::fmt;
use std::rc::Rc;

use super::ValueSlots;
use crate::{StateError, StateValue, ValueRef};

/// One value for each key. Cheap to clone; clones see the same state.
pub struct ValueState<V: StateValue> {
    slots: Rc<dyn ValueSlots<V>>,
}

impl<V: StateValue> ValueState<V> {
    pub(crate) fn new(slots: Rc<dyn ValueSlots<V>>) -> Self {
        Self { slots }
    }

    /// A copy of the value, if there is one.
    #[inline]
    pub fn get(&self) -> Result<Option<V>, StateError> {
        self.slots.get()
    }

    /// Shows the value where it lies, without copying it.
    ///
    /// # Panics
    ///
    /// When `show` writes to the same state.
    #[inline]
    pub fn read<R>(
        &self,
        show: impl FnOnce(Option<ValueRef<'_, V>>) -> R,
    ) -> Result<R, StateError> {
        let (mut show, mut result) = (Some(show), None);
        self.slots.read(&mut |value| result = show.take().map(|show| show(value)))?;
        Ok(result.expect("a value is shown once"))
    }

    /// Sets the value.
    #[inline]
    pub fn put(&self, value: V) -> Result<(), StateError> {
        self.slots.put(value)
    }

    /// Changes the value in place; what `change` leaves as `None` is cleared. What lies in a file
    /// is copied first, once for each key and checkpoint.
    ///
    /// # Panics
    ///
    /// When `change` uses the same state.
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut Option<V>) -> R) -> Result<R, StateError> {
        let (mut change, mut result) = (Some(change), None);
        self.slots.update(&mut |slot| result = change.take().map(|change| change(slot)))?;
        Ok(result.expect("a value is changed once"))
    }

    /// Removes the value.
    pub fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}

impl<V: StateValue> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        Self { slots: Rc::clone(&self.slots) }
    }
}

impl<V: StateValue> fmt::Debug for ValueState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueState").finish_non_exhaustive()
    }
}
