//! The RocksDB backend beside RocksDB alone, fjall and the fs backend: the same keys, values and order
//! of operations, in one run.
//!
//! ```text
//! cargo xtask rocksdb cargo run --release -p tidegate-compare-rocksdb -- operations 10000000
//! cargo xtask rocksdb cargo run --release -p tidegate-compare-rocksdb -- checkpoints 1024
//! ```
//!
//! `operations` takes how many; `checkpoints` takes the size of the state in MiB. The directory is
//! `TMPDIR`'s; put it on the disk that is to be measured.
#![forbid(unsafe_code)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod checkpoints;
mod job;
mod operations;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["operations", count] => operations::measure(count.parse()?),
        ["checkpoints", mib] => checkpoints::measure(mib.parse()?),
        _ => bail!("say `operations COUNT` or `checkpoints MIB`"),
    }
}

fn print(who: &str, what: &str, value: &str) {
    println!("{who:<18} {what:<52} {value:>16}");
}

/// Keys below `limit` in random order, each as often as chance has it.
fn keys(limit: u64, seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        u64::try_from((u128::from(random) * u128::from(limit)) >> 64).expect("below the limit")
    })
}

/// The value of a key after so many writes; no two words of it are alike.
fn value<const N: usize>(key: u64, round: u64) -> [u8; N] {
    let mut value = [0; N];
    for (index, piece) in value.chunks_exact_mut(8).enumerate() {
        let mut word = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (round << 40) ^ index as u64;
        word = (word ^ (word >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        piece.copy_from_slice(&(word ^ (word >> 27)).to_le_bytes());
    }
    value
}
