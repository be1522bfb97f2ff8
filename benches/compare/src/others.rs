//! A bare hash map, and fjall.

use std::hash::{BuildHasherDefault, Hasher};

use anyhow::Result;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::trace::{Row, cpu, keys, operations, per, row, timed, value};

/// XXH3-64 of the little-endian bytes: the hash of keys in tidegate.
#[derive(Default)]
pub(crate) struct SameHasher(u64);

impl Hasher for SameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = xxh3_64(&number.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type Map = HashMap<u64, [u8; 64], BuildHasherDefault<SameHasher>>;

pub(crate) fn hash_map(count: u64) -> Vec<Row> {
    let who = "hashbrown";
    let (mut map, mut rows, ops) = (Map::default(), Vec::new(), operations(count));
    let started = cpu();
    for key in 0..count {
        map.insert(key, value(key, 0));
    }
    rows.push(row(who, "first put, cpu", per(cpu() - started, count)));
    let started = cpu();
    for key in keys(count, 1).take(ops as usize) {
        map.insert(key, value(key, 1));
    }
    rows.push(row(who, "hot overwrite, cpu", per(cpu() - started, ops)));
    let started = cpu();
    let mut sum = 0;
    for key in keys(count, 2).take(ops as usize) {
        sum += map.get(&key).copied().map_or(0, |value| u64::from(value[7]));
    }
    rows.push(row(who, "hot get, cpu", per(cpu() - started, ops)));
    std::hint::black_box(sum);
    rows
}

pub(crate) fn fjall(count: u64) -> Result<Vec<Row>> {
    let who = "fjall";
    let directory = tempfile::tempdir()?;
    let open = || -> Result<_> {
        let database = fjall::Database::builder(directory.path()).open()?;
        let states = database.keyspace("state", fjall::KeyspaceCreateOptions::default)?;
        Ok((database, states))
    };
    let (database, states) = open()?;
    let (mut rows, ops) = (Vec::new(), operations(count).min(500_000));
    let (filled, took) = timed(|| -> Result<()> {
        (0..count).try_for_each(|key| Ok(states.insert(key.to_be_bytes(), value(key, 0))?))
    });
    filled?;
    rows.push(row(who, "first put, wall", per(took, count)));
    let (written, took) = timed(|| -> Result<()> {
        let mut all = keys(count, 1).take(ops as usize);
        all.try_for_each(|key| Ok(states.insert(key.to_be_bytes(), value(key, 1))?))
    });
    written?;
    rows.push(row(who, "overwrite, wall", per(took, ops)));
    let mut sum = 0;
    let (read, took) = timed(|| -> Result<()> {
        for key in keys(count, 2).take(ops as usize) {
            sum += states.get(key.to_be_bytes())?.map_or(0, |value| u64::from(value[7]));
        }
        Ok(())
    });
    read?;
    rows.push(row(who, "get, wall", per(took, ops)));
    let (synced, took) = timed(|| database.persist(fjall::PersistMode::SyncAll));
    synced?;
    rows.push(row(who, "persist", format!("{took:.1?}")));
    drop((states, database));
    let (reopened, took) = timed(|| -> Result<bool> {
        let (_database, states) = open()?;
        Ok(states.get(7_u64.to_be_bytes())?.is_some())
    });
    reopened?;
    rows.push(row(who, "reopen to first read", format!("{took:.1?}")));
    std::hint::black_box(sum);
    Ok(rows)
}
