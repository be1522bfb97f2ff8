//! Time to live: values that expire some time after they were written.
//!
//! A state with a time to live keeps stamped values; everything below the fronts in here sees just
//! values. No clock is read: whoever drives the operator sets the time
//! ([`KeyedState::set_time`](crate::KeyedState::set_time)).
//!
//! An expired value is removed when it is met, left out of snapshots, and dropped by compactions.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tidegate_types::StateKey;

use crate::handles::{ListSlots, MapSlots, ValueSlots};
use crate::layer::Expiry;
use crate::schema::Migration;
use crate::value::Encoder;
use crate::{StateError, StateValue, ValueRef};

/// How long the values of a state live.
///
/// ```
/// use std::time::Duration;
/// use tidegate_state::{StateTtlConfig, StateVisibility, UpdateType, ValueStateDescriptor};
///
/// let ttl = StateTtlConfig::new(Duration::from_secs(3600))
///     .update_type(UpdateType::OnReadAndWrite)
///     .visibility(StateVisibility::NeverReturnExpired);
/// let seen = ValueStateDescriptor::<u64>::new("seen").time_to_live(ttl);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateTtlConfig {
    pub(crate) ttl: Duration,
    pub(crate) update_type: UpdateType,
    pub(crate) visibility: StateVisibility,
}

/// What makes a value live on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpdateType {
    /// Writing it.
    #[default]
    OnCreateAndWrite,
    /// Writing or reading it. A read is then a write: it puts the value into the next snapshot.
    OnReadAndWrite,
}

/// What becomes of an expired value that has not been removed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StateVisibility {
    /// It is as if it were not there.
    #[default]
    NeverReturnExpired,
    /// It is still shown.
    ReturnExpiredIfNotCleanedUp,
}

impl StateTtlConfig {
    /// Values live for `ttl`, in steps of a millisecond, after they were last written.
    ///
    /// # Panics
    ///
    /// When it is below a millisecond.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        assert!(ttl >= Duration::from_millis(1), "a time to live is a millisecond or more");
        Self { ttl, update_type: UpdateType::default(), visibility: StateVisibility::default() }
    }

    /// What makes a value live on.
    #[must_use]
    pub fn update_type(mut self, update_type: UpdateType) -> Self {
        self.update_type = update_type;
        self
    }

    /// What becomes of an expired value that has not been removed yet.
    #[must_use]
    pub fn visibility(mut self, visibility: StateVisibility) -> Self {
        self.visibility = visibility;
        self
    }
}

/// The time as it was last set, and how long values live.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now_ms: Rc<Cell<i64>>,
    config: StateTtlConfig,
}

impl Clock {
    pub(crate) fn new(now_ms: Rc<Cell<i64>>, config: StateTtlConfig) -> Self {
        Self { now_ms, config }
    }

    fn ttl_ms(&self) -> i64 {
        i64::try_from(self.config.ttl.as_millis()).unwrap_or(i64::MAX)
    }

    /// Values stamped up to this have expired.
    pub(crate) fn stale(&self) -> i64 {
        self.now_ms.get().saturating_sub(self.ttl_ms())
    }

    pub(crate) fn expiry(&self, chunks: bool) -> Expiry {
        Expiry { ttl_ms: self.ttl_ms(), chunks }
    }

    fn stamp<V>(&self, value: V) -> Stamped<V> {
        Stamped { stamp_ms: self.now_ms.get(), value }
    }

    fn is_stale(&self, stamp_ms: i64) -> bool {
        stamp_ms <= self.stale()
    }

    fn is_shown(&self, stamp_ms: i64) -> bool {
        !self.is_stale(stamp_ms)
            || self.config.visibility == StateVisibility::ReturnExpiredIfNotCleanedUp
    }

    fn restamps(&self) -> bool {
        self.config.update_type == UpdateType::OnReadAndWrite
    }
}

/// A value with the time at which it was written, or last read. Archived: the stamp as
/// little-endian `i64`, then the value.
#[derive(Clone, Debug)]
pub(crate) struct Stamped<V> {
    stamp_ms: i64,
    value: V,
}

/// A stamped value in its archived form.
pub(crate) struct StampedView<'a, V: StateValue> {
    stamp_ms: i64,
    value: V::View<'a>,
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "deriving would ask for `V: Copy`")]
impl<V: StateValue> Clone for StampedView<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: StateValue> Copy for StampedView<'_, V> {}

impl<V: StateValue> StateValue for Stamped<V> {
    type View<'a> = StampedView<'a, V>;

    fn encode_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stamp_ms.to_le_bytes());
        self.value.encode_value(out);
    }

    fn encode_value_in(&self, encoder: &mut Encoder<'_>) {
        encoder.bytes().extend_from_slice(&self.stamp_ms.to_le_bytes());
        self.value.encode_value_in(encoder);
    }

    fn view(bytes: &[u8]) -> Option<StampedView<'_, V>> {
        let (stamp, value) = bytes.split_first_chunk()?;
        Some(StampedView { stamp_ms: i64::from_le_bytes(*stamp), value: V::view(value)? })
    }

    fn from_view(view: StampedView<'_, V>) -> Option<Self> {
        Some(Self { stamp_ms: view.stamp_ms, value: V::from_view(view.value)? })
    }

    fn decode_value(bytes: &[u8]) -> Option<Self> {
        let (stamp, value) = bytes.split_first_chunk()?;
        Some(Self { stamp_ms: i64::from_le_bytes(*stamp), value: V::decode_value(value)? })
    }

    fn archived_size() -> usize {
        STAMP + V::archived_size()
    }

    fn type_name() -> String {
        stamped_name(&V::type_name())
    }

    fn stamp_ms(&self) -> Option<i64> {
        Some(self.stamp_ms)
    }
}

impl<V: StateValue> Stamped<V> {
    /// A migration of stamped values: they keep their stamps.
    pub(crate) fn migration(inner: &Migration<V>) -> Migration<Self> {
        let decode = Rc::clone(&inner.decode);
        Migration {
            from_version: inner.from_version,
            value_type: stamped_name(&inner.value_type),
            archived_size: STAMP + inner.archived_size,
            decode: Rc::new(move |bytes| {
                let (stamp, value) = bytes.split_first_chunk::<STAMP>()?;
                Some(Self { stamp_ms: i64::from_le_bytes(*stamp), value: decode(value)? })
            }),
        }
    }
}

/// The length of a stamp in bytes.
const STAMP: usize = 8;

fn stamped_name(value_type: &str) -> String {
    format!("Stamped<{value_type}>")
}

fn stamp_of<V: StateValue>(value: &ValueRef<'_, Stamped<V>>) -> i64 {
    match value {
        ValueRef::Native(stamped) => stamped.stamp_ms,
        ValueRef::Archived(view) => view.stamp_ms,
    }
}

fn without_stamp<V: StateValue>(value: ValueRef<'_, Stamped<V>>) -> ValueRef<'_, V> {
    match value {
        ValueRef::Native(stamped) => ValueRef::Native(&stamped.value),
        ValueRef::Archived(view) => ValueRef::Archived(view.value),
    }
}

/// A state of stamped values, seen without their stamps.
pub(crate) struct Expiring<S: ?Sized> {
    pub(crate) slots: Rc<S>,
    pub(crate) clock: Clock,
}

impl<V: StateValue> Expiring<dyn ValueSlots<Stamped<V>>> {
    /// What is to be done after a value of this age was met.
    fn tend(&self, stamp_ms: Option<i64>) -> Result<(), StateError> {
        match stamp_ms {
            Some(stamp_ms) if self.clock.is_stale(stamp_ms) => self.slots.clear(),
            Some(stamp_ms) if self.clock.restamps() && stamp_ms != self.clock.now_ms.get() => {
                self.slots.update(&mut |slot| {
                    slot.iter_mut().for_each(|slot| slot.stamp_ms = self.clock.now_ms.get());
                })
            }
            _ => Ok(()),
        }
    }
}

impl<V: StateValue> ValueSlots<V> for Expiring<dyn ValueSlots<Stamped<V>>> {
    fn get(&self) -> Result<Option<V>, StateError> {
        let mut found = None;
        self.read(&mut |value| found = value.map(|value| value.to_value()))?;
        Ok(found)
    }

    fn read(&self, show: &mut dyn FnMut(Option<ValueRef<'_, V>>)) -> Result<(), StateError> {
        let mut met = None;
        self.slots.read(&mut |stamped| {
            met = stamped.as_ref().map(stamp_of);
            let shown = stamped.filter(|stamped| self.clock.is_shown(stamp_of(stamped)));
            show(shown.map(without_stamp));
        })?;
        self.tend(met)
    }

    fn put(&self, value: V) -> Result<(), StateError> {
        self.slots.put(self.clock.stamp(value))
    }

    fn update(&self, change: &mut dyn FnMut(&mut Option<V>)) -> Result<(), StateError> {
        self.slots.update(&mut |slot| {
            let old = slot.take().filter(|old| self.clock.is_shown(old.stamp_ms));
            let mut value = old.map(|old| old.value);
            change(&mut value);
            *slot = value.map(|value| self.clock.stamp(value));
        })
    }

    fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}

impl<V: StateValue> ListSlots<V> for Expiring<dyn ListSlots<Stamped<V>>> {
    fn visit(&self, show: &mut dyn FnMut(ValueRef<'_, V>)) -> Result<(), StateError> {
        let (mut stale, mut old) = (false, false);
        self.slots.visit(&mut |stamped| {
            let stamp_ms = stamp_of(&stamped);
            stale |= self.clock.is_stale(stamp_ms);
            old |= stamp_ms != self.clock.now_ms.get();
            if self.clock.is_shown(stamp_ms) {
                show(without_stamp(stamped));
            }
        })?;
        if stale || (old && self.clock.restamps()) {
            let mut kept = Vec::new();
            self.slots.visit(&mut |stamped| {
                if !self.clock.is_stale(stamp_of(&stamped)) {
                    let mut value = stamped.to_value();
                    if self.clock.restamps() {
                        value.stamp_ms = self.clock.now_ms.get();
                    }
                    kept.push(value);
                }
            })?;
            self.slots.replace(kept)?;
        }
        Ok(())
    }

    fn add(&self, value: V) -> Result<(), StateError> {
        self.slots.add(self.clock.stamp(value))
    }

    fn replace(&self, values: Vec<V>) -> Result<(), StateError> {
        self.slots.replace(values.into_iter().map(|value| self.clock.stamp(value)).collect())
    }
}

impl<N: StateKey, V: StateValue> MapSlots<N, V> for Expiring<dyn MapSlots<N, Stamped<V>>> {
    fn read(
        &self,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        let mut met: Option<Stamped<V>> = None;
        self.slots.read(name, &mut |stamped| {
            let needed = stamped.filter(|stamped| {
                let stamp_ms = stamp_of(stamped);
                let is_old = stamp_ms != self.clock.now_ms.get();
                self.clock.is_stale(stamp_ms) || (is_old && self.clock.restamps())
            });
            met = needed.map(|stamped| stamped.to_value());
            let shown = stamped.filter(|stamped| self.clock.is_shown(stamp_of(stamped)));
            show(shown.map(without_stamp));
        })?;
        match met {
            Some(met) if self.clock.is_stale(met.stamp_ms) => self.slots.remove(name).map(drop),
            Some(met) => self.slots.put(name.clone(), self.clock.stamp(met.value)),
            None => Ok(()),
        }
    }

    fn put(&self, name: N, value: V) -> Result<(), StateError> {
        self.slots.put(name, self.clock.stamp(value))
    }

    fn remove(&self, name: &N) -> Result<Option<V>, StateError> {
        let removed = self.slots.remove(name)?;
        let shown = removed.filter(|removed| self.clock.is_shown(removed.stamp_ms));
        Ok(shown.map(|removed| removed.value))
    }

    fn visit(&self, show: &mut dyn FnMut(&N, ValueRef<'_, V>)) -> Result<(), StateError> {
        let mut met: Vec<(N, Option<V>)> = Vec::new();
        self.slots.visit(&mut |name, stamped| {
            let stamp_ms = stamp_of(&stamped);
            if self.clock.is_stale(stamp_ms) {
                met.push((name.clone(), None));
            } else if self.clock.restamps() && stamp_ms != self.clock.now_ms.get() {
                met.push((name.clone(), Some(without_stamp(stamped).to_value())));
            }
            if self.clock.is_shown(stamp_ms) {
                show(name, without_stamp(stamped));
            }
        })?;
        for (name, value) in met {
            match value {
                Some(value) => self.slots.put(name, self.clock.stamp(value))?,
                None => drop(self.slots.remove(&name)?),
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), StateError> {
        self.slots.clear()
    }
}
