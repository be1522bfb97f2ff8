//! Opening arbitrary bytes as a segment, and asking it everything. Nothing may panic, hang, or
//! allocate more than the bytes account for.
//!
//! Checksums would stop nearly all inputs at the door: the first byte says whether they are made
//! right before, as somebody would who forges a file.
#![no_main]

use std::ops::ControlFlow;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidegate_segment::{Segment, SegmentWriter, Tombstones, compact};
use tidegate_types::{KeyHash, StateKind};
use xxhash_rust::xxh3::xxh3_64;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first % 2 == 0 {
        let _ = reseal(&mut bytes);
    }
    let keys: Vec<Vec<u8>> = bytes.chunks(9).take(8).map(<[u8]>::to_vec).collect();
    let Ok(segment) = Segment::from_bytes(Path::new("fuzzed"), bytes) else { return };
    let range = segment.origin().key_groups;
    for (number, state) in segment.states() {
        for group in segment.key_groups(number) {
            if state.kind == StateKind::Timer {
                segment.timers(number, group, 0).for_each(drop);
            } else {
                segment.entries(number, group).for_each(drop);
            }
        }
        for key in &keys {
            let hash = KeyHash::of_bytes(key);
            match state.kind {
                StateKind::Timer => drop(segment.timer(number, 7, hash, key)),
                StateKind::Map => {
                    drop(segment.get_entry(number, hash, key, &key[..key.len() / 2]));
                    drop(segment.entries_of_key(number, hash, key).map(Iterator::count));
                }
                _ => drop(segment.get(number, hash, key)),
            }
        }
    }
    let _ = segment.verify(range);
    let mut writer = SegmentWriter::new(Vec::new(), *segment.origin()).expect("memory is enough");
    let mut go_on = |_| ControlFlow::Continue(());
    if compact(&[&segment], range, Tombstones::Keep, &mut writer, &mut go_on).is_ok() {
        let (copy, _) = writer.finish().expect("memory is enough");
        let copy = Segment::from_bytes(Path::new("copy"), copy).expect("it was just written");
        copy.verify(range).expect("it was just written");
    }
});

/// Makes all checksums right, where the bytes say where they are.
fn reseal(bytes: &mut [u8]) -> Option<()> {
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
