//! State handles: what an operator's function holds. Each sees the state of the current key.

mod folding;
mod list;
mod map;
mod value;

pub use folding::{AggregatingState, ReducingState};
pub use list::ListState;
pub use map::MapState;
pub use value::ValueState;

use crate::StateError;

/// The slot of the current key in some table.
pub(crate) trait Slots<S> {
    fn read(&self, show: &mut dyn FnMut(Option<&S>)) -> Result<(), StateError>;

    /// Lets `change` put, replace or take the slot; `None` afterwards means no state.
    fn modify(&self, change: &mut dyn FnMut(&mut Option<S>)) -> Result<(), StateError>;
}

/// The result of reading a slot once.
pub(crate) fn read<S, R>(
    slots: &dyn Slots<S>,
    show: impl FnOnce(Option<&S>) -> R,
) -> Result<R, StateError> {
    let (mut show, mut result) = (Some(show), None);
    slots.read(&mut |slot| result = show.take().map(|show| show(slot)))?;
    Ok(result.expect("a slot is shown once"))
}

/// The result of changing a slot once.
pub(crate) fn modify<S, R>(
    slots: &dyn Slots<S>,
    change: impl FnOnce(&mut Option<S>) -> R,
) -> Result<R, StateError> {
    let (mut change, mut result) = (Some(change), None);
    slots.modify(&mut |slot| result = change.take().map(|change| change(slot)))?;
    Ok(result.expect("a slot is changed once"))
}
