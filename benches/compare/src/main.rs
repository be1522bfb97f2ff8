//! The fs backend beside a bare hash map, whole-map dumps and fjall: the same keys, values and
//! order of operations, in one run. Prints a table for each number of keys.
//!
//! ```text
//! cargo run --release -p tidegate-compare -- 10000 1000000     # everything below, briefly
//! cargo run --release -p tidegate-compare -- hot 1000000       # keys in memory, beside a hash map
//! cargo run --release -p tidegate-compare -- mixed 1000000     # one trace of 10^7 operations for everybody
//! cargo run --release -p tidegate-compare -- snapshot 16777216 # one checkpoint of 1 GiB, beside plain files
//! ```
//!
//! The directory is `TMPDIR`'s; put it on the disk that is to be measured. RocksDB is in a
//! program of its own, `compare-rocksdb`: its C++ stays out of the ordinary build.
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::unchecked_time_subtraction,
    reason = "figures for people, of runs that fit into this machine's memory"
)]

mod dumps;
mod fs;
mod hot;
mod mixed;
mod others;
mod snapshot;
mod trace;

use anyhow::Result;

use crate::trace::Row;

type Measure = fn(u64) -> Result<Vec<Row>>;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let measure = match arguments.first().map(String::as_str) {
        Some("hot") => Some(hot::measure as Measure),
        Some("mixed") => Some(mixed::measure as Measure),
        Some("snapshot") => Some(snapshot::measure as Measure),
        _ => None,
    };
    if measure.is_some() {
        arguments.remove(0);
    }
    let measure = measure.unwrap_or(everything);
    let sizes: Vec<u64> = arguments.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![10_000, 100_000, 1_000_000] } else { sizes };
    for keys in sizes {
        println!("\n{keys} keys of u64 with values of 64 bytes\n");
        print(&measure(keys)?);
    }
    Ok(())
}

fn everything(keys: u64) -> Result<Vec<Row>> {
    let mut rows = fs::measure(keys)?;
    rows.extend(others::hash_map(keys));
    rows.extend(dumps::measure(keys)?);
    rows.extend(others::fjall(keys)?);
    Ok(rows)
}

fn print(rows: &[Row]) {
    for row in rows {
        println!("{:<14} {:<44} {:>14}", row.who, row.what, row.value);
    }
}
