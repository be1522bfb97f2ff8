//! States that fold what is added into one value: reducing and aggregating.

use std::fmt;
use std::rc::Rc;

use super::ValueSlots;
use crate::{AggregateFunction, StateError, StateValue, ValueRef};

/// One value for each key, into which additions are folded by the descriptor's function.
pub struct ReducingState<V: StateValue> {
    slots: Rc<dyn ValueSlots<V>>,
    reduce: Rc<dyn Fn(V, V) -> V>,
}

impl<V: StateValue> ReducingState<V> {
    pub(crate) fn new(slots: Rc<dyn ValueSlots<V>>, reduce: Rc<dyn Fn(V, V) -> V>) -> Self {
        Self { slots, reduce }
    }

    /// Folds a value in; the first one becomes the value.
    ///
    /// # Panics
    ///
    /// When the descriptor's function uses the same state.
    pub fn add(&self, value: V) -> Result<(), StateError> {
        let mut added = Some(value);
        self.slots.update(&mut |slot| {
            let added = added.take().expect("a value is changed once");
            *slot = Some(match slot.take() {
                Some(old) => (self.reduce)(old, added),
                None => added,
            });
        })
    }

    /// A copy of the folded value, if anything was added.
    pub fn get(&self) -> Result<Option<V>, StateError> {
        self.slots.get()
    }

    /// Removes the value.
    pub fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}

impl<V: StateValue> fmt::Debug for ReducingState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReducingState").finish_non_exhaustive()
    }
}

/// One accumulator for each key, to which inputs are added.
pub struct AggregatingState<A: AggregateFunction> {
    slots: Rc<dyn ValueSlots<A::Accumulator>>,
    function: A,
}

impl<A: AggregateFunction> AggregatingState<A> {
    pub(crate) fn new(slots: Rc<dyn ValueSlots<A::Accumulator>>, function: A) -> Self {
        Self { slots, function }
    }

    /// Adds an input.
    ///
    /// # Panics
    ///
    /// When the descriptor's function uses the same state.
    pub fn add(&self, input: A::Input) -> Result<(), StateError> {
        let mut input = Some(input);
        self.slots.update(&mut |slot| {
            let input = input.take().expect("a value is changed once");
            self.function.add(slot.get_or_insert_with(|| self.function.create()), input);
        })
    }

    /// The result of all inputs, if there was one.
    pub fn get(&self) -> Result<Option<A::Output>, StateError> {
        let mut result = None;
        self.slots.read(&mut |value| {
            result = value.map(|value| match value {
                ValueRef::Native(accumulator) => self.function.result(accumulator),
                archived @ ValueRef::Archived(_) => self.function.result(&archived.to_value()),
            });
        })?;
        Ok(result)
    }

    /// Removes the accumulator.
    pub fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}

impl<A: AggregateFunction> fmt::Debug for AggregatingState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatingState").finish_non_exhaustive()
    }
}
