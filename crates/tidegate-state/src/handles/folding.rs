//! States that fold what is added into one value: reducing and aggregating.

use std::fmt;
use std::rc::Rc;

use super::{Slots, modify, read};
use crate::slot::ValueSlot;
use crate::{AggregateFunction, StateError, StateValue};

/// One value for each key, into which additions are folded by the descriptor's function.
pub struct ReducingState<V> {
    slots: Rc<dyn Slots<ValueSlot<V>>>,
    reduce: Rc<dyn Fn(V, V) -> V>,
}

impl<V: StateValue> ReducingState<V> {
    pub(crate) fn new(slots: Rc<dyn Slots<ValueSlot<V>>>, reduce: Rc<dyn Fn(V, V) -> V>) -> Self {
        Self { slots, reduce }
    }

    /// Folds a value in; the first one becomes the value.
    pub fn add(&self, value: V) -> Result<(), StateError> {
        modify(&*self.slots, |slot| {
            let folded = match slot.take() {
                Some(old) => (self.reduce)(old.0, value),
                None => value,
            };
            *slot = Some(ValueSlot(folded));
        })
    }

    /// A copy of the folded value, if anything was added.
    pub fn get(&self) -> Result<Option<V>, StateError> {
        read(&*self.slots, |slot| slot.map(|slot| slot.0.clone()))
    }

    /// Removes the value.
    pub fn clear(&self) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = None)
    }
}

impl<V> fmt::Debug for ReducingState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReducingState").finish_non_exhaustive()
    }
}

/// One accumulator for each key, to which inputs are added.
pub struct AggregatingState<A: AggregateFunction> {
    slots: Rc<dyn Slots<ValueSlot<A::Accumulator>>>,
    function: A,
}

impl<A: AggregateFunction> AggregatingState<A> {
    pub(crate) fn new(slots: Rc<dyn Slots<ValueSlot<A::Accumulator>>>, function: A) -> Self {
        Self { slots, function }
    }

    /// Adds an input.
    pub fn add(&self, input: A::Input) -> Result<(), StateError> {
        modify(&*self.slots, |slot| {
            let slot = slot.get_or_insert_with(|| ValueSlot(self.function.create()));
            self.function.add(&mut slot.0, input);
        })
    }

    /// The result of all inputs, if there was one.
    pub fn get(&self) -> Result<Option<A::Output>, StateError> {
        read(&*self.slots, |slot| slot.map(|slot| self.function.result(&slot.0)))
    }

    /// Removes the accumulator.
    pub fn clear(&self) -> Result<(), StateError> {
        modify(&*self.slots, |slot| *slot = None)
    }
}

impl<A: AggregateFunction> fmt::Debug for AggregatingState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatingState").finish_non_exhaustive()
    }
}
