//! The contract between layered tables and a backend that keeps what is below their overlays.
//!
//! ```text
//! overlay (native, mutable)              this crate
//! frozen overlays (native, immutable)    this crate; the backend writes them to files
//! base (bytes, immutable)                the backend: what its files hold of the state
//! ```
//!
//! A backend whose state need not fit into memory gives out [`LayeredBackend`]; it still sees no
//! Rust type: what it gets of a frozen overlay are entries of canonical bytes.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyHash, RegisteredState};

use crate::StateError;
use crate::backend::{Acceptance, Entry};

/// The part of a backend that layered tables are registered with.
pub trait LayeredBackend {
    /// Takes on a state: hands its table what was restored under the state's name, and freezes it
    /// at every snapshot from now on.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when the table does not accept what was restored.
    fn register_layered(
        &mut self,
        state: &RegisteredState,
        expiry: Option<Expiry>,
        table: Box<dyn LayeredTable>,
    ) -> Result<(), StateError>;
}

/// One state of one subtask as a backend with layers sees it.
pub trait LayeredTable {
    /// Says how what was restored under the table's name can be taken on; before any of it is.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when it is another kind or type, and nothing migrates it.
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError>;

    /// Takes what was restored as its base, before the first use.
    fn restore(&mut self, base: Arc<dyn StateBase>);

    /// Takes a restored entry into the overlay, where it hides what the base has of the key: for
    /// values that must be migrated.
    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError>;

    /// Puts an empty overlay on top and gives the one that was there, or `None` if it was empty.
    /// `epoch` is above that of every earlier freeze. Constant time.
    fn freeze(&mut self, epoch: u64) -> Option<Arc<dyn FrozenOverlay>>;

    /// From now on `base` holds everything that overlays frozen up to `epoch` do. Gives what is
    /// no longer needed, for somebody else to drop: that takes time.
    fn rebase(&mut self, base: Arc<dyn StateBase>, epoch: u64) -> Vec<Box<dyn Any + Send>>;

    /// An estimate of the memory of the overlay, frozen ones not counted, in bytes.
    fn overlay_bytes(&self) -> u64;
}

/// An overlay that is no longer written to.
pub trait FrozenOverlay: Send + Sync {
    /// Gives every entry: by key group, then by hash (of timers: by time), then by the key's bytes,
    /// then by the map key's, `Delete` first.
    fn write(
        &self,
        write: &mut dyn FnMut(LayerEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError>;
}

/// What has changed, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerEntry<'a> {
    /// A change of keyed state.
    Keyed {
        /// The hash of `key`.
        hash: KeyHash,
        /// The canonical bytes of the key.
        key: &'a [u8],
        /// What happened to it.
        change: LayerChange<'a>,
    },
    /// A change of timers.
    Timer {
        /// The time in milliseconds since the Unix epoch.
        time_ms: i64,
        /// The hash of `key`.
        hash: KeyHash,
        /// The canonical bytes of the key.
        key: &'a [u8],
        /// Whether the timer is gone.
        is_deleted: bool,
    },
}

/// What happened to a key.
///
/// A list is a map of chunks: its map keys are the big-endian `u64` numbers of the freezes that
/// wrote them, so that an append writes no more than what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerChange<'a> {
    /// It has this value.
    Put(&'a [u8]),
    /// It has no value; of a map or list: all entries of older layers are gone.
    Delete,
    /// Its map has this entry.
    PutEntry {
        /// The canonical bytes of the map's key.
        map_key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Its map has no such entry.
    DeleteEntry {
        /// The canonical bytes of the map's key.
        map_key: &'a [u8],
    },
}

/// A key as bytes, with what was computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAt<'a> {
    /// The key group of the key.
    pub group: KeyGroup,
    /// The hash of `bytes`.
    pub hash: KeyHash,
    /// The canonical bytes.
    pub bytes: &'a [u8],
}

/// What the files of a backend hold of one state: immutable, and already merged.
pub trait StateBase: Send + Sync + Debug {
    /// Whether nothing was ever in it. When in doubt it is not empty.
    fn is_empty(&self) -> bool;

    /// The value of a key.
    fn get(&self, at: KeyAt<'_>) -> Result<Option<&[u8]>, StateError>;

    /// One entry of a key's map.
    fn get_entry(&self, at: KeyAt<'_>, map_key: &[u8]) -> Result<Option<&[u8]>, StateError>;

    /// Shows the entries of a key's map, ascending by map key, as (map key, value).
    fn entries_of_key<'a>(
        &'a self,
        at: KeyAt<'_>,
        visit: &mut dyn FnMut(&'a [u8], &'a [u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError>;

    /// Shows every entry of a key group, ascending by hash, key and map key: as (hash, key, map
    /// key if the state has such, value).
    fn entries<'a>(
        &'a self,
        group: KeyGroup,
        visit: &mut BaseVisitor<'a, '_>,
    ) -> Result<(), StateError>;

    /// Whether there is a timer.
    fn has_timer(&self, time_ms: i64, at: KeyAt<'_>) -> Result<bool, StateError>;

    /// Shows the timers of a key group from a time on, ascending by time and key, until told to
    /// stop.
    fn timers(
        &self,
        group: KeyGroup,
        from_ms: i64,
        visit: &mut dyn FnMut(i64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StateError>;
}

/// What [`StateBase::entries`] shows entries to.
pub type BaseVisitor<'a, 'v> =
    dyn FnMut(KeyHash, &'a [u8], Option<&'a [u8]>, &'a [u8]) -> Result<(), StateError> + 'v;

/// When the values of a state expire: their archived form then begins with their stamp, the
/// milliseconds since the Unix epoch as little-endian `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// How long after its stamp a value lives, in milliseconds.
    pub ttl_ms: i64,
    /// Whether values are chunks of a list: items with their lengths in front.
    pub chunks: bool,
}

impl Expiry {
    /// Whether the value has expired at this time; a chunk has when all of its items have.
    #[must_use]
    pub fn is_expired(&self, value: &[u8], now_ms: i64) -> bool {
        let item = |item: &[u8]| {
            let stamp = item.first_chunk().map(|stamp| i64::from_le_bytes(*stamp));
            stamp.is_some_and(|stamp| stamp.saturating_add(self.ttl_ms) <= now_ms)
        };
        if self.chunks { crate::slot::ItemReader::unchecked(value).all(item) } else { item(value) }
    }

    /// What of the value has not expired at this time: `None` when nothing has, of a chunk the items
    /// that have not.
    #[must_use]
    pub fn live<'v>(&self, value: &'v [u8], now_ms: i64) -> Option<Cow<'v, [u8]>> {
        if !self.chunks {
            return (!self.is_expired(value, now_ms)).then_some(Cow::Borrowed(value));
        }
        let item = Self { chunks: false, ..*self };
        let items = || crate::slot::ItemReader::unchecked(value);
        if items().all(|bytes| !item.is_expired(bytes, now_ms)) {
            return Some(Cow::Borrowed(value));
        }
        let mut live = Vec::new();
        for bytes in items().filter(|bytes| !item.is_expired(bytes, now_ms)) {
            // It was a u32 that stood in front.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            live.extend_from_slice(&length.to_le_bytes());
            live.extend_from_slice(bytes);
        }
        (!live.is_empty()).then_some(Cow::Owned(live))
    }
}
