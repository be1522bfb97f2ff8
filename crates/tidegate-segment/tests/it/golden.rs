//! Files of released formats, kept forever.

use std::path::Path;

use tidegate_segment::Segment;

use crate::damage::sample;
use crate::model::origin;

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1/segment")
}

#[test]
fn a_segment_of_version_1_is_read() {
    for open in [Segment::open, Segment::open_copied] {
        let segment = open(&path()).unwrap();
        assert_eq!(segment.origin(), &origin(3));
        sample().check(&segment);
        segment.verify(origin(3).key_groups).unwrap();
    }
}

// A change of these bytes is a change of the format: docs/format.md and a new version.
#[test]
fn a_segment_of_version_1_is_what_is_written() {
    let written = sample().write(3);
    if std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some() {
        std::fs::write(path(), &written).unwrap();
    }
    assert!(std::fs::read(path()).unwrap() == written, "the bytes on disk have changed");
}
