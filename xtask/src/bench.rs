//! `bench`: the criterion benchmarks of `benches/`.

use anyhow::Result;

use crate::shell;

/// Runs the benchmarks; `arguments` go to criterion.
pub(crate) fn run_with(arguments: &[&str]) -> Result<()> {
    shell::run(
        shell::cargo(["bench", "--package", "tidegate-benches", "--benches", "--"]).args(arguments),
    )
}

/// The task: arguments as typed.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    run_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs each benchmark's body once: it compiles and does not panic.
pub(crate) fn smoke() -> Result<()> {
    run_with(&["--test"])
}
