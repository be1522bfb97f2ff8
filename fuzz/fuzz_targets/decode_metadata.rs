//! Any bytes as the metadata file of a checkpoint: an error, or a value that can be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::resealed;
use tidegate_meta::frame::FrameKind;
use tidegate_meta::{MetadataView, encode};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Some(frame) = resealed(FrameKind::Metadata, bytes) {
        check(&frame);
    }
});

fn check(bytes: &[u8]) {
    let view = match MetadataView::open(bytes) {
        Ok(view) => view,
        // Messages quote what was found.
        Err(error) => return drop(error.to_string()),
    };
    let metadata = view.to_metadata();
    assert_eq!(view.operator_count(), metadata.operators.len());
    for (seen, owned) in view.operators().zip(&metadata.operators) {
        assert_eq!(seen.uid(), owned.uid.as_str());
        assert!(seen.subtasks().eq(owned.subtasks.iter().cloned()));
    }
    // What tools show of a checkpoint before they have looked at any of its files.
    let files: u64 = metadata.files().fold(0, |sum, file| sum.saturating_add(file.length));
    assert!(metadata.state_length() >= files);

    let again = encode(&metadata).expect("what was decoded can be written");
    let view = MetadataView::open(&again).expect("what is written can be read");
    assert_eq!(view.to_metadata(), metadata);
}
