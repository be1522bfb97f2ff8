//! `soak`: the kill tests, with many more kills than the continuous integration has time for.

use anyhow::Result;

use crate::shell::{self, cargo};

/// Runs the kill tests of `tidegate-cli` with `runs` killed jobs, and every interleaving of the
/// alignment that is too many for the continuous integration.
pub(crate) fn run(runs: u32) -> Result<()> {
    // The tests start the programs of target/release.
    shell::run(&mut cargo(["build", "--release", "--workspace"]))?;
    let mut tests = cargo(["test", "--package", "tidegate-cli", "--", "kill", "--nocapture"]);
    shell::run(tests.env("TIDEGATE_KILL_RUNS", runs.to_string()))?;
    let mut interleavings =
        cargo(["test", "--release", "--package", "tidegate-align", "--test", "it"]);
    shell::run(interleavings.env("TIDEGATE_EXHAUSTIVE", "1"))
}
