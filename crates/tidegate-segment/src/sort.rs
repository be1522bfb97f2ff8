//! Sorting rows of an overlay into the order of a segment.

use tidegate_types::KeyHash;

/// Sorts rows by hash, and those with equal hashes by the canonical bytes of their keys, which
/// `encode_key` appends to the buffer. Rows of one key group, or of any part of the hashes.
pub fn sort_rows<T>(
    rows: &mut Vec<T>,
    hash: impl Fn(&T) -> KeyHash,
    encode_key: impl Fn(&T, &mut Vec<u8>),
) {
    rows.sort_unstable_by_key(|row| hash(row));
    let encoded = |row: &T| {
        let mut bytes = Vec::new();
        encode_key(row, &mut bytes);
        bytes
    };
    rows.chunk_by_mut(|a, b| hash(a) == hash(b))
        .filter(|same| same.len() > 1)
        .for_each(|same| same.sort_by_cached_key(encoded));
}
