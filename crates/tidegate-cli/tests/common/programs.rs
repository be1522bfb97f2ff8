//! The programs that the tests with real processes start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the release programs are. Built here, so that the test never runs old ones.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--bins"])
            .args(["-p", "tidegate-cli", "-p", "wordcount", "-p", "flights"])
            .current_dir(&root)
            .status()
            .unwrap();
        assert!(built.success(), "the programs cannot be built");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        target.join("release")
    })
}
