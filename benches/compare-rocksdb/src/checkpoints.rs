//! Checkpoints of a large state of which one key in a hundred has changed; restoring and rescaling.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use rocksdb::checkpoint::Checkpoint;
use tidegate_state::StateBackend;

use crate::job::{Job, Place, Taken, fs, rocksdb};
use crate::{keys, operations, print, value};

const BYTES: usize = 1024;

pub(crate) fn measure(mib: u64) -> Result<()> {
    let count = mib << 10;
    println!("\n{count} keys of u64 with values of {BYTES} bytes\n");
    for incremental in [true, false] {
        let place = Place::new()?;
        backend(&place, &fs(&place, incremental)?, count, incremental)?;
        let place = Place::new()?;
        backend(&place, &rocksdb(&place, incremental)?, count, incremental)?;
    }
    alone(count)?;
    let place = Place::new()?;
    rescale(&place, &fs(&place, true)?, count)?;
    let place = Place::new()?;
    rescale(&place, &rocksdb(&place, true)?, count)
}

fn fill(job: &mut Job<BYTES>, count: u64) -> Result<()> {
    for key in 0..count {
        if job.has(key) {
            job.put(key, 0)?;
        }
        if key % 4096 == 0 {
            job.state.maintain()?;
        }
    }
    Ok(())
}

/// The bytes of files that an earlier checkpoint does not have.
fn new_bytes(taken: &Taken, earlier: Option<&Taken>) -> u64 {
    let files = |taken: &Taken| -> BTreeMap<String, u64> {
        let shared = taken.result.keyed.iter().flat_map(|keyed| keyed.shared.clone());
        shared.map(|s| (s.file.reference.to_string(), s.file.length)).collect()
    };
    let known = earlier.map(files).unwrap_or_default();
    files(taken).iter().filter(|(name, _)| !known.contains_key(*name)).map(|(_, n)| n).sum()
}

fn report(who: &str, what: &str, taken: &Taken, earlier: Option<&Taken>) {
    print(who, &format!("{what}: pause"), &format!("{:.2?}", taken.pause));
    print(who, &format!("{what}: asynchronous part"), &format!("{:.2?}", taken.write));
    let mb = new_bytes(taken, earlier) as f64 / 1e6;
    print(who, &format!("{what}: bytes of new files"), &format!("{mb:.1} MB"));
}

fn backend(place: &Place, backend: &dyn StateBackend, count: u64, incremental: bool) -> Result<()> {
    let who = format!("tidegate {}", backend.name());
    let mut job = place.open::<BYTES>(backend, (0, 1), &[])?;
    let started = Instant::now();
    fill(&mut job, count)?;
    if incremental {
        print(&who, "inserting all", &format!("{:.2?}", started.elapsed()));
    }
    let first = job.checkpoint(place)?;
    if incremental {
        report(&who, "first checkpoint", &first, None);
    }
    for key in keys(count, 3).take(usize::try_from(count / 100)?) {
        job.put(key, 1)?;
    }
    let second = job.checkpoint(place)?;
    let what = if incremental { "incremental, 1 % changed" } else { "whole, 1 % changed" };
    report(&who, what, &second, incremental.then_some(&first));
    if !incremental {
        return Ok(());
    }
    drop(job);
    let started = Instant::now();
    let job = place.open::<BYTES>(backend, (0, 1), &[&second])?;
    std::hint::black_box(job.get(7)?);
    print(&who, "restore to first read", &format!("{:.2?}", started.elapsed()));
    Ok(())
}

fn alone(count: u64) -> Result<()> {
    let who = "rocksdb alone";
    let directory = tempfile::tempdir()?;
    let options = operations::options();
    let database = ::rocksdb::DB::open(&options, directory.path().join("db"))?;
    let mut write = ::rocksdb::WriteOptions::default();
    write.disable_wal(true);
    for key in 0..count {
        database.put_opt(key.to_be_bytes(), value::<BYTES>(key, 0), &write)?;
    }
    let checkpoints = Checkpoint::new(&database)?;
    let started = Instant::now();
    checkpoints.create_checkpoint(directory.path().join("first"))?;
    print(who, "its own checkpoint, first", &format!("{:.2?}", started.elapsed()));
    for key in keys(count, 3).take(usize::try_from(count / 100)?) {
        database.put_opt(key.to_be_bytes(), value::<BYTES>(key, 1), &write)?;
    }
    let started = Instant::now();
    checkpoints.create_checkpoint(directory.path().join("second"))?;
    print(who, "its own checkpoint, 1 % changed", &format!("{:.2?}", started.elapsed()));
    Ok(())
}

fn rescale(place: &Place, backend: &dyn StateBackend, count: u64) -> Result<()> {
    let who = format!("tidegate {}", backend.name());
    let mut taken = Vec::new();
    for index in 0..2 {
        let mut job = place.open::<BYTES>(backend, (index, 2), &[])?;
        fill(&mut job, count)?;
        taken.push(job.checkpoint(place)?);
    }
    let taken: Vec<&Taken> = taken.iter().collect();
    let started = Instant::now();
    for index in 0..3 {
        let job = place.open::<BYTES>(backend, (index, 3), &taken)?;
        let own = (0..count).find(|key| job.has(*key)).unwrap_or_default();
        std::hint::black_box(job.get(own)?);
    }
    print(&who, "rescale 2 to 3, one after another", &format!("{:.2?}", started.elapsed()));
    let place = Place::new()?;
    let started = Instant::now();
    for index in 0..3 {
        let mut job = place.open::<BYTES>(backend, (index, 3), &[])?;
        fill(&mut job, count)?;
    }
    print(&who, "re-inserting into 3", &format!("{:.2?}", started.elapsed()));
    Ok(())
}
