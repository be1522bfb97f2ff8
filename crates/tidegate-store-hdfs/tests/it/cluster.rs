//! The clusters that tests run on, and what they do to one of them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_store::CheckpointStorage;
use tidegate_store_hdfs::{HdfsOptions, HdfsStorage};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The variable of a server that this test needs; `None`, said and counted, where there is no server.
///
/// # Panics
///
/// Where servers are required (`TIDEGATE_TEST_SERVERS=required`).
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    let is_required = std::env::var("TIDEGATE_TEST_SERVERS").is_ok_and(|value| value == "required");
    assert!(
        !is_required,
        "{test} needs a server: {variable} is not set, see `cargo xtask servers`"
    );
    eprintln!("SKIPPED {test}: {variable} is not set; `cargo xtask servers start` brings it up");
    if let Ok(path) = std::env::var("TIDEGATE_TEST_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{test}\n");
        list.and_then(|mut list: File| list.write_all(line.as_bytes()))
            .expect("list of skipped tests");
    }
    None
}

/// A directory of the test's own on the cluster that nobody hurts.
pub(crate) fn root(test: &str) -> Option<String> {
    let uri = server("TIDEGATE_TEST_HDFS_URI", test)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Some(format!("{uri}/{test}-{}-{number}", std::process::id()))
}

pub(crate) fn storage(uri: &str) -> Arc<dyn CheckpointStorage> {
    Arc::new(HdfsStorage::open(uri, &HdfsOptions::default()).expect("a URI that names a cluster"))
}
