//! Sorting rows of an overlay into the order of a segment.

use tidegate_types::KeyHash;

/// Sorts rows by hash, and those with equal hashes by the canonical bytes of their keys, which
/// `encode_key` appends to the buffer. Rows of one key group, or of any part of the hashes.
pub fn sort_rows<T>(
    rows: &mut [T],
    hash: impl Fn(&T) -> KeyHash,
    encode_key: impl Fn(&T, &mut Vec<u8>),
) {
    rows.sort_unstable_by_key(&hash);
    let encoded = |row: &T| {
        let mut bytes = Vec::new();
        encode_key(row, &mut bytes);
        bytes
    };
    rows.chunk_by_mut(|a, b| hash(a) == hash(b))
        .filter(|same| same.len() > 1)
        .for_each(|same| same.sort_by_cached_key(encoded));
}

#[test]
fn rows_come_in_the_order_of_a_segment() {
    // Two keys of one hash: by their bytes; the hash function cannot be asked for that.
    let hash = |row: &(u64, &str)| KeyHash::from_bits(row.0);
    let mut rows = [(3, "b"), (1, "z"), (3, "a"), (2, "q"), (3, "c")];
    sort_rows(&mut rows, hash, |row, out| out.extend_from_slice(row.1.as_bytes()));
    assert_eq!(rows, [(1, "z"), (2, "q"), (3, "a"), (3, "b"), (3, "c")]);
}
