//! Any bytes as a subtask's acknowledgement: an error, or states that can be sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::resealed;
use tidegate_meta::frame::FrameKind;
use tidegate_meta::{decode_subtask_states, encode_subtask_states};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Some(frame) = resealed(FrameKind::Acknowledgement, bytes) {
        check(&frame);
    }
});

fn check(bytes: &[u8]) {
    let states = match decode_subtask_states(bytes) {
        Ok(states) => states,
        Err(error) => return drop(error.to_string()),
    };
    for operator in &states {
        let files = operator.state.files().fold(0, |sum: u64, f| sum.saturating_add(f.length));
        assert!(operator.state.length() >= files);
    }
    let again = encode_subtask_states(&states).expect("what was decoded can be written");
    assert_eq!(decode_subtask_states(&again), Ok(states));
}
