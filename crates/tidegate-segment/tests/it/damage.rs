//! Damaged files: an error or exactly what was written; never a panic, never something else.

use std::ops::ControlFlow;

use tidegate_segment::{Part, Segment, SegmentError, SegmentWriter, Tombstones, compact};
use tidegate_types::{KeyGroup, KeyHash};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Layer, open, origin};

/// A bit of everything, in few bytes: long and short runs, deletions, timers.
pub(crate) fn sample() -> Layer {
    let mut layer = Layer::default();
    for number in 0..12_u8 {
        let value = (number % 3 != 2).then(|| vec![number; usize::from(number)]);
        layer.values.insert(vec![number, 7], value);
        let map = layer.maps.entry(vec![number % 5]).or_default();
        map.is_deleted = number % 5 < 2;
        map.entries.insert(vec![number], (number % 4 != 0).then(|| vec![number; 3]));
        layer.timers.insert((i64::from(number / 2) - 3, vec![number]), number % 2 == 0);
    }
    layer.maps.entry(b"deleted".to_vec()).or_default().is_deleted = true;
    let long = layer.maps.entry(b"long".to_vec()).or_default();
    for number in 0..20_u8 {
        long.entries.insert(vec![number, 1], (number != 9).then(|| vec![number]));
    }
    for time in 0..40 {
        layer.timers.insert((time, b"k".to_vec()), false);
    }
    layer
}

const MAX: u16 = 3;

#[test]
fn every_bit_flip_is_refused_or_harmless_and_always_noticed_by_verify() {
    let layer = sample();
    let bytes = layer.write(MAX);
    let (mut at_open, mut at_reading, mut harmless) = (0, 0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(segment) = open(&damaged) else {
            at_open += 1;
            continue;
        };
        match layer.try_check(&segment) {
            Err(_) => at_reading += 1,
            Ok(()) => harmless += 1,
        }
        let fresh = open(&damaged).unwrap();
        let error = fresh.verify(origin(MAX).key_groups).unwrap_err();
        assert!(matches!(error, SegmentError::Checksum { .. }), "bit {bit}: {error}");
    }
    assert!(at_open > 64 * 8 && at_reading > 64 * 8, "{at_open} {at_reading}");
    assert_eq!(harmless, 0, "one chunk: nothing can be read of it");
}

#[test]
fn every_truncation_and_every_appendix_is_refused() {
    let bytes = sample().write(MAX);
    for cut in 0..bytes.len() {
        assert!(open(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for more in [1, 8, 63, 64, 65, 20_000] {
        let longer = [&bytes[..], &vec![0; more]].concat();
        assert!(open(&longer).is_err(), "{more} more");
    }
    // Twice the same file: the footer is fine, the length is not.
    let error = open(&bytes.repeat(2)).unwrap_err();
    assert!(matches!(error, SegmentError::Length { .. }), "{error}");
}

#[test]
fn errors_name_file_offset_and_what_was_there() {
    let bytes = sample().write(MAX);
    let held = |offset: usize| {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 1;
        let error = match open(&damaged) {
            Err(error) => error,
            Ok(segment) => segment.verify(origin(MAX).key_groups).unwrap_err(),
        };
        assert!(error.to_string().contains("the test's segment"), "{error}");
        match error {
            SegmentError::Magic { held, .. }
            | SegmentError::Checksum { held, .. }
            | SegmentError::Malformed { held, .. } => held,
            other => panic!("{other}"),
        }
    };
    let number = |at: usize| {
        usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
    };
    let footer = bytes.len() - 64;
    let (body, directory) = (number(footer + 8), number(footer + 16));
    assert_eq!(held(0), Part::Header);
    assert_eq!(held(20), Part::Header);
    assert_eq!(held(body), Part::ChecksumTable);
    assert_eq!(held(directory), Part::Directory);
    assert_eq!(held(footer), Part::Footer);
    assert_eq!(held(bytes.len() - 1), Part::Footer);
    let (first, last) = (KeyGroup::new(0), KeyGroup::new(2));
    assert_eq!(held(100), Part::Entries { state: "values".into(), first, last });
}

/// Makes all checksums right again, where the bytes still say where they are.
fn reseal(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len() - 64;
    let number = |bytes: &[u8], at: usize| {
        usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
    };
    let body = number(bytes, footer + 8)?;
    let directory = number(bytes, footer + 16)?;
    let chunks: Vec<u64> = bytes.get(..body)?.chunks(1 << 14).map(xxh3_64).collect();
    for (index, checksum) in chunks.iter().enumerate() {
        let at = body + 8 * index;
        bytes.get_mut(at..at + 8)?.copy_from_slice(&checksum.to_le_bytes());
    }
    let table = bytes.get(body..directory)?.to_vec();
    let pages: Vec<u64> = table.chunks(1 << 14).map(xxh3_64).collect();
    for (index, checksum) in pages.iter().enumerate() {
        let at = footer.checked_sub(8 * (pages.len() - index))?;
        bytes.get_mut(at..at + 8)?.copy_from_slice(&checksum.to_le_bytes());
    }
    let checksum = xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
    bytes.copy_within(56..64, footer + 40);
    let checksum = xxh3_64(bytes.get(directory..footer)?);
    bytes[footer + 32..footer + 40].copy_from_slice(&checksum.to_le_bytes());
    let checksum = xxh3_64(&bytes[footer..footer + 56]);
    bytes[footer + 56..].copy_from_slice(&checksum.to_le_bytes());
    Some(())
}

/// Asks everything that can be asked; whatever comes is fine but a panic.
fn ask_everything(segment: &Segment, layer: &Layer) -> usize {
    let mut errors = 0;
    let mut count = |is_error: bool| errors += usize::from(is_error);
    for (number, state) in segment.states() {
        for group in (0..MAX).map(KeyGroup::new) {
            if state.kind == tidegate_types::StateKind::Timer {
                count(segment.timers(number, group, i64::MIN).any(|timer| timer.is_err()));
                count(segment.timers(number, group, 2).any(|timer| timer.is_err()));
                continue;
            }
            count(segment.entries(number, group).any(|entry| entry.is_err()));
        }
        for key in
            layer.values.keys().chain(layer.maps.keys()).chain(layer.timers.keys().map(|t| &t.1))
        {
            let hash = KeyHash::of_bytes(key);
            match &*state.kind.to_string() {
                "timer" => count(segment.timer(number, 3, hash, key).is_err()),
                "map" | "list" => {
                    count(segment.get_entry(number, hash, key, &[5, 1]).is_err());
                    let entries = segment.entries_of_key(number, hash, key);
                    count(entries.map_or(true, |mut entries| entries.any(|entry| entry.is_err())));
                }
                _ => count(segment.get(number, hash, key).is_err()),
            }
        }
    }
    let range = origin(MAX).key_groups;
    count(segment.verify(range).is_err());
    let mut writer = SegmentWriter::new(Vec::new(), origin(MAX)).unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    if segment.origin().max_parallelism == origin(MAX).max_parallelism {
        let done = compact(&[segment], range, Tombstones::Keep, &mut writer, &mut go_on);
        count(done.is_err());
    }
    errors
}

// The checksums say that all is well: what stands behind them is not believed for that.
#[test]
fn forged_files_give_errors_and_no_panic() {
    let layer = sample();
    let bytes = layer.write(MAX);
    assert_eq!(ask_everything(&open(&bytes).unwrap(), &layer), 0);
    let (mut refused, mut noticed) = (0, 0);
    for at in 0..bytes.len() {
        for byte in [0, 0xFF, bytes[at] ^ 1, bytes[at] ^ 0x44] {
            let mut forged = bytes.clone();
            forged[at] = byte;
            if forged == bytes || reseal(&mut forged).is_none() {
                continue;
            }
            match open(&forged) {
                Err(_) => refused += 1,
                Ok(segment) => noticed += usize::from(ask_everything(&segment, &layer) > 0),
            }
        }
    }
    assert!(refused > 1000 && noticed > 1000, "{refused} {noticed}");
}

// Else a small file could make a reader walk over the same bytes as often as it likes.
#[test]
fn key_groups_that_share_bytes_are_refused() {
    let bytes = sample().write(MAX);
    // The first key group's data are at 64, the next one's record 88 bytes behind its record.
    let at = bytes.len() - 64 + 16;
    let directory = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let directory = usize::try_from(directory).unwrap();
    let windows = &mut bytes[directory..].windows(8);
    let first = directory + windows.position(|window| window == 64_u64.to_le_bytes()).unwrap();
    let mut forged = bytes.clone();
    forged.copy_within(first..first + 8, first + 88);
    reseal(&mut forged).unwrap();
    let error = open(&forged).unwrap_err();
    let held = Part::Directory;
    assert!(matches!(&error, SegmentError::Malformed { held: h, .. } if *h == held), "{error}");
}

#[test]
fn what_is_no_file_or_no_segment_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent");
    for open in [Segment::open, Segment::open_copied] {
        assert!(matches!(open(&path), Err(SegmentError::Open { .. })));
        assert!(matches!(open(directory.path()), Err(SegmentError::Open { .. })));
    }
    assert!(matches!(open(b""), Err(SegmentError::Length { expected: 128, found: 0, .. })));
    assert!(matches!(open(&[0; 500]), Err(SegmentError::Magic { offset: 0, .. })));
    let mut newer = sample().write(MAX);
    newer[8] = 2;
    reseal(&mut newer).unwrap();
    assert!(matches!(open(&newer), Err(SegmentError::Version { found: 2, supported: 1, .. })));
}

#[test]
fn a_file_truncated_while_it_is_mapped_is_lost_and_nobody_dies() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let mut layer = Layer::default();
    for number in 0..3000_u32 {
        layer.values.insert(number.to_le_bytes().to_vec(), Some(vec![1; 50]));
    }
    std::fs::write(&path, layer.write(MAX)).unwrap();
    let segment = Segment::open(&path).unwrap();
    let copied = Segment::open_copied(&path).unwrap();
    let values = segment.state("values").unwrap();
    let key = 77_u32.to_le_bytes();
    assert!(segment.get(values, KeyHash::of_bytes(&key), &key).unwrap().found().is_some());
    segment.check_intact().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(4096).unwrap();
    let error = layer.try_check(&segment).unwrap_err();
    assert!(matches!(error, SegmentError::Lost { found: 4096, .. }), "{error}");
    assert!(matches!(segment.check_intact(), Err(SegmentError::Lost { .. })));
    // Once lost, always lost: even of keys that are still there, nothing is said.
    assert!(segment.get(values, KeyHash::of_bytes(&key), &key).is_err());
    copied.check_intact().unwrap();
    check_values(&copied, &layer);
}

fn check_values(segment: &Segment, layer: &Layer) {
    let values = segment.state("values").unwrap();
    for (key, value) in &layer.values {
        let found = segment.get(values, KeyHash::of_bytes(key), key).unwrap().found();
        assert_eq!(found, value.as_deref());
    }
}
