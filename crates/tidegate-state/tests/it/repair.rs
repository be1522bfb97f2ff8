//! Keyed state in the canonical form with its checksums made right, as somebody would who forges
//! it: by `docs/format-savepoint.md` alone, none of the crate's code.

use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal_in_place};
use xxhash_rust::xxh3::xxh3_64;

const BLOCK: usize = 36;
const CHUNK_HEADER: usize = 16;
const TRAILER: usize = 16;

/// What is made right besides checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Nothing: blocks lie where the index says, which may be anywhere.
    AsTheyAre,
    /// Each block begins where the one before ends, and the last one ends where the index begins.
    InOrder,
}

/// The bytes with right checksums and frames, as far as they say where those are. `None` when there
/// are fewer bytes than keyed state without a state has.
#[must_use]
pub fn repaired(bytes: &[u8], places: Places) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let end = bytes.len().checked_sub(TRAILER)?;
    let last_index = end.checked_sub(HEADER_LENGTH)?;
    let most = last_index.checked_sub(HEADER_LENGTH)?;
    let blocks_start = HEADER_LENGTH + number(&bytes, 16, 8)?.min(most);
    seal_in_place(FrameKind::KeyedState, &mut bytes[..blocks_start]);

    let index = number(&bytes, end, 8)?.clamp(blocks_start, last_index);
    bytes[end..end + 8].copy_from_slice(&(index as u64).to_le_bytes());
    let checksum = xxh3_64(&bytes[end..end + 8]);
    bytes[end + 8..].copy_from_slice(&checksum.to_le_bytes());

    let lines = (end - index - HEADER_LENGTH) / BLOCK;
    let mut next = blocks_start;
    for line in 0..lines {
        let at = index + HEADER_LENGTH + BLOCK * line;
        if places == Places::InOrder {
            let length = number(&bytes, at + 12, 8)?.min(index - next);
            let length = if line + 1 == lines { index - next } else { length };
            bytes[at + 4..at + 12].copy_from_slice(&(next as u64).to_le_bytes());
            bytes[at + 12..at + 20].copy_from_slice(&(length as u64).to_le_bytes());
            next += length;
        }
        let (offset, length) = (number(&bytes, at + 4, 8)?, number(&bytes, at + 12, 8)?);
        let block = offset..offset.saturating_add(length);
        let checksum = bytes.get_mut(block).map_or_else(|| xxh3_64(&[]), chunks);
        bytes[at + 28..at + 36].copy_from_slice(&checksum.to_le_bytes());
    }
    seal_in_place(FrameKind::KeyedStateIndex, &mut bytes[index..end]);
    Some(bytes)
}

/// Makes the checksums of a block's chunks right; gives that of their headers.
fn chunks(mut block: &mut [u8]) -> u64 {
    let mut headers = Vec::new();
    while let Some((header, rest)) = block.split_at_mut_checked(CHUNK_HEADER) {
        let length = number(header, 4, 4).unwrap_or_default().min(rest.len());
        let (body, rest) = rest.split_at_mut(length);
        header[8..].copy_from_slice(&xxh3_64(body).to_le_bytes());
        headers.extend_from_slice(header);
        block = rest;
    }
    xxh3_64(&headers)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    let number = field.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}
