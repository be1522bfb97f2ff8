//! `bench`: the criterion benchmarks of `benches/`.

use anyhow::Result;

use crate::shell;

/// The task: runs the benchmarks; `arguments` go to criterion.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = benches();
    shell::run(command.arg("--").args(arguments))
}

/// Runs each benchmark's body once: it compiles and does not panic. With what the programs are
/// built with, whose crates are then built already, and which links much faster.
pub(crate) fn smoke() -> Result<()> {
    let mut command = benches();
    shell::run(command.args(["--profile", "release", "--", "--test"]))
}

fn benches() -> std::process::Command {
    shell::cargo(["bench", "--package", "tidegate-benches", "--benches"])
}
