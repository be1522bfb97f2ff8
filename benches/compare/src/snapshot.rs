//! One large checkpoint: how fast it becomes durable beside a plain file of as many bytes, what memory it takes, and
//! what the task notices of it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::OFlags;

use crate::fs::Job;
use crate::trace::{Row, bandwidth, keys, row, timed};

const WHO: &str = "tidegate fs";

/// Rounds, each with a state of its own; plain files are written in the same rounds.
const ROUNDS: usize = 3;

/// How long the task is watched before and after the checkpoint.
const WATCH: Duration = Duration::from_millis(1_500);

pub(crate) fn measure(count: u64) -> Result<Vec<Row>> {
    touch();
    let mut rows = Vec::new();
    for round in 1..=ROUNDS {
        rows.push(row("", &format!("round {round}"), String::new()));
        let directory = tempfile::tempdir()?;
        let mut job = Job::new(directory.path(), u64::MAX)?;
        (0..count).try_for_each(|key| job.put(key, 0))?;
        let bytes = alone(&mut job, &mut rows)?;
        rows.extend(plain(directory.path(), bytes)?);
        drop(job);
        let directory = tempfile::tempdir()?;
        let mut job = Job::new(directory.path(), u64::MAX)?;
        (0..count).try_for_each(|key| job.put(key, 0))?;
        beside_the_task(&mut job, count, &mut rows)?;
    }
    Ok(rows)
}

/// Uses most of the memory once and gives it back: what a virtual machine has never used is slow at first, in the page
/// cache too.
fn touch() {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    std::hint::black_box(vec![1_u8; (free.unwrap_or(0) * 1024 / 10 * 8) as usize]);
}

/// Nothing else runs. Gives the bytes written.
fn alone(job: &mut Job, rows: &mut Vec<Row>) -> Result<u64> {
    let (frozen, pause) = timed(|| job.freeze());
    let (id, frozen) = frozen?;
    let (place, before) = (job.place(id)?, anonymous_memory());
    let (peak, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (result, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_memory(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = timed(|| place.run(frozen));
        done.store(true, Ordering::Relaxed);
        result
    });
    let result = result?;
    let bytes = result.keyed[0].shared.iter().map(|shared| shared.file.length).sum();
    let more = peak.into_inner().saturating_sub(before) as f64 / f64::from(1 << 20);
    rows.push(row(WHO, "pause", format!("{pause:.1?}")));
    rows.push(row(WHO, "bytes, to durable", format!("{bytes}, {took:.2?}")));
    rows.push(row(WHO, "bandwidth", bandwidth(bytes, took)));
    rows.push(row(WHO, "memory beyond the state, at most", format!("{more:.0} MiB")));
    Ok(bytes)
}

/// As many bytes from a buffer, with several block sizes.
fn plain(directory: &Path, bytes: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (direct, block) in
        [(false, 16), (false, 18), (false, 20), (false, 23), (true, 20), (true, 23)]
    {
        let path = directory.join("plain");
        let (written, took) = timed(|| write(&path, bytes, 1 << block, direct));
        written?;
        std::fs::remove_file(&path)?;
        let what = format!("{} KiB{}", (1 << block) >> 10, if direct { ", O_DIRECT" } else { "" });
        rows.push(row("plain file", &what, bandwidth(bytes, took)));
    }
    Ok(rows)
}

fn write(path: &Path, bytes: u64, block: usize, direct: bool) -> Result<()> {
    let flags = if direct { OFlags::DIRECT.bits().cast_signed() } else { 0 };
    let mut file: File = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    let memory = vec![0x5A_u8; block + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let block = &memory[start..start + block];
    // Of the last block O_DIRECT would need a multiple of the sector: a little more is written.
    for _ in 0..bytes.div_ceil(block.len() as u64) {
        file.write_all(block)?;
    }
    Ok(file.sync_all()?)
}

/// The task goes on while a thread writes the checkpoint.
fn beside_the_task(job: &mut Job, count: u64, rows: &mut Vec<Row>) -> Result<()> {
    let (id, frozen) = job.freeze()?;
    let mut keys = keys(count, 5);
    let mut go_on = |until: &dyn Fn() -> bool| -> Result<f64> {
        let (started, mut done) = (Instant::now(), 0_u32);
        while !until() {
            for key in keys.by_ref().take(1_000) {
                job.update(key, 1)?;
            }
            done += 1_000;
        }
        Ok(f64::from(done) / started.elapsed().as_secs_f64())
    };
    let watch = || {
        let started = Instant::now();
        move || started.elapsed() > WATCH
    };
    // The first update of a key copies it out of the frozen overlay: that is not what is measured.
    (0..count).try_for_each(|key| job.update(key, 1))?;
    let before = go_on(&watch())?;
    let written = AtomicBool::new(false);
    let during = std::thread::scope(|scope| -> Result<f64> {
        let (target, written) = (job.place(id)?, &written);
        let writer = scope.spawn(move || {
            let result = target.run(frozen);
            written.store(true, Ordering::Release);
            result
        });
        let during = go_on(&|| written.load(Ordering::Acquire))?;
        writer.join().expect("the writer does not panic")?;
        Ok(during)
    })?;
    let after = go_on(&watch())?;
    let share = during / f64::midpoint(before, after) * 100.0;
    let rates = [before, during, after].map(|rate| format!("{:.2}", rate / 1e6)).join(" / ");
    rows.push(row(WHO, "M updates/s: before, during, after", rates));
    rows.push(row(WHO, "rate during / without the checkpoint", format!("{share:.0} %")));
    Ok(())
}

/// The anonymous memory of this process, in bytes: mapped files are not in it.
fn anonymous_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}
