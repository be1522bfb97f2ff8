//! `soak`: the kill tests and the random runs of the state, many more of them than the continuous
//! integration has time for.

use anyhow::Result;

use crate::shell::{self, cargo};

/// Runs the kill tests of `tidegate-cli` with `runs` killed jobs, and 20 times as many random runs
/// of the fs backend.
pub(crate) fn run(runs: u32) -> Result<()> {
    // The tests start the programs of target/release.
    shell::run(&mut cargo(["build", "--release", "--workspace"]))?;
    let mut tests = cargo(["test", "--package", "tidegate-cli", "--", "kill", "--nocapture"]);
    shell::run(tests.env("TIDEGATE_KILL_RUNS", runs.to_string()))?;
    let mut random = cargo(["test", "--package", "tidegate-state-fs", "--test", "it", "random"]);
    shell::run(random.env("TIDEGATE_RANDOM_CASES", (runs * 20).to_string()))
}
