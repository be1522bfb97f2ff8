//! State handles: what an operator's function holds. Each sees the state of the current key.

mod folding;
mod list;
mod map;
mod value;

pub use folding::{AggregatingState, ReducingState};
pub use list::ListState;
pub use map::MapState;
pub use value::ValueState;

use crate::{StateError, StateValue, ValueRef};

/// The value of the current key in some table.
pub(crate) trait ValueSlots<V: StateValue> {
    fn get(&self) -> Result<Option<V>, StateError>;

    fn read(&self, show: &mut dyn FnMut(Option<ValueRef<'_, V>>)) -> Result<(), StateError>;

    fn put(&self, value: V) -> Result<(), StateError>;

    /// Lets `change` put, replace or take the value; `None` afterwards means no state.
    fn update(&self, change: &mut dyn FnMut(&mut Option<V>)) -> Result<(), StateError>;

    fn clear(&self) -> Result<(), StateError>;
}

/// The list of the current key in some table.
pub(crate) trait ListSlots<V: StateValue> {
    fn visit(&self, show: &mut dyn FnMut(ValueRef<'_, V>)) -> Result<(), StateError>;

    fn add(&self, value: V) -> Result<(), StateError>;

    fn replace(&self, values: Vec<V>) -> Result<(), StateError>;
}

/// The map of the current key in some table.
pub(crate) trait MapSlots<N, V: StateValue> {
    fn read(
        &self,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError>;

    fn put(&self, name: N, value: V) -> Result<(), StateError>;

    fn remove(&self, name: &N) -> Result<Option<V>, StateError>;

    /// Ascending by the canonical bytes of the names.
    fn visit(&self, show: &mut dyn FnMut(&N, ValueRef<'_, V>)) -> Result<(), StateError>;

    fn clear(&self) -> Result<(), StateError>;
}
