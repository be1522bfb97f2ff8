//! `soak`: kills, random runs and interleavings, many more of them than the continuous integration has
//! time for, and the one crate with unsafe code under AddressSanitizer.

use anyhow::Result;

use crate::rocksdb;
use crate::shell::{self, cargo};

/// Where the sanitizer's runtime is; naming it keeps build scripts and macros without it.
const SANITIZED: &str = "x86_64-unknown-linux-gnu";

/// Runs the tests under AddressSanitizer, then the kill tests of `tidegate-cli` with `runs` killed
/// jobs and 20 times as many random runs of the fs backend, then every interleaving of the alignment.
pub(crate) fn run(runs: u32) -> Result<()> {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        sanitized()?;
    }
    // The tests build and start the programs of target/release.
    let features = ["--features", "rocksdb"];
    let mut tests = cargo(["test", "--package", "tidegate-cli"]);
    tests.args(features).args(["--test", "kill", "--", "--nocapture"]);
    tests.env("TIDEGATE_KILL_RUNS", runs.to_string()).env("TIDEGATE_LARGE", "1");
    shell::run(tests.envs(rocksdb::environment()?))?;
    let mut random = cargo(["test", "--package", "tidegate-state-fs", "--test", "it", "random"]);
    shell::run(random.env("TIDEGATE_RANDOM_CASES", (runs * 20).to_string()))?;
    let mut interleavings =
        cargo(["test", "--release", "--package", "tidegate-align", "--test", "it"]);
    shell::run(interleavings.env("TIDEGATE_EXHAUSTIVE", "1"))
}

/// The tests of `tidegate-segment` with AddressSanitizer, which stable Rust has, behind a switch.
fn sanitized() -> Result<()> {
    let mut tests = cargo(["test", "--package", "tidegate-segment", "--lib", "--tests"]);
    // Not in target/: other flags would build everything there anew.
    tests.args(["--target", SANITIZED, "--target-dir", "target/sanitized"]);
    tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    shell::run(&mut tests)
}
