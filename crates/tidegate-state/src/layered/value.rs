//! One value for each key, in layers.

use tidegate_types::StateKey;

use super::entries::KeyWriter;
use super::{Delta, IsLive, Layered};
use crate::layer::StateBase;
use crate::slot::{Decode, ItemReader};
use crate::table::{Placed, ValueTable};
use crate::value::Encoder;
use crate::{StateError, StateValue, ValueRef};

/// The key's value since the last freeze; `None` when it was removed.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct ValueDelta<V>(Option<V>);

#[cfg(test)]
impl<V> ValueDelta<V> {
    pub(crate) fn of(value: Option<V>) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> Option<&V> {
        self.0.as_ref()
    }
}

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

    const IS_FLAT: bool = true;

    #[inline]
    fn encode(&self, stale: Option<i64>, encoder: &mut Encoder<'_>) -> bool {
        match &self.0 {
            Some(value) if stale.is_none() || value.stamp_ms() > stale => {
                value.encode_value_in(encoder);
                true
            }
            _ => false,
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

    /// A copy of the value below the overlay.
    #[inline(never)]
    fn copy_below(&self, at: &Placed<K>) -> Result<Option<V>, StateError> {
        Ok(self.below(at)?.map(|value| value.to_value()))
    }

    #[inline(never)]
    fn read_below(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        show(self.below(at)?);
        Ok(())
    }

    /// Sets the value of a key that the overlay has nothing of.
    #[inline(never)]
    fn put_new(&mut self, at: &Placed<K>, value: V) {
        self.meter.wrote(&value, true);
        self.overlay.insert(at, ValueDelta(Some(value)));
    }

    /// Changes the value of a key that the overlay has nothing of.
    #[inline(never)]
    fn update_below(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError> {
        let mut value = self.copy_below(at)?;
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
}

/// The overlay's part of each is inlined into the handle's call, and what lies below is not: the shorter the way
/// to a value in memory, the more such ways a processor goes at once.
impl<K: StateKey, V: StateValue> ValueTable<K, V> for Layered<K, ValueDelta<V>> {
    #[inline]
    fn get(&self, at: &Placed<K>) -> Result<Option<V>, StateError> {
        match self.overlay.find(at) {
            Some(delta) => Ok(delta.0.clone()),
            None => self.copy_below(at),
        }
    }

    #[inline]
    fn read(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        if let Some(delta) = self.overlay.find(at) {
            show(delta.0.as_ref().map(ValueRef::Native));
            return Ok(());
        }
        self.read_below(at, show)
    }

    #[inline]
    fn put(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        match self.overlay.find_mut(at) {
            Some(delta) => {
                self.meter.wrote(&value, false);
                delta.0 = Some(value);
            }
            None => self.put_new(at, value),
        }
        Ok(())
    }

    #[inline]
    fn update(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError> {
        match self.overlay.find_mut(at) {
            Some(delta) => {
                change(&mut delta.0);
                if let Some(value) = &delta.0 {
                    self.meter.wrote(value, false);
                    return Ok(());
                }
            }
            None => return self.update_below(at, change),
        }
        if self.is_bottom() {
            self.overlay.remove(at);
        }
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
