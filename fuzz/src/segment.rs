//! Segments with their checksums made right.

use xxhash_rust::xxh3::xxh3_64;

/// Makes all checksums of a segment right, where the bytes say where they are; `None` when they do not.
pub fn reseal_segment(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(64)?;
    let number = |bytes: &[u8], at: usize| {
        usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
    };
    let body = number(bytes, footer + 8)?;
    let directory = number(bytes, footer + 16)?;
    let checksums: Vec<u64> = bytes.get(..body)?.chunks(1 << 14).map(xxh3_64).collect();
    for (index, checksum) in checksums.iter().enumerate() {
        let at = body.checked_add(8 * index)?;
        bytes.get_mut(at..at.checked_add(8)?)?.copy_from_slice(&checksum.to_le_bytes());
    }
    let pages: Vec<u64> = bytes.get(body..directory)?.chunks(1 << 14).map(xxh3_64).collect();
    for (index, checksum) in pages.iter().enumerate() {
        let at = footer.checked_sub(8 * (pages.len() - index))?;
        bytes.get_mut(at..at + 8)?.copy_from_slice(&checksum.to_le_bytes());
    }
    let checksum = xxh3_64(bytes.get(..56)?);
    bytes.get_mut(56..64)?.copy_from_slice(&checksum.to_le_bytes());
    bytes.get_mut(footer + 40..footer + 48)?.copy_from_slice(&checksum.to_le_bytes());
    let checksum = xxh3_64(bytes.get(directory..footer)?);
    bytes.get_mut(footer + 32..footer + 40)?.copy_from_slice(&checksum.to_le_bytes());
    let checksum = xxh3_64(bytes.get(footer..footer + 56)?);
    bytes.get_mut(footer + 56..footer + 64)?.copy_from_slice(&checksum.to_le_bytes());
    Some(())
}
