//! One value for each key, in layers.

use tidegate_types::StateKey;

use super::entries::KeyWriter;
use super::{Delta, IsLive, Layered};
use crate::layer::StateBase;
use crate::slot::{Decode, ItemReader};
use crate::table::{Placed, ValueTable};
use crate::{StateError, StateValue, ValueRef};

/// The key's value since the last freeze; `None` when it was removed.
pub(crate) struct ValueDelta<V>(Option<V>);

impl<V: StateValue> Delta for ValueDelta<V> {
    type Value = V;

    fn read(mut items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        let value = decode(items.next()?)?;
        items.next().is_none().then_some(Self(Some(value)))
    }

    fn write(
        &self,
        _: u64,
        stale: Option<i64>,
        write: &mut KeyWriter<'_, '_>,
    ) -> Result<(), StateError> {
        match &self.0 {
            Some(value) if value.stamp_ms() > stale || stale.is_none() => write.put(value),
            _ => write.delete(),
        }
    }

    fn unit_bytes() -> usize {
        0
    }
}

impl<K: StateKey, V: StateValue> Layered<K, ValueDelta<V>> {
    /// The value below the overlay.
    fn below(&self, at: &Placed<K>) -> Result<Option<ValueRef<'_, V>>, StateError> {
        if let Some(delta) = self.frozen(at).next() {
            return Ok(delta.0.as_ref().map(ValueRef::Native));
        }
        match self.in_base(at, StateBase::get)? {
            Some(bytes) => Ok(Some(ValueRef::Archived(self.view::<V>(bytes)?))),
            None => Ok(None),
        }
    }

    fn value(&self, at: &Placed<K>) -> Result<Option<ValueRef<'_, V>>, StateError> {
        match self.overlay.find(at) {
            Some(delta) => Ok(delta.0.as_ref().map(ValueRef::Native)),
            None => self.below(at),
        }
    }
}

impl<K: StateKey, V: StateValue> ValueTable<K, V> for Layered<K, ValueDelta<V>> {
    fn get(&self, at: &Placed<K>) -> Result<Option<V>, StateError> {
        Ok(self.value(at)?.map(|value| value.to_value()))
    }

    fn read(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        show(self.value(at)?);
        Ok(())
    }

    fn put(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        if let Some(delta) = self.overlay.find_mut(at) {
            self.meter.wrote(&value, false);
            delta.0 = Some(value);
        } else {
            self.meter.wrote(&value, true);
            self.overlay.insert(at, ValueDelta(Some(value)));
        }
        Ok(())
    }

    fn update(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError> {
        let is_bottom = self.is_bottom();
        if let Some(delta) = self.overlay.find_mut(at) {
            change(&mut delta.0);
            match &delta.0 {
                Some(value) => self.meter.wrote(value, false),
                None if is_bottom => self.overlay.remove(at),
                None => {}
            }
            return Ok(());
        }
        let mut value = self.below(at)?.map(|value| value.to_value());
        let was = value.is_some();
        change(&mut value);
        match &value {
            Some(value) => self.meter.wrote(value, true),
            None if !was => return Ok(()),
            None => {}
        }
        self.overlay.insert(at, ValueDelta(value));
        Ok(())
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        if self.is_bottom() {
            self.overlay.remove(at);
        } else if let Some(delta) = self.overlay.find_mut(at) {
            delta.0 = None;
        } else {
            self.overlay.insert(at, ValueDelta(None));
        }
        Ok(())
    }
}

impl<K: StateKey, V: StateValue> IsLive<K> for Layered<K, ValueDelta<V>> {
    fn is_live(&self, at: &Placed<K>) -> Result<bool, StateError> {
        Ok(self.value(at)?.is_some())
    }
}
