//! Operator state: named lists of items that belong to a subtask and not to a key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{
    Distribution, ListStateHandle, OperatorUid, RegisteredState, StateHandle, StateKind,
};

use crate::descriptor::described;
use crate::{StateError, StateValue};

/// The operator state of one subtask: lists by name, each dealt out anew on restore.
///
/// ```
/// use tidegate_state::OperatorStateStore;
/// use tidegate_types::{Distribution, OperatorUid};
///
/// let mut store = OperatorStateStore::new(OperatorUid::new("read gauges")?);
/// let splits = store.list::<(String, u64)>("splits", Distribution::Split)?;
/// splits.add(("gauge-1.csv".to_owned(), 4096));
///
/// let (handles, registered) = store.snapshot();
/// assert_eq!((&*handles[0].name, &*registered[0].types), ("splits", "(String, u64)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OperatorStateStore {
    operator: OperatorUid,
    restored: BTreeMap<Arc<str>, Vec<Vec<u8>>>,
    lists: Vec<(RegisteredState, Distribution, Box<dyn ItemList>)>,
}

impl OperatorStateStore {
    /// Without state.
    #[must_use]
    pub fn new(operator: OperatorUid) -> Self {
        Self { operator, restored: BTreeMap::new(), lists: Vec::new() }
    }

    /// Adds items that this subtask gets of a restored list, before the list is registered.
    pub fn restore(&mut self, name: &str, items: impl IntoIterator<Item = Vec<u8>>) {
        self.restored.entry(name.into()).or_default().extend(items);
    }

    /// Registers a list, filled with what was restored under its name.
    pub fn list<V: StateValue>(
        &mut self,
        name: &str,
        distribution: Distribution,
    ) -> Result<OperatorListState<V>, StateError> {
        let (operator, state) = (&self.operator, Arc::from(name));
        if self.lists.iter().any(|(registered, ..)| registered.name == state) {
            return Err(StateError::DuplicateName { operator: operator.clone(), state });
        }
        let restored = self.restored.remove(&state).unwrap_or_default();
        let decode = |item: Vec<u8>| {
            V::decode_value(&item).ok_or_else(|| StateError::Value {
                operator: operator.clone(),
                state: Arc::clone(&state),
                length: item.len(),
                types: V::type_name().into(),
            })
        };
        let items = restored.into_iter().map(decode).collect::<Result<Vec<V>, _>>()?;
        let list = OperatorListState { items: Rc::new(RefCell::new(items)) };
        let (kind, types, size) = (StateKind::OperatorList, V::type_name(), V::archived_size());
        let registered = described(&state, kind, 0, &types, size);
        self.lists.push((registered, distribution, Box::new(list.clone())));
        Ok(list)
    }

    /// The lists as they are now, encoded. Operator state is small: it goes into the metadata.
    #[must_use]
    pub fn snapshot(&self) -> (Vec<ListStateHandle>, Vec<RegisteredState>) {
        let handle = |(state, distribution, list): &(RegisteredState, _, Box<dyn ItemList>)| {
            (list_handle(&state.name, *distribution, &list.encode()), state.clone())
        };
        self.lists.iter().map(handle).unzip()
    }
}

impl fmt::Debug for OperatorStateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorStateStore")
            .field("operator", &self.operator)
            .finish_non_exhaustive()
    }
}

/// A registered list. Clones see the same items.
#[derive(Debug)]
pub struct OperatorListState<V> {
    items: Rc<RefCell<Vec<V>>>,
}

impl<V> Clone for OperatorListState<V> {
    fn clone(&self) -> Self {
        Self { items: Rc::clone(&self.items) }
    }
}

impl<V: StateValue> OperatorListState<V> {
    /// A copy of all items.
    #[must_use]
    pub fn get(&self) -> Vec<V> {
        self.items.borrow().clone()
    }

    /// Adds an item at the end.
    pub fn add(&self, item: V) {
        self.items.borrow_mut().push(item);
    }

    /// Replaces all items.
    pub fn update(&self, items: Vec<V>) {
        *self.items.borrow_mut() = items;
    }

    /// Removes all items.
    pub fn clear(&self) {
        self.items.borrow_mut().clear();
    }
}

trait ItemList {
    fn encode(&self) -> Vec<Vec<u8>>;
}

impl<V: StateValue> ItemList for OperatorListState<V> {
    fn encode(&self) -> Vec<Vec<u8>> {
        let encode = |item: &V| {
            let mut bytes = Vec::new();
            item.encode_value(&mut bytes);
            bytes
        };
        self.items.borrow().iter().map(encode).collect()
    }
}

/// A list whose items lie in the metadata itself.
///
/// # Panics
///
/// When an item has 4 GiB or more.
#[must_use]
pub fn list_handle(name: &str, distribution: Distribution, items: &[Vec<u8>]) -> ListStateHandle {
    let length = |item: &Vec<u8>| u32::try_from(item.len()).expect("an item is below 4 GiB");
    ListStateHandle {
        name: name.into(),
        distribution,
        item_lengths: items.iter().map(length).collect(),
        items: StateHandle::Inline(Arc::from(items.concat())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was() {
        let uid = OperatorUid::new("tide").unwrap();
        let mut store = OperatorStateStore::new(uid.clone());
        let list = store.list::<String>("names", Distribution::Union).unwrap();
        list.update(vec!["ebb".to_owned()]);
        list.add("flood".to_owned());
        let (handles, _) = store.snapshot();
        let StateHandle::Inline(bytes) = &handles[0].items else { panic!("not inline") };
        let (first, second) = bytes.split_at(handles[0].item_lengths[0] as usize);

        let mut store = OperatorStateStore::new(uid);
        store.restore("names", [first.to_vec(), second.to_vec()]);
        let list = store.list::<String>("names", Distribution::Union).unwrap();
        assert_eq!(list.get(), ["ebb", "flood"]);
        assert!(matches!(
            store.list::<u8>("names", Distribution::Split),
            Err(StateError::DuplicateName { .. })
        ));
    }

    #[test]
    fn items_of_another_type_are_refused() {
        let mut store = OperatorStateStore::new(OperatorUid::new("tide").unwrap());
        store.restore("numbers", [vec![1, 2, 3]]);
        let error = store.list::<u64>("numbers", Distribution::Split).unwrap_err();
        assert!(matches!(error, StateError::Value { length: 3, .. }), "{error}");
    }
}
