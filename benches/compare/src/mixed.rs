//! One trace of ten million operations for everybody: reads and overwrites in turn, of keys at random.

use std::time::Duration;

use anyhow::Result;

use crate::fs::Job;
use crate::others::Map;
use crate::trace::{Row, keys, per, row, timed, value};

const OPERATIONS: u64 = 10_000_000;

pub(crate) fn measure(count: u64) -> Result<Vec<Row>> {
    let ours = ours(count)?;
    let mut rows = vec![row("tidegate fs", "a get or put", per(ours, OPERATIONS))];
    let mut add = |who, took: Duration| {
        let ratio = took.as_secs_f64() / ours.as_secs_f64();
        rows.push(row(
            who,
            "a get or put, times ours",
            format!("{}, {ratio:.2}", per(took, OPERATIONS)),
        ));
    };
    add("hashbrown", hash_map(count)?);
    add("fjall", fjall(count)?);
    Ok(rows)
}

/// Writes every key, then times the trace: an even step reads, an odd one writes.
pub(crate) fn run<S>(
    store: &mut S,
    count: u64,
    put: impl Fn(&mut S, u64, [u8; 64]) -> Result<()>,
    get: impl Fn(&mut S, u64) -> Result<Option<u8>>,
) -> Result<Duration> {
    (0..count).try_for_each(|key| put(store, key, value(key, 0)))?;
    let (done, took) = timed(|| -> Result<u64> {
        let mut sum = 0;
        for (step, key) in (0..OPERATIONS).zip(keys(count, 7)) {
            if step % 2 == 0 {
                sum += u64::from(get(store, key)?.expect("every key was written"));
            } else {
                put(store, key, value(key, step))?;
            }
        }
        Ok(sum)
    });
    std::hint::black_box(done?);
    Ok(took)
}

fn ours(count: u64) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    // The limit that a subtask has by default.
    let mut job = Job::new(directory.path(), 256 << 20)?;
    let put = |job: &mut Job, key, value| job.set(key, value);
    run(&mut job, count, put, |job, key| job.read(key))
}

fn hash_map(count: u64) -> Result<Duration> {
    let put = |map: &mut Map, key, value| {
        map.insert(key, value);
        Ok(())
    };
    run(&mut Map::default(), count, put, |map, key| Ok(map.get(&key).map(|value| value[7])))
}

fn fjall(count: u64) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let database = fjall::Database::builder(directory.path()).open()?;
    let mut states = database.keyspace("state", fjall::KeyspaceCreateOptions::default)?;
    run(
        &mut states,
        count,
        |states, key, value| Ok(states.insert(key.to_be_bytes(), value)?),
        |states, key| Ok(states.get(key.to_be_bytes())?.map(|value| value[7])),
    )
}
