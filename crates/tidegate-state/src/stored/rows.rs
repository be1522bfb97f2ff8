//! What rows look like: a row's key begins with the key group, so that rescaling moves ranges.
//!
//! All numbers are big-endian, so that the order of bytes is that of the numbers:
//!
//! ```text
//! value, list   group u16 | hash u64 | key                              value: the value; the items
//! map           group u16 | hash u64 | length u32 | key | map key       value: the value
//! timer         group u16 | time i64, its sign flipped | key            value: nothing
//! ```
//!
//! Within a key group values and lists are therefore in the canonical order, by hash and key. So are
//! those of maps, but for different keys of one hash, which come by their length first.

use tidegate_types::{KeyGroup, KeyHash, StateKey, StateKind};

const GROUP: usize = 2;
const HASH: usize = 8;
const LENGTH: usize = 4;

/// The bytes that the keys of all rows of a key group begin with.
#[must_use]
pub fn group_prefix(group: KeyGroup) -> [u8; 2] {
    group.get().to_be_bytes()
}

/// The range of a key group's rows: from, and up to but without.
pub(crate) fn range_of_group(group: KeyGroup) -> ([u8; 2], [u8; 2]) {
    // The last key group is 32,767, so that there always is a next one.
    (group_prefix(group), (group.get() + 1).to_be_bytes())
}

pub(crate) fn whole(
    group: KeyGroup,
    hash: KeyHash,
    key: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&group_prefix(group));
    out.extend_from_slice(&hash.get().to_be_bytes());
    key(out);
}

/// Where the entries of a key's map begin.
pub(crate) fn map(group: KeyGroup, hash: KeyHash, key: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(key.len()).expect("a key of less than 4 GiB");
    whole(group, hash, |out| out.extend_from_slice(&length.to_be_bytes()), out);
    out.extend_from_slice(key);
}

pub(crate) fn timer(group: KeyGroup, time_ms: i64, key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&group_prefix(group));
    out.extend_from_slice(&ordered(time_ms).to_be_bytes());
    out.extend_from_slice(key);
}

/// A time as a number that ascends with it from zero.
fn ordered(time_ms: i64) -> u64 {
    time_ms.cast_unsigned() ^ (1 << 63)
}

/// The hash, the key and, of a map, the map key of a row; `None` when it is too short.
pub(crate) fn split(kind: StateKind, row: &[u8]) -> Option<(KeyHash, &[u8], &[u8])> {
    let (hash, rest) = row.get(GROUP..)?.split_first_chunk::<HASH>()?;
    let hash = KeyHash::from_bits(u64::from_be_bytes(*hash));
    if kind != StateKind::Map {
        return Some((hash, rest, &[]));
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
    let (key, map_key) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((hash, key, map_key))
}

/// The time and the key of a timer's row; `None` when it is too short.
pub(crate) fn split_timer(row: &[u8]) -> Option<(i64, &[u8])> {
    let (time, key) = row.get(GROUP..)?.split_first_chunk::<HASH>()?;
    Some(((u64::from_be_bytes(*time) ^ (1 << 63)).cast_signed(), key))
}

/// The end of the range of all keys that begin with `prefix`; `None` when nothing is above them.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The canonical bytes of a key.
pub(crate) fn canonical<K: StateKey>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_into_what_they_were_made_of() {
        let (group, hash) = (KeyGroup::new(300), KeyHash::from_bits(0x0123_4567_89ab_cdef));
        let mut row = Vec::new();
        whole(group, hash, |out| out.extend_from_slice(b"key"), &mut row);
        assert_eq!(split(StateKind::Value, &row), Some((hash, &b"key"[..], &b""[..])));
        row.clear();
        map(group, hash, b"key", &mut row);
        row.extend_from_slice(b"name");
        assert_eq!(split(StateKind::Map, &row), Some((hash, &b"key"[..], &b"name"[..])));
        for cut in 0..17 {
            assert_eq!(split(StateKind::Map, &row[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn timers_ascend_with_their_time() {
        let rows = [i64::MIN, -1, 0, 1, i64::MAX].map(|time| {
            let mut row = Vec::new();
            timer(KeyGroup::new(1), time, b"k", &mut row);
            assert_eq!(split_timer(&row), Some((time, &b"k"[..])));
            row
        });
        assert!(rows.is_sorted());
    }

    #[test]
    fn the_end_of_a_prefix_is_above_all_that_begins_with_it() {
        assert_eq!(after(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after(&[255]), None);
    }
}
