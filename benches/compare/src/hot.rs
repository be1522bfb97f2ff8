//! Operations on keys that are in the overlay, beside a bare hash map: both have the same entries at the same
//! time and take turns, so that whatever disturbs the machine disturbs both.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;

use tidegate_types::StateKey;

use crate::fs::Job;
use crate::others::Map;
use crate::trace::{Row, keys, row, value};

/// How often they take turns.
const TURNS: u64 = 7;

/// How many operations a turn has.
const OPERATIONS: usize = 2_000_000;

pub(crate) fn measure(count: u64) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let job = Job::new(directory.path(), u64::MAX)?;
    let mut map = Map::default();
    for key in 0..count {
        job.put(key, 0)?;
        map.insert(key, value(key, 0));
    }
    let mut rows = Vec::new();
    let put = |key, round| job.put(key, round);
    let insert = |key, round| {
        map.insert(key, value(key, round));
        Ok(())
    };
    rows.push(turns("overwrite", count, put, insert)?);
    let update = |key, round| job.update(key, round);
    let entry = |key, round: u64| {
        let value = map.get_mut(&key).expect("it was put");
        value[8] ^= round.to_le_bytes()[0];
        Ok(())
    };
    rows.push(turns("read, modify, write", count, update, entry)?);
    let get = |key: u64, _| {
        job.state.set_current_key(key, key.key_hash());
        black_box(job.value.get()?.unwrap_or([0; 64]));
        Ok(())
    };
    let copied = |key, _| {
        black_box(map.get(&key).copied().unwrap_or([0; 64]));
        Ok(())
    };
    rows.push(turns("get a copy", count, get, copied)?);
    let read = |key, _| {
        black_box(job.read(key)?);
        Ok(())
    };
    let shown = |key, _| {
        black_box(map.get(&key).map(|value| value[7]));
        Ok(())
    };
    rows.push(turns("read in place", count, read, shown)?);
    // What is read says where to look next, so that one look-up cannot begin before the last has ended.
    let (mut ours, mut bare) = (0, 0);
    let read = |key, _| {
        ours = u64::from(job.read((key + ours) % count)?.unwrap_or(0));
        Ok(())
    };
    let shown = |key: u64, _| {
        bare = u64::from(map.get(&((key + bare) % count)).map_or(0, |value| value[7]));
        Ok(())
    };
    rows.push(turns("read in place, each after the last", count, read, shown)?);
    Ok(rows)
}

fn turns(
    what: &str,
    count: u64,
    mut ours: impl FnMut(u64, u64) -> Result<()>,
    mut bare: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Row> {
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        times[0].push(one(count, turn, &mut ours)?);
        times[1].push(one(count, turn, &mut bare)?);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e9 / OPERATIONS as f64
    };
    let (ours, bare) = (median(&mut times[0]), median(&mut times[1]));
    let value = format!("{ours:.1} / {bare:.1} ns = {:.2}", ours / bare);
    Ok(row("fs / hashbrown", &format!("{what}, wall"), value))
}

fn one(
    count: u64,
    turn: u64,
    operation: &mut impl FnMut(u64, u64) -> Result<()>,
) -> Result<Duration> {
    let started = Instant::now();
    let mut keys = keys(count, turn + 1).take(OPERATIONS);
    keys.try_for_each(|key| operation(key, turn))?;
    Ok(started.elapsed())
}
