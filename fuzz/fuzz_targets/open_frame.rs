//! Any bytes as a frame: what opens is exactly what sealing its payload writes, and nothing that
//! differs from it in a single bit opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, open, seal};
use xxhash_rust::xxh3::xxh3_64;

const KINDS: [FrameKind; 4] = [
    FrameKind::Metadata,
    FrameKind::Acknowledgement,
    FrameKind::KeyedState,
    FrameKind::KeyedStateIndex,
];

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if bytes.len() >= HEADER_LENGTH {
        let mut repaired = bytes.to_vec();
        let checksum = xxh3_64(&bytes[..56]);
        repaired[56..64].copy_from_slice(&checksum.to_le_bytes());
        check(&repaired);
    }
    for kind in KINDS {
        damage(kind, bytes);
    }
});

fn check(bytes: &[u8]) {
    let opened = KINDS.map(|kind| (kind, open(kind, bytes)));
    assert!(opened.iter().filter(|(_, result)| result.is_ok()).count() <= 1, "two kinds");
    for (kind, result) in opened {
        match result {
            Ok(payload) => assert!(seal(kind, payload) == bytes, "another {kind} frame opens"),
            Err(error) => drop(error.to_string()),
        }
    }
}

/// Seals the bytes and flips the bit that they choose.
fn damage(kind: FrameKind, payload: &[u8]) {
    let mut frame = seal(kind, payload);
    assert_eq!(open(kind, &frame), Ok(payload));
    let chosen =
        payload.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let bit = chosen % (8 * frame.len());
    frame[bit / 8] ^= 1 << (bit % 8);
    assert!(open(kind, &frame).is_err(), "bit {bit} does not count");
}
