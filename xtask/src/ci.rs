//! `ci`: everything that must hold before a change lands, in the order that fails soonest.
//!
//! Each command is printed before it runs and each step's time after it. The tests come last, so
//! that the output ends with the test runner's own summary.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::metadata::Workspace;
use crate::shell::{self, cargo};
use crate::{bench, demo, fuzz, layers, rocksdb, servers, setup, tidy};

struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: [Step; 11] = [
    Step { name: "setup", run: setup },
    Step { name: "fmt", run: fmt },
    Step { name: "layers", run: layers::run },
    Step { name: "tidy", run: tidy::run },
    Step { name: "clippy", run: clippy },
    Step { name: "docs", run: docs },
    Step { name: "fuzz", run: short_fuzz },
    Step { name: "benches", run: bench::smoke },
    Step { name: "demo", run: demo::run },
    Step { name: "doctests", run: doctests },
    Step { name: "tests", run: tests },
];

/// Runs the steps that the arguments (`--skip STEP`, `--only STEP`, repeated) leave.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let chosen = chosen(arguments)?;
    let started = Instant::now();
    let mut times = Vec::new();
    for step in &chosen {
        println!("\n== {} ==", step.name);
        if step.name == "tests" && !times.is_empty() {
            // Said now, because the test runner has the last word.
            println!("before the tests: {}; {}", times.join(", "), seconds(started.elapsed()));
        }
        let begun = Instant::now();
        (step.run)().with_context(|| format!("step `{}` failed", step.name))?;
        if step.name != "tests" {
            println!("-- {}: {}", step.name, seconds(begun.elapsed()));
        }
        times.push(format!("{} {}", step.name, seconds(begun.elapsed())));
    }
    Ok(())
}

fn chosen(arguments: &[String]) -> Result<Vec<&'static Step>> {
    let names = STEPS.map(|step| step.name);
    let (mut only, mut skipped) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(flag) = arguments.next() {
        let list = match flag {
            "--only" => &mut only,
            "--skip" => &mut skipped,
            _ => bail!("unexpected argument `{flag}`; known are --only STEP and --skip STEP"),
        };
        match arguments.next() {
            Some(name) if names.contains(&name) => list.push(name),
            Some(name) => bail!("there is no step `{name}`; steps: {}", names.join(", ")),
            None => bail!("{flag} needs the name of a step: {}", names.join(", ")),
        }
    }
    let is_chosen = |step: &&Step| {
        (only.is_empty() || only.contains(&step.name)) && !skipped.contains(&step.name)
    };
    Ok(STEPS.iter().filter(is_chosen).collect())
}

fn setup() -> Result<()> {
    setup::components()?;
    // Where tests may be skipped for want of a server, nothing is installed for them.
    if servers::are_required() { setup::server_programs() } else { Ok(()) }
}

fn fmt() -> Result<()> {
    shell::run(&mut cargo(["fmt", "--all", "--check"]))?;
    // A workspace of its own, which `--all` does not reach.
    shell::run(&mut cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn clippy() -> Result<()> {
    // The first step that resolves dependencies, so the one that notices a stale Cargo.lock.
    let mut command = cargo(["clippy", "--locked", "--workspace", "--all-targets"]);
    shell::run(whole(&mut command)?.args(["--", "-D", "warnings"]))
}

fn docs() -> Result<()> {
    // Libraries only: the program `tidegate` and the facade of that name would share a page.
    let mut command = cargo(["doc", "--workspace", "--lib", "--no-deps"]);
    shell::run(whole(&mut command)?.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The command for all crates with all features: the RocksDB state backend is off by default.
fn whole(command: &mut Command) -> Result<&mut Command> {
    command.args(["--features", "tidegate/rocksdb,tidegate-cli/rocksdb"]);
    Ok(command.envs(rocksdb::environment()?))
}

fn short_fuzz() -> Result<()> {
    fuzz::run(10)
}

fn doctests() -> Result<()> {
    shell::run(whole(&mut cargo(["test", "--quiet", "--workspace", "--doc"]))?)
}

fn tests() -> Result<()> {
    // Integration tests start, kill and resume the programs of target/release.
    shell::run(whole(&mut cargo(["build", "--release", "--workspace"]))?)?;
    let mut command = if setup::has_nextest() {
        cargo(["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    whole(&mut command)?;
    println!("$ {}", shell::shown(&command));
    let servers = servers::start_for_tests()?;
    // Built above, with what all crates together ask of their dependencies: to build some alone is to
    // build most of it again.
    let programs = Workspace::load(".")?.target.join("release");
    let status = command.envs(&servers.variables).env("TIDEGATE_PROGRAMS", programs).status();
    let skipped = servers.skipped_tests();
    servers.finish()?;
    let status = status.context("cannot start the test runner")?;
    if !skipped.is_empty() {
        println!("{} tests SKIPPED for want of a server: {}", skipped.len(), skipped.join(", "));
    }
    if !status.success() {
        // The runner has told what failed, and its summary is the last word here too.
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[test]
fn steps_are_chosen_by_name() {
    let names = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        chosen(&arguments).map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap().last(), Some(&"tests"), "the runner's summary comes last");
    assert_eq!(names(&["--only", "tidy", "--only", "fmt"]).unwrap(), ["fmt", "tidy"]);
    assert!(!names(&["--skip", "fuzz"]).unwrap().contains(&"fuzz"));
    assert!(names(&["--skip", "lunch"]).is_err());
    assert!(names(&["--fast"]).is_err());
}
