//! A whole keyed job of two stages, in a process of its own: its throughput with a checkpoint every
//! 100 ms against none, and how long a checkpoint takes when the channels hold ten seconds of
//! records, aligned and unaligned.
//!
//! Ratios of times taken in one run of this program, on whatever else the machine does. With
//! `--test` everything once and small.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tidegate::{Generator, Job, Parallelism, ProcessContext};

/// The child's orders: `records,delay in microseconds`.
const ORDERS: &str = "TIDEGATE_BENCH_JOB";

fn main() -> ExitCode {
    if let Ok(orders) = std::env::var(ORDERS) {
        let (records, delay) = orders.split_once(',').expect("two numbers");
        let records = records.parse().expect("a number of records");
        let delay = Duration::from_micros(delay.parse().expect("a number of microseconds"));
        return tidegate::run("two stages", move |job| {
            two_stages(job, records, delay);
            Ok(())
        });
    }
    let smoke = std::env::args().any(|argument| argument == "--test");
    throughput(if smoke { 20_000 } else { 20_000_000 }, if smoke { 1 } else { 5 });
    back_pressure(if smoke { Duration::from_micros(20) } else { Duration::from_micros(1_150) });
    ExitCode::SUCCESS
}

/// Both stages keep a number for each of 10,000 keys; the second one takes its time.
fn two_stages(job: &Job, records: u64, delay: Duration) {
    job.source("numbers", Generator::new(records, |n| n))
        .parallelism(Parallelism::ONE)
        .stream()
        .key_by(|n: &u64| n % 10_000)
        .process("first", |states| {
            let sum = states.value::<u64>("sum")?;
            Ok(move |_: &u64, n: u64, out: &mut ProcessContext<'_, _, _>| {
                sum.put(sum.get()?.unwrap_or(0).wrapping_add(n))?;
                out.emit(n);
                Ok(())
            })
        })
        .key_by(|n: &u64| n % 9_973)
        .process("second", move |states| {
            let count = states.value::<u64>("count")?;
            Ok(move |_: &u64, _: u64, out: &mut ProcessContext<'_, _, ()>| {
                if !delay.is_zero() {
                    std::thread::sleep(delay);
                }
                count.put(count.get()?.unwrap_or(0) + 1)?;
                let _ = out;
                Ok(())
            })
        });
}

fn child(directory: &Path, settings: &str, records: u64, delay: Duration) -> Command {
    std::fs::write(directory.join("tidegate.yaml"), settings).expect("a writable directory");
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command
        .env(ORDERS, format!("{records},{}", delay.as_micros()))
        .env("TIDEGATE_CONF_DIR", directory)
        .env("TIDEGATE_RUNTIME_DIR", directory.join("run"))
        .env("TIDEGATE_LOG", "error")
        .stdin(Stdio::null());
    command
}

/// Runs alternate, so that what else the machine does meets both; the fastest of each counts.
fn throughput(records: u64, rounds: u32) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = ["{}".to_owned(), checkpointing(directory.path(), "100 ms", "")];
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..rounds {
        for (settings, fastest) in settings.iter().zip(&mut fastest) {
            let started = Instant::now();
            let mut child = child(directory.path(), settings, records, Duration::ZERO);
            assert!(child.status().expect("the child starts").success(), "the job failed");
            *fastest = started.elapsed().min(*fastest);
        }
    }
    let [none, every_100_ms] = fastest.map(|time| time.as_secs_f64());
    println!(
        "{records} records: {none:.3} s without checkpoints, {every_100_ms:.3} s with one every \
         100 ms: {:.1} % of the throughput",
        none / every_100_ms * 100.0
    );
}

fn back_pressure(delay: Duration) {
    let unaligned = "  unaligned.enabled: true\n";
    let [aligned, unaligned] = ["", unaligned].map(|mode| first_checkpoint(mode, delay));
    println!(
        "under back pressure: aligned {:.3} s, unaligned {:.3} s: {:.0} times faster",
        aligned.as_secs_f64(),
        unaligned.as_secs_f64(),
        aligned.as_secs_f64() / unaligned.as_secs_f64().max(0.001)
    );
}

/// How long the first checkpoint takes, two seconds after the start: from its trigger, which its
/// metadata tells, to the time at which the metadata was written.
fn first_checkpoint(mode: &str, delay: Duration) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = checkpointing(directory.path(), "2 s", mode);
    let mut child = child(directory.path(), &settings, u64::MAX, delay).spawn().expect("it starts");
    let metadata = loop {
        std::thread::sleep(Duration::from_millis(10));
        assert!(child.try_wait().expect("it can be asked").is_none(), "the job has ended");
        let jobs = std::fs::read_dir(directory.path().join("checkpoints")).ok();
        let jobs = jobs.into_iter().flatten().filter_map(Result::ok);
        let mut found = jobs.map(|job| job.path().join("chk-1/_metadata"));
        if let Some(metadata) = found.find(|path| path.exists()) {
            break metadata;
        }
    };
    let written = metadata.metadata().and_then(|file| file.modified()).expect("a time");
    let bytes = std::fs::read(&metadata).expect("the metadata");
    let triggered = tidegate_meta::MetadataView::open(&bytes).expect("sound").created_at_ms();
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    let triggered = UNIX_EPOCH + Duration::from_millis(triggered);
    written.duration_since(triggered).unwrap_or(Duration::ZERO)
}

fn checkpointing(directory: &Path, interval: &str, mode: &str) -> String {
    format!(
        "state.checkpoints.dir: file://{}/checkpoints\nexecution.checkpointing:\n  \
         interval: {interval}\n{mode}",
        directory.display()
    )
}
