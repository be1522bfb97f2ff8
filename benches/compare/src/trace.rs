//! The operations that everybody gets, and how they are timed.

use std::time::{Duration, Instant};

/// A line of the result.
pub(crate) struct Row {
    pub(crate) who: &'static str,
    pub(crate) what: String,
    pub(crate) value: String,
}

pub(crate) fn row(who: &'static str, what: &str, value: String) -> Row {
    Row { who, what: what.to_owned(), value }
}

/// The value of a key after so many writes.
pub(crate) fn value(key: u64, round: u64) -> [u8; 64] {
    let mut value = [0; 64];
    for (index, piece) in value.chunks_exact_mut(8).enumerate() {
        let word = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(index as u64 ^ round);
        piece.copy_from_slice(&word.to_le_bytes());
    }
    value
}

/// Keys below `limit` in random order, each as often as chance has it.
pub(crate) fn keys(limit: u64, seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        ((u128::from(state.wrapping_mul(0x2545_F491_4F6C_DD1D)) * u128::from(limit)) >> 64) as u64
    })
}

pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = run();
    (result, started.elapsed())
}

/// Time of the thread on a processor: what a busy machine disturbs least.
pub(crate) fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanos)
}

pub(crate) fn per(duration: Duration, count: u64) -> String {
    format!("{:.1} ns", duration.as_secs_f64() * 1e9 / count as f64)
}

pub(crate) fn bandwidth(bytes: u64, duration: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / duration.as_secs_f64())
}

/// How many operations of a kind are timed.
pub(crate) fn operations(keys: u64) -> u64 {
    keys.clamp(200_000, 2_000_000)
}
