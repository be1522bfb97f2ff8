//! Layered tables: an overlay of native values over frozen overlays over a backend's files.
//!
//! Invariants:
//! - the newest layer that says something of a key is right: overlay, frozen ones from the newest
//!   to the oldest, base;
//! - a frozen overlay and the base never change; what the base has of frozen overlays it has of the
//!   oldest of them;
//! - reading copies nothing that is archived; writing copies what is under one key at most.

mod batch;
mod entries;
mod list;
mod map;
mod overlay;
mod timers;
mod value;

pub(crate) use list::ListDelta;
pub(crate) use map::MapDelta;
pub(crate) use timers::LayeredTimers;
pub(crate) use value::ValueDelta;

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, RegisteredState, StateKey};

use self::batch::Batch;
use self::overlay::{Overlay, canonical};
use crate::backend::{Acceptance, Entry};
use crate::layer::{BaseVisitor, FrozenOverlay, KeyAt, LayerEntry, LayeredTable, StateBase};
use crate::schema::Schema;
use crate::slot::{Decode, ItemReader};
use crate::table::{Placed, StateKeys};
use crate::ttl::Clock;
use crate::value::Encoder;
use crate::{StateError, StateValue};

/// What an overlay keeps under one key.
pub(crate) trait Delta: Send + Sync + Sized + 'static {
    /// What it has one or many of.
    type Value: StateValue;

    /// All that a key has, so that nothing older counts; `None` when the items are not those of
    /// this state.
    fn read(items: ItemReader<'_>, decode: &Decode<Self::Value>) -> Option<Self>;

    /// Gives the changes in the order of a file. `epoch` is that of the freeze; values stamped up to
    /// `stale` have expired and are not given.
    fn write(
        &self,
        epoch: u64,
        stale: Option<i64>,
        write: &mut entries::KeyWriter<'_, '_>,
    ) -> Result<(), StateError>;

    /// Whether there is always one entry under a key, which [`encode`](Self::encode) gives.
    const IS_FLAT: bool = false;

    /// Appends the value under the key, unless what there is is its removal: then `false`.
    fn encode(&self, stale: Option<i64>, encoder: &mut Encoder<'_>) -> bool {
        let _ = (stale, encoder);
        unreachable!("what has many entries is written one by one")
    }

    /// The memory of what is behind one of these, in bytes, beyond the row itself.
    fn unit_bytes() -> usize;
}

pub(crate) struct Layered<K, D: Delta> {
    schema: Schema<D::Value>,
    max_parallelism: MaxParallelism,
    clock: Option<Clock>,
    overlay: Overlay<K, D>,
    /// Oldest first.
    frozen: Vec<Arc<Frozen<K, D>>>,
    base: Arc<dyn StateBase>,
    has_base: bool,
    scratch: Cell<Vec<u8>>,
    meter: Meter,
}

impl<K: StateKey, D: Delta> Layered<K, D> {
    pub(crate) fn new(
        schema: Schema<D::Value>,
        range: KeyGroupRange,
        max_parallelism: MaxParallelism,
        clock: Option<Clock>,
    ) -> Self {
        Self {
            schema,
            max_parallelism,
            clock,
            overlay: Overlay::new(range),
            frozen: Vec::new(),
            base: Arc::new(Nothing),
            has_base: false,
            scratch: Cell::default(),
            meter: Meter::default(),
        }
    }

    fn set_base(&mut self, base: Arc<dyn StateBase>) {
        self.has_base = !base.is_empty();
        self.base = base;
    }

    /// Whether there is nothing below the overlay that a deletion would have to hide.
    fn is_bottom(&self) -> bool {
        !self.has_base && self.frozen.is_empty()
    }

    /// What the frozen overlays say of a key, newest first.
    fn frozen(&self, at: &Placed<K>) -> impl Iterator<Item = &D> {
        self.frozen.iter().rev().filter_map(move |frozen| frozen.overlay.find(at))
    }

    /// Asks the base, if there is one.
    fn in_base<'s, R: Default>(
        &'s self,
        at: &Placed<K>,
        ask: impl FnOnce(&'s dyn StateBase, KeyAt<'_>) -> Result<R, StateError>,
    ) -> Result<R, StateError> {
        if !self.has_base {
            return Ok(R::default());
        }
        let mut bytes = self.scratch.take();
        bytes.clear();
        at.key.encode_key(&mut bytes);
        let found = ask(&*self.base, KeyAt { group: at.group, hash: at.hash, bytes: &bytes });
        self.scratch.set(bytes);
        found
    }

    fn no_value(&self, bytes: &[u8]) -> StateError {
        self.schema.labels.value_error(bytes.len())
    }

    fn view<'b, V: StateValue>(&self, bytes: &'b [u8]) -> Result<V::View<'b>, StateError> {
        V::view(bytes).ok_or_else(|| self.no_value(bytes))
    }

    /// The keys of a key group of which any layer says something, ascending by hash and bytes.
    fn mentioned(&self, group: KeyGroup) -> Result<Vec<Placed<K>>, StateError> {
        let mut keys = BTreeSet::new();
        let overlays = self.frozen.iter().map(|frozen| &frozen.overlay).chain([&self.overlay]);
        for row in overlays.flat_map(|overlay| overlay.near(group)) {
            if self.max_parallelism.key_group_of(row.hash) == group {
                keys.insert((row.hash, canonical(&row.key)));
            }
        }
        let mut last: Option<(KeyHash, &[u8])> = None;
        self.base.entries(group, &mut |hash, key, _, _| {
            if last.replace((hash, key)) != Some((hash, key)) {
                keys.insert((hash, key.to_vec()));
            }
            Ok(())
        })?;
        let placed = |(hash, bytes): (KeyHash, Vec<u8>)| {
            Ok(Placed { key: self.schema.labels.key(&bytes)?, hash, group })
        };
        keys.into_iter().map(placed).collect()
    }
}

/// Whether there is something under a key: each kind of state finds out in its own way.
trait IsLive<K> {
    fn is_live(&self, at: &Placed<K>) -> Result<bool, StateError>;
}

impl<K: StateKey, D: Delta> StateKeys<K> for Layered<K, D>
where
    Self: IsLive<K>,
{
    fn keys_of(&self, group: KeyGroup) -> Result<Vec<K>, StateError> {
        let mut keys = Vec::new();
        for at in self.mentioned(group)? {
            if self.is_live(&at)? {
                keys.push(at.key);
            }
        }
        Ok(keys)
    }
}

impl<K: StateKey, D: Delta> LayeredTable for Layered<K, D> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.schema.accept(found)
    }

    fn restore(&mut self, base: Arc<dyn StateBase>) {
        self.set_base(base);
    }

    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        let at = Placed { key: self.schema.labels.key(entry.key)?, hash: entry.hash, group };
        let items = ItemReader::new(entry.items, entry.count);
        let delta = items.and_then(|items| D::read(items, &*self.schema.decode));
        let delta = delta.ok_or_else(|| self.no_value(entry.items))?;
        self.overlay.remove(&at);
        self.overlay.insert(&at, delta);
        Ok(())
    }

    fn freeze(&mut self, epoch: u64) -> Option<Arc<dyn FrozenOverlay>> {
        if self.overlay.is_empty() {
            return None;
        }
        self.meter.reset();
        let stale = self.clock.as_ref().map(Clock::stale);
        let frozen = Arc::new(Frozen { epoch, stale, overlay: self.overlay.take() });
        self.frozen.push(Arc::clone(&frozen));
        Some(frozen)
    }

    fn rebase(&mut self, base: Arc<dyn StateBase>, epoch: u64) -> Vec<Box<dyn Any + Send>> {
        self.set_base(base);
        let done = self.frozen.iter().take_while(|frozen| frozen.epoch <= epoch).count();
        let done = self.frozen.drain(..done);
        done.map(|frozen| Box::new(frozen) as Box<dyn Any + Send>).collect()
    }

    fn overlay_bytes(&self) -> u64 {
        let rows = self.overlay.len() * (size_of::<overlay::Row<K, D>>() + 1);
        // A table of hashbrown is between 7/16 and 7/8 full.
        (rows + rows / 2) as u64 + self.meter.bytes(D::unit_bytes())
    }
}

struct Frozen<K, D> {
    epoch: u64,
    stale: Option<i64>,
    overlay: Overlay<K, D>,
}

impl<K: StateKey, D: Delta> FrozenOverlay for Frozen<K, D> {
    fn write(
        &self,
        write: &mut dyn FnMut(LayerEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut batch = Batch::new(self.epoch, self.stale);
        self.overlay.shards().try_for_each(|shard| batch.write(shard, write))
    }
}

/// Estimates what values take beyond their rows, by measuring one in 64.
#[derive(Debug, Default)]
struct Meter {
    units: u64,
    countdown: u8,
    sampled: u64,
    extra: u64,
    buffer: Vec<u8>,
}

impl Meter {
    const EVERY: u8 = 64;

    /// A value was written; `is_new` unless it took the place of one of the same overlay.
    #[inline]
    fn wrote<V: StateValue>(&mut self, value: &V, is_new: bool) {
        self.units += u64::from(is_new);
        if self.countdown == 0 {
            self.measure(value);
        }
        self.countdown -= 1;
    }

    #[cold]
    #[inline(never)]
    fn measure<V: StateValue>(&mut self, value: &V) {
        self.countdown = Self::EVERY;
        self.buffer.clear();
        value.encode_value(&mut self.buffer);
        self.sampled += 1;
        self.extra += self.buffer.len().saturating_sub(V::archived_size()) as u64;
    }

    fn bytes(&self, each: usize) -> u64 {
        let extra = self.extra / self.sampled.max(1);
        self.units.saturating_mul(each as u64 + extra)
    }

    fn reset(&mut self) {
        // What was measured is worth keeping: the next values are like the last.
        self.units = 0;
    }
}

/// A base without anything.
#[derive(Debug)]
struct Nothing;

impl StateBase for Nothing {
    fn is_empty(&self) -> bool {
        true
    }

    fn get(&self, _: KeyAt<'_>) -> Result<Option<&[u8]>, StateError> {
        Ok(None)
    }

    fn get_entry(&self, _: KeyAt<'_>, _: &[u8]) -> Result<Option<&[u8]>, StateError> {
        Ok(None)
    }

    fn entries_of_key<'a>(
        &'a self,
        _: KeyAt<'_>,
        _: &mut dyn FnMut(&'a [u8], &'a [u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        Ok(())
    }

    fn entries<'a>(&'a self, _: KeyGroup, _: &mut BaseVisitor<'a, '_>) -> Result<(), StateError> {
        Ok(())
    }

    fn has_timer(&self, _: i64, _: KeyAt<'_>) -> Result<bool, StateError> {
        Ok(false)
    }

    fn timers(
        &self,
        _: KeyGroup,
        _: i64,
        _: &mut dyn FnMut(i64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        Ok(())
    }
}
