//! A trace of reads and writes, one to one, of random keys out of a million that are there.

use std::time::Instant;

use anyhow::Result;
use tidegate_state::StateBackend;

use crate::job::{Place, fs, rocksdb};
use crate::{keys, print, value};

const KEYS: u64 = 1_000_000;

pub(crate) fn measure(count: u64) -> Result<()> {
    println!("\n{count} operations, get and put in turn, of {KEYS} keys of u64 with 64 bytes\n");
    let place = Place::new()?;
    backend(&fs(&place, true)?, count)?;
    backend(&rocksdb(&place, true)?, count)?;
    alone(count)?;
    fjall(count)
}

fn report(who: &str, count: u64, run: impl FnOnce() -> Result<u64>) -> Result<()> {
    let started = Instant::now();
    let sum = run()?;
    let took = started.elapsed();
    std::hint::black_box(sum);
    let each = took.as_secs_f64() * 1e9 / count as f64;
    print(who, "each operation, wall", &format!("{each:.0} ns"));
    Ok(())
}

fn backend(backend: &dyn StateBackend, count: u64) -> Result<()> {
    let place = Place::new()?;
    let job = place.open::<64>(backend, (0, 1), &[])?;
    for key in 0..KEYS {
        job.put(key, 0)?;
    }
    report(&format!("tidegate {}", backend.name()), count, || {
        let mut sum = 0;
        for (number, key) in (0..count).zip(keys(KEYS, 1)) {
            if number % 2 == 0 {
                sum += u64::from(job.get(key)?);
            } else {
                job.put(key, number)?;
            }
        }
        Ok(sum)
    })
}

/// RocksDB as the backend opens it, with the plain key.
pub(crate) fn options() -> ::rocksdb::Options {
    let cache = ::rocksdb::Cache::new_lru_cache(256 << 20);
    let mut table = ::rocksdb::BlockBasedOptions::default();
    table.set_block_cache(&cache);
    table.set_bloom_filter(10.0, false);
    let mut options = ::rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(::rocksdb::DBCompressionType::Lz4);
    options.set_max_background_jobs(2);
    options
}

fn alone(count: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = options();
    let database = ::rocksdb::DB::open(&options, directory.path())?;
    let mut write = ::rocksdb::WriteOptions::default();
    write.disable_wal(true);
    for key in 0..KEYS {
        database.put_opt(key.to_be_bytes(), value::<64>(key, 0), &write)?;
    }
    report("rocksdb alone", count, || {
        let mut sum = 0;
        for (number, key) in (0..count).zip(keys(KEYS, 1)) {
            if number % 2 == 0 {
                let found = database.get_pinned(key.to_be_bytes())?;
                sum += found.map_or(0, |value| u64::from(value[7]));
            } else {
                database.put_opt(key.to_be_bytes(), value::<64>(key, number), &write)?;
            }
        }
        Ok(sum)
    })
}

fn fjall(count: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let database = fjall::Database::builder(directory.path()).open()?;
    let states = database.keyspace("state", fjall::KeyspaceCreateOptions::default)?;
    for key in 0..KEYS {
        states.insert(key.to_be_bytes(), value::<64>(key, 0))?;
    }
    report("fjall", count, || {
        let mut sum = 0;
        for (number, key) in (0..count).zip(keys(KEYS, 1)) {
            if number % 2 == 0 {
                sum += states.get(key.to_be_bytes())?.map_or(0, |value| u64::from(value[7]));
            } else {
                states.insert(key.to_be_bytes(), value::<64>(key, number))?;
            }
        }
        Ok(sum)
    })
}
