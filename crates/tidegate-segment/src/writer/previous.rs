//! The place of the previous entry: what comes next must be behind it.

use std::cmp::Ordering;

use tidegate_types::KeyHash;

use crate::TimerEntry;

/// The place of the previous entry of a state. Its buffers are kept.
#[derive(Default)]
pub(super) struct Previous {
    /// `None` before the first key of the state, and before the first timer of a key group.
    pub(super) hash: Option<KeyHash>,
    pub(super) key: Vec<u8>,
    time_ms: i64,
    map_key: Vec<u8>,
    has_map_key: bool,
}

impl Previous {
    /// Whether the entry is of another key than the previous one.
    ///
    /// # Panics
    ///
    /// When the entry is not behind the previous one.
    #[inline]
    pub(super) fn has_key_before(&self, hash: KeyHash, key: &[u8], map_key: Option<&[u8]>) -> bool {
        let Some(previous) = self.hash else { return true };
        if previous < hash {
            return true;
        }
        let order = previous.cmp(&hash).then_with(|| (*self.key).cmp(key));
        let is_behind = match order {
            Ordering::Less => return true,
            Ordering::Equal => {
                map_key.is_some_and(|map_key| !self.has_map_key || *self.map_key < *map_key)
            }
            Ordering::Greater => false,
        };
        assert!(
            is_behind,
            "key {key:02x?}, {map_key:02x?} is not behind the previous entry, key {:02x?}",
            self.key
        );
        false
    }

    #[inline]
    pub(super) fn set_key(&mut self, hash: KeyHash, key: &[u8]) {
        self.hash = Some(hash);
        self.key.clear();
        self.key.extend_from_slice(key);
    }

    #[inline]
    pub(super) fn set_map_key(&mut self, map_key: Option<&[u8]>) {
        self.has_map_key = map_key.is_some();
        if let Some(map_key) = map_key {
            self.map_key.clear();
            self.map_key.extend_from_slice(map_key);
        }
    }

    /// Goes on to a timer of the same key group, or to the first one.
    ///
    /// # Panics
    ///
    /// When the timer is not behind the previous one.
    #[inline]
    pub(super) fn advance_to_timer(&mut self, timer: &TimerEntry<'_>) {
        let is_behind =
            self.hash.is_none() || (self.time_ms, &*self.key) < (timer.time_ms, timer.key);
        assert!(is_behind, "{timer:02x?} is not behind the previous timer, at {}", self.time_ms);
        self.time_ms = timer.time_ms;
        self.set_key(timer.hash, timer.key);
    }
}
