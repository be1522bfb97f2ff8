//! The fs backend beside a bare hash map, whole-map dumps and fjall: the same keys, values and
//! order of operations, in one run. Prints a table for each number of keys.
//!
//! ```text
//! cargo run --release -p tidegate-compare -- 10000 1000000
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
mod others;
mod trace;

use anyhow::Result;

use crate::trace::Row;

fn main() -> Result<()> {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![10_000, 100_000, 1_000_000] } else { sizes };
    for keys in sizes {
        println!("\n{keys} keys of u64 with values of 64 bytes\n");
        let mut rows = fs::measure(keys)?;
        rows.extend(others::hash_map(keys));
        rows.extend(dumps::measure(keys)?);
        rows.extend(others::fjall(keys)?);
        print(&rows);
    }
    Ok(())
}

fn print(rows: &[Row]) {
    for row in rows {
        println!("{:<14} {:<44} {:>14}", row.who, row.what, row.value);
    }
}
