//! The programs that the tests with real processes start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What makes the programs with the RocksDB state backend.
const ROCKSDB: [&str; 2] = ["--features", "tidegate-cli/rocksdb,wordcount/rocksdb"];

/// Where the release programs are. Built here, so that the test never runs old ones; unless
/// `TIDEGATE_PROGRAMS` names a directory of others, such as `target/debug` while developing.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        if let Some(directory) = std::env::var_os("TIDEGATE_PROGRAMS") {
            return directory.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--bins"])
            .args(["-p", "tidegate-cli", "-p", "wordcount", "-p", "flights", "-p", "gauges"])
            .args(if cfg!(feature = "rocksdb") { &ROCKSDB[..] } else { &[] })
            .current_dir(&root)
            .status()
            .unwrap();
        assert!(built.success(), "the programs cannot be built");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        target.join("release")
    })
}
