//! `demo`: the main job, shown. A job is killed in the middle, resumed from its newest checkpoint,
//! and its output is compared line for line with that of a run that nobody disturbed.

mod compare;
mod input;
mod job;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use crate::metadata::Workspace;
use crate::shell::{self, cargo};
use compare::{Committed, Comparison};
use job::{Job, Place};

/// Flights per second: the whole input takes about six seconds.
const RATE: usize = 56_000;
/// The job is killed at about this time, when it is in the middle.
const KILL_AFTER: Duration = Duration::from_millis(2_300);
/// No step takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(200);

/// The task.
pub(crate) fn run() -> Result<()> {
    println!(
        "Tidegate: a job is killed in the middle and resumed. Nothing is lost, nothing repeated.\n"
    );
    shell::run(&mut cargo(["build", "--release"]))?;
    let target = Workspace::load(".")?.target;
    let (programs, demo) = (target.join("release"), target.join("demo"));
    let flights = input::unpack(&demo.join("input"))?;
    println!(
        "\n1. INPUT    {} flights of the year 2013, in {}",
        with_commas(flights),
        near(&demo.join("input"))
    );

    let undisturbed = Place::fresh(&programs, &demo, "undisturbed")?;
    let expected = run_undisturbed(&undisturbed)?;

    let killed = Place::fresh(&programs, &demo, "killed")?;
    let checkpoint = start_and_kill(&killed, &expected)?;
    inspect(&killed, &checkpoint)?;
    resume(&killed, &checkpoint)?;
    verdict(&expected, &Committed::of(&killed)?)
}

fn run_undisturbed(place: &Place) -> Result<Committed> {
    let started = Instant::now();
    let mut job = Job::start(place, "run.log", &mut place.run_command(None, None))?;
    job.finish(PATIENCE).context("the undisturbed run")?;
    let committed = Committed::of(place)?;
    let (updates, days) = (with_commas(committed.updates.len()), with_commas(committed.days.len()));
    ensure!(!committed.updates.is_empty(), "the undisturbed run committed no line");
    println!(
        "2. JUDGE    a run that nobody disturbs: {updates} updates, {days} daily figures, {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(committed)
}

/// Starts the job and kills it in the middle. Returns the newest complete checkpoint's directory.
fn start_and_kill(place: &Place, expected: &Committed) -> Result<PathBuf> {
    let mut command = place.run_command(None, Some(RATE));
    println!("3. START    a checkpoint every 200 ms, {} flights per second", with_commas(RATE));
    show(&command);
    // Another instant each time: it must not matter which.
    let jitter = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_micros() % 800);
    let kill_after = KILL_AFTER + Duration::from_millis(u64::from(jitter));
    let started = Instant::now();
    let mut job = Job::start(place, "before-the-kill.log", &mut command)?;
    loop {
        if let Some(status) = job.try_wait()? {
            bail!("the job ended ({status}) before it could be killed\n{}", job.log()?);
        }
        let checkpoints = place.checkpoints()?;
        if started.elapsed() >= kill_after
            && checkpoints.last().is_some_and(|(number, _)| *number >= 2)
        {
            break;
        }
        if started.elapsed() > PATIENCE {
            bail!("no two checkpoints within {} s\n{}", PATIENCE.as_secs(), job.log()?);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    job.kill()?;
    let (number, checkpoint) = place.checkpoints()?.pop().context("the checkpoints are gone")?;
    let committed = Committed::of(place)?.updates.len();
    let total = expected.updates.len();
    println!(
        "4. KILL -9  after {:.1} s: {} of {} updates were committed ({} %); newest checkpoint chk-{number}",
        started.elapsed().as_secs_f64(),
        with_commas(committed),
        with_commas(total),
        committed * 100 / total,
    );
    ensure!(committed < total, "all lines were committed: that is not the middle");
    Ok(checkpoint)
}

fn inspect(place: &Place, checkpoint: &Path) -> Result<()> {
    let mut command = place.tidegate();
    command.arg("inspect").arg(checkpoint);
    println!("5. INSPECT  $ {}", shell::shown(&command));
    let output = command.output().context("cannot start tidegate inspect")?;
    ensure!(output.status.success(), "inspect failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().take(40) {
        println!("            | {line}");
    }
    Ok(())
}

fn resume(place: &Place, checkpoint: &Path) -> Result<()> {
    let mut command = place.run_command(Some(checkpoint), Some(RATE));
    println!("6. RESUME   the same command with -s {}", near(checkpoint));
    let started = Instant::now();
    let mut job = Job::start(place, "after-the-kill.log", &mut command)?;
    job.finish(PATIENCE).context("the resumed run")?;
    for line in
        job.log()?.lines().filter(|line| line.contains("resum") || line.contains("restor")).take(3)
    {
        println!("            | {line}");
    }
    println!("            finished after another {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn verdict(expected: &Committed, found: &Committed) -> Result<()> {
    let updates = Comparison::of(&expected.updates, &found.updates);
    let days = Comparison::of(&expected.days, &found.days);
    println!("7. COMPARE  updates: {updates}");
    println!("            daily figures: {days}");
    if !(updates.is_identical() && days.is_identical()) {
        bail!("the killed run's output is not that of the undisturbed one");
    }
    println!(
        "\nEXACTLY ONCE: killed and resumed, the job committed just what it would have anyway."
    );
    Ok(())
}

/// A path as seen from the repository's root.
fn near(path: &Path) -> String {
    shell::near(&path.display().to_string())
}

/// Prints a command, a line for each group of its options.
fn show(command: &Command) {
    let mut text = shell::shown(command);
    for option in [" -D ", " -p ", " --input "] {
        text = text.replace(option, &format!(" \\\n               {}", option.trim_start()));
    }
    println!("            $ {text}");
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn numbers_have_commas() {
    assert_eq!([7, 999, 1_000, 336_776].map(with_commas), ["7", "999", "1,000", "336,776"]);
}
