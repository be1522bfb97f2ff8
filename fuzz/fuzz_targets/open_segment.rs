//! Opening arbitrary bytes as a segment, and asking it everything. Nothing may panic, hang, or
//! allocate more than the bytes account for.
//!
//! Checksums would stop nearly all inputs at the door: the first byte says whether they are made
//! right before, as somebody would who forges a file.
#![no_main]

use std::ops::ControlFlow;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::reseal_segment;
use tidegate_segment::{Segment, SegmentWriter, Tombstones, compact};
use tidegate_types::{KeyHash, StateKind};

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first % 2 == 0 {
        let _ = reseal_segment(&mut bytes);
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
                StateKind::Map | StateKind::List => {
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
