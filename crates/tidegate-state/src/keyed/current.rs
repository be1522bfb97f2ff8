//! Tables as the handles see them: what is under the current key.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyGroupRange, StateKey};

use crate::handles::{ListSlots, MapSlots, ValueSlots};
use crate::schema::Labels;
use crate::table::{ListTable, MapTable, Placed, ValueTable};
use crate::{StateError, StateValue, ValueRef};

pub(super) type Current<K> = Rc<RefCell<Option<Placed<K>>>>;

/// A table and the current key.
pub(super) struct OfCurrentKey<K, T> {
    pub(super) table: Rc<RefCell<T>>,
    pub(super) current: Current<K>,
    pub(super) labels: Labels,
}

/// A key came to a subtask that has not got its key group.
#[cold]
#[inline(never)]
pub(super) fn misplaced<K: StateKey>(key: &K, group: KeyGroup, range: KeyGroupRange) -> ! {
    panic!("key {key:?} of key group {group} came to the subtask with {range}")
}

impl<K: StateKey, T> OfCurrentKey<K, T> {
    #[inline]
    fn current(&self) -> Result<Ref<'_, Placed<K>>, StateError> {
        Ref::filter_map(self.current.borrow(), Option::as_ref).map_err(|_| no_key(&self.labels))
    }
}

#[cold]
#[inline(never)]
fn no_key(labels: &Labels) -> StateError {
    let Labels { operator, registered } = labels;
    StateError::NoCurrentKey { operator: operator.clone(), state: Arc::clone(&registered.name) }
}

/// Gives the current key to an expression, or returns [`StateError::NoCurrentKey`].
macro_rules! at_current {
    ($slots:expr, $at:ident => $use:expr) => {{
        let current = $slots.current.borrow();
        let Some($at) = current.as_ref() else { return Err(no_key(&$slots.labels)) };
        $use
    }};
}

impl<K: StateKey, V: StateValue, T: ValueTable<K, V>> ValueSlots<V> for OfCurrentKey<K, T> {
    fn get(&self) -> Result<Option<V>, StateError> {
        at_current!(self, at => self.table.borrow().get(at))
    }

    fn read(&self, show: &mut dyn FnMut(Option<ValueRef<'_, V>>)) -> Result<(), StateError> {
        at_current!(self, at => self.table.borrow().read(at, show))
    }

    fn put(&self, value: V) -> Result<(), StateError> {
        at_current!(self, at => self.table.borrow_mut().put(at, value))
    }

    fn update(&self, change: &mut dyn FnMut(&mut Option<V>)) -> Result<(), StateError> {
        at_current!(self, at => self.table.borrow_mut().update(at, change))
    }

    fn clear(&self) -> Result<(), StateError> {
        at_current!(self, at => self.table.borrow_mut().clear(at))
    }
}

impl<K: StateKey, V: StateValue, T: ListTable<K, V>> ListSlots<V> for OfCurrentKey<K, T> {
    fn visit(&self, show: &mut dyn FnMut(ValueRef<'_, V>)) -> Result<(), StateError> {
        self.table.borrow().visit(&*self.current()?, show)
    }

    fn add(&self, value: V) -> Result<(), StateError> {
        self.table.borrow_mut().add(&*self.current()?, value)
    }

    fn replace(&self, values: Vec<V>) -> Result<(), StateError> {
        self.table.borrow_mut().replace(&*self.current()?, values)
    }
}

impl<K, N, V, T> MapSlots<N, V> for OfCurrentKey<K, T>
where
    K: StateKey,
    N: StateKey,
    V: StateValue,
    T: MapTable<K, N, V>,
{
    fn read(
        &self,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        self.table.borrow().read(&*self.current()?, name, show)
    }

    fn put(&self, name: N, value: V) -> Result<(), StateError> {
        self.table.borrow_mut().put(&*self.current()?, name, value)
    }

    fn remove(&self, name: &N) -> Result<Option<V>, StateError> {
        self.table.borrow_mut().remove(&*self.current()?, name)
    }

    fn visit(&self, show: &mut dyn FnMut(&N, ValueRef<'_, V>)) -> Result<(), StateError> {
        self.table.borrow().visit(&*self.current()?, show)
    }

    fn clear(&self) -> Result<(), StateError> {
        self.table.borrow_mut().clear(&*self.current()?)
    }
}
