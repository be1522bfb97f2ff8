//! No damage goes unnoticed, and bytes made to deceive are refused without a panic.

use proptest::prelude::*;
use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal, seal_in_place};
use tidegate_meta::{MetadataError, MetadataView, decode_subtask_states, encode};

use crate::sample;

#[test]
fn every_single_bit_flip_is_refused() {
    let mut bytes = encode(&sample::metadata()).unwrap();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(MetadataView::open(&bytes).is_err(), "bit {bit} of {}", bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(MetadataView::open(&bytes).is_ok());
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let mut bytes = encode(&sample::metadata()).unwrap();
    for cut in 0..bytes.len() {
        assert!(MetadataView::open(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for _ in 0..100 {
        bytes.push(0);
        assert!(matches!(MetadataView::open(&bytes), Err(MetadataError::Length { .. })));
    }
}

// The digest tells accident from intent only so far: somebody can compute it anew. What is then
// read must still be refused or be a value of the types, in bounds and without a panic.
#[test]
fn every_byte_changed_under_a_new_digest_is_refused_or_harmless() {
    let sealed = encode(&sample::metadata()).unwrap();
    let mut refused = 0;
    for position in HEADER_LENGTH..sealed.len() {
        for value in [0, 1, 2, 4, 5, 0x7F, 0x80, 0xFF] {
            let mut bytes = sealed.clone();
            bytes[position] = value;
            seal_in_place(FrameKind::Metadata, &mut bytes);
            match MetadataView::open(&bytes) {
                Ok(view) => drop(view.to_metadata()),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > sealed.len(), "only {refused} of the changes were noticed");
}

#[test]
fn another_kind_of_frame_is_named() {
    let frame = seal(FrameKind::KeyedState, b"state");
    let error = MetadataView::open(&frame).unwrap_err();
    assert_eq!(error, MetadataError::Kind { expected: FrameKind::Metadata, found: 3 });
    assert!(error.to_string().contains("expected metadata (1)"), "{error}");
}

proptest! {
    #[test]
    fn payloads_of_chance_are_refused(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let frame = seal(FrameKind::Metadata, &payload);
        prop_assert!(MetadataView::open(&frame).is_err());
        if let Ok(states) = decode_subtask_states(&seal(FrameKind::Acknowledgement, &payload)) {
            // Eight bytes that say "no operators" are a sound acknowledgement.
            prop_assert!(states.is_empty());
        }
        prop_assert!(MetadataView::open(&payload).is_err());
    }

    #[test]
    fn several_bytes_changed_under_a_new_digest_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&sample::metadata()).unwrap();
        for (index, value) in changes {
            let payload = &mut bytes[HEADER_LENGTH..];
            let position = index.index(payload.len());
            payload[position] = value;
        }
        seal_in_place(FrameKind::Metadata, &mut bytes);
        if let Ok(view) = MetadataView::open(&bytes) {
            drop(view.to_metadata());
        }
    }
}
