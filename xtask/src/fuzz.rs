//! `fuzz`: every fuzz target for a few seconds, starting from the corpus in the repository.

use std::fs;

use anyhow::{Result, ensure};

use crate::metadata::Workspace;
use crate::{setup, shell};

/// Runs each target of `fuzz/` for `seconds`; the first crash fails.
pub(crate) fn run(seconds: u32) -> Result<()> {
    setup::fuzzer()?;
    let workspace = Workspace::load("fuzz")?;
    let targets = workspace.packages.iter().flat_map(|package| &package.targets);
    let names: Vec<&str> = targets.filter(|t| t.kind == "bin").map(|t| t.name.as_str()).collect();
    ensure!(!names.is_empty(), "fuzz/Cargo.toml names no target");
    for name in names {
        // What is found goes to the first directory, so that a run leaves the checkout as it was.
        let (found, kept) = (format!("fuzz/target/corpus/{name}"), format!("fuzz/corpus/{name}"));
        for directory in [&found, &kept] {
            fs::create_dir_all(shell::root().join(directory))?;
        }
        // Stable Rust cannot build for a sanitizer. Without unsafe code what a target looks for
        // is a panic, and that is found without one; the nightly run has AddressSanitizer.
        let mut command = shell::cargo(["fuzz", "run", "--fuzz-dir", "fuzz", "-s", "none", name]);
        command.args([&found, &kept]).args(["--", "-verbosity=0", "-print_final_stats=1"]);
        shell::run(command.arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}
