//! Times and sizes, from settings.

use std::io;
use std::time::Duration;

use tidegate_store::{Determinacy, Operation, StorageError, StorageSettings};
use tidegate_store_remote::ownership::Lease;
use tidegate_store_remote::{PartMemory, RetryPolicy};

use crate::location::Kind;

const MIB: usize = 1024 * 1024;
// What S3 demands of every part but the last, and the most that a request can take there.
const PART_SIZES: std::ops::RangeInclusive<usize> = 5 * MIB..=5 * 1024 * MIB;

/// How requests are made to one bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) retry: RetryPolicy,
    pub(crate) connect_timeout: Duration,
    pub(crate) lease: Lease,
    /// Of one upload.
    pub(crate) memory: PartMemory,
    /// Of one read: the size of a piece, and how many are under way.
    pub(crate) reads: (usize, usize),
}

/// The settings of times and sizes that every kind has, below its prefix.
pub(crate) const COMMON: [&str; 6] = [
    "request-timeout",
    "retry-timeout",
    "connect-timeout",
    "lease",
    "part-size",
    "parallel-transfers",
];

impl Kind {
    /// How the keys of its settings begin.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "s3.",
            Self::Gcs => "gs.",
            Self::Azure => "azure.",
        }
    }
}

impl Options {
    pub(crate) fn from_settings(
        kind: Kind,
        settings: &StorageSettings,
    ) -> Result<Self, StorageError> {
        let prefix = kind.prefix();
        let key = |name: &str| format!("{prefix}{name}");
        let time = |name: &str, default: u64| {
            let key = key(name);
            let Some(text) = settings.get(&key) else { return Ok(Duration::from_secs(default)) };
            duration(text).ok_or_else(|| not_accepted(&key, "a duration such as 20 s"))
        };
        let part_size = match settings.get(&key("part-size")) {
            None => 8 * MIB,
            Some(text) => size(text)
                .filter(|size| PART_SIZES.contains(size))
                .ok_or_else(|| not_accepted(&key("part-size"), "a size from 5 mb to 5 gb"))?,
        };
        let parallel = match settings.get(&key("parallel-transfers")) {
            None => 4,
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|count| (1..=64).contains(count))
                .ok_or_else(|| not_accepted(&key("parallel-transfers"), "a number from 1 to 64"))?,
        };
        let retry = RetryPolicy {
            deadline: time("retry-timeout", 120)?,
            attempt_timeout: time("request-timeout", 30)?,
            ..RetryPolicy::default()
        };
        Ok(Self {
            retry,
            connect_timeout: time("connect-timeout", 5)?,
            lease: Lease { lease: time("lease", 15)? },
            // One more, to be filled while the others are on their way.
            memory: PartMemory { part_size, parts: parallel + 1 },
            reads: (4 * MIB, parallel),
        })
    }
}

/// A setting that is no such thing. The value is not repeated: it may be a secret in the wrong place.
pub(crate) fn not_accepted(key: &str, accepted: &str) -> StorageError {
    let error = io::Error::new(io::ErrorKind::InvalidInput, format!("{accepted} is accepted"));
    let what = format!("the setting {key}");
    StorageError::from_io(Operation::Read, what, Determinacy::Determinate, error)
}

/// `true` or `false`.
pub(crate) fn switch(key: &str, text: &str) -> Result<bool, StorageError> {
    text.trim().to_ascii_lowercase().parse().map_err(|_| not_accepted(key, "true or false"))
}

fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = quantity(text)?;
    let milliseconds = match unit {
        "ms" | "" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "min" | "m" | "minute" | "minutes" => 60_000,
        _ => return None,
    };
    count.checked_mul(milliseconds).filter(|ms| *ms > 0).map(Duration::from_millis)
}

fn size(text: &str) -> Option<usize> {
    let (count, unit) = quantity(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    usize::try_from(count.checked_mul(1 << shift)?).ok()
}

fn quantity(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_or_refused_without_their_values() {
        let settings = StorageSettings::new([
            ("s3.request-timeout", "1500 ms"),
            ("s3.part-size", "16mb"),
            ("s3.parallel-transfers", "2"),
            ("gs.part-size", "1 mb"),
            ("azure.lease", "hush"),
        ]);
        let options = Options::from_settings(Kind::S3, &settings).unwrap();
        assert_eq!(options.retry.attempt_timeout, Duration::from_millis(1500));
        assert_eq!(options.memory, PartMemory { part_size: 16 * MIB, parts: 3 });
        for (kind, key) in [(Kind::Gcs, "gs.part-size"), (Kind::Azure, "azure.lease")] {
            let error = Options::from_settings(kind, &settings).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(key) && !text.contains("hush"), "{text}");
        }
    }
}
