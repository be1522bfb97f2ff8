//! From the text of a setting to its typed value.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_coordinator::ExternalizedCheckpointCleanup;
use tidegate_store::local_path_of;
use tidegate_types::{MaxParallelism, Parallelism};

use crate::config::entries::{Entry, Value};
use crate::config::keys::{self, Key};
use crate::config::restart_settings::RestartSettings;
use crate::config::{Backend, CheckpointingMode, ConfigError, JobConfig};

/// Why a text is not taken.
enum Refusal {
    NotAccepted,
}

/// Puts a setting into the configuration.
pub(super) fn apply(
    key: &Key,
    entry: &Entry,
    config: &mut JobConfig,
    restart: &mut RestartSettings,
) -> Result<(), ConfigError> {
    let text = match &entry.value {
        Value::Text(text) => text.trim(),
        Value::Nothing => return Err(bad_value(key, entry, "no value")),
        Value::List => return Err(bad_value(key, entry, "a list")),
    };
    set(key.name, text, config, restart).map_err(|refusal| match refusal {
        Refusal::NotAccepted => bad_value(key, entry, &format!("{text:?}")),
    })
}

fn bad_value(key: &Key, entry: &Entry, found: &str) -> ConfigError {
    ConfigError::BadValue {
        origin: entry.origin.clone(),
        key: entry.key.clone(),
        found: found.into(),
        accepted: key.accepted,
    }
}

fn set(
    name: &'static str,
    text: &str,
    config: &mut JobConfig,
    restart: &mut RestartSettings,
) -> Result<(), Refusal> {
    match name {
        keys::CHECKPOINTS_DIR => config.checkpoints_dir = Some(directory(text)?),
        keys::SAVEPOINTS_DIR => config.savepoints_dir = Some(directory(text)?),
        keys::BACKEND => config.backend = backend(text)?,
        keys::INCREMENTAL => config.incremental = switch(text)?,
        keys::MAX_STATE_SIZE => config.memory_max_state_size = above_zero(size(text))?,
        keys::FS_CHECKPOINT_DIR => config.fs_checkpoint_dir = Some(directory(text)?),
        keys::FS_OVERLAY_MAX_BYTES => config.fs_overlay_max_bytes = above_zero(size(text))?,
        keys::FS_MAX_SEGMENTS => {
            config.fs_compaction.max_segments = number(text).ok_or(Refusal::NotAccepted)?;
        }
        keys::FS_MIN_MERGE => {
            config.fs_compaction.min_merge = number(text).ok_or(Refusal::NotAccepted)?;
        }
        keys::FS_MAX_SPACE_AMPLIFICATION => {
            let percent = number::<NonZeroU32>(text).ok_or(Refusal::NotAccepted)?;
            config.fs_compaction.max_space_amplification_percent = percent.get();
        }
        keys::CACHE_DIR => config.cache_dir = Some(local_directory(text)?),
        keys::CACHE_MAX_BYTES => config.cache_max_bytes = above_zero(size(text))?,
        _ if name.starts_with(keys::ROCKSDB_PREFIX) => {
            config.rocksdb.set(name, text).ok_or(Refusal::NotAccepted)?;
        }
        keys::INLINE_THRESHOLD => {
            config.data_inline_threshold = size(text).ok_or(Refusal::NotAccepted)?;
        }
        keys::NUM_RETAINED => config.num_retained = number(text).ok_or(Refusal::NotAccepted)?,
        keys::INTERVAL => config.interval = Some(above_zero(duration(text))?),
        keys::MODE => config.mode = mode(text)?,
        keys::TIMEOUT => config.timeout = above_zero(duration(text))?,
        keys::MIN_PAUSE => config.min_pause = duration(text).ok_or(Refusal::NotAccepted)?,
        keys::MAX_CONCURRENT => config.max_concurrent = number(text).ok_or(Refusal::NotAccepted)?,
        keys::TOLERABLE_FAILED => {
            config.tolerable_failed = number(text).ok_or(Refusal::NotAccepted)?;
        }
        keys::RETENTION => config.retention = retention(text)?,
        keys::UNALIGNED => config.unaligned = switch(text)?,
        keys::ALIGNED_TIMEOUT => {
            config.aligned_timeout = duration(text).ok_or(Refusal::NotAccepted)?;
        }
        _ if name.starts_with(keys::RESTART_PREFIX) => {
            restart.set(name, text).ok_or(Refusal::NotAccepted)?;
        }
        keys::PARALLELISM_DEFAULT => {
            let parallelism = number(text).and_then(Parallelism::new);
            config.parallelism = parallelism.ok_or(Refusal::NotAccepted)?;
        }
        keys::MAX_PARALLELISM => {
            let max = number(text).and_then(MaxParallelism::new);
            config.max_parallelism = max.ok_or(Refusal::NotAccepted)?;
        }
        _ => unreachable!("every key of the table has a field: {name}"),
    }
    Ok(())
}

fn above_zero<T: Default + PartialOrd>(value: Option<T>) -> Result<T, Refusal> {
    value.filter(|value| *value > T::default()).ok_or(Refusal::NotAccepted)
}

fn directory(text: &str) -> Result<String, Refusal> {
    let usable = !text.chars().any(char::is_control);
    if usable { Ok(text.to_owned()) } else { Err(Refusal::NotAccepted) }
}

fn local_directory(text: &str) -> Result<PathBuf, Refusal> {
    let text = directory(text)?;
    local_path_of(&text).map(PathBuf::from).ok_or(Refusal::NotAccepted)
}

fn switch(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::NotAccepted),
    }
}

fn backend(text: &str) -> Result<Backend, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "memory" | "jobmanager" => Ok(Backend::Memory),
        "fs" | "filesystem" | "hashmap" => Ok(Backend::Fs),
        "rocksdb" => Ok(Backend::RocksDb),
        _ => Err(Refusal::NotAccepted),
    }
}

// Flink takes the names of constants in any case, and these also with hyphens.
fn constant(text: &str) -> String {
    text.to_ascii_uppercase().replace('-', "_")
}

fn mode(text: &str) -> Result<CheckpointingMode, Refusal> {
    match constant(text).as_str() {
        "EXACTLY_ONCE" => Ok(CheckpointingMode::ExactlyOnce),
        "AT_LEAST_ONCE" => Ok(CheckpointingMode::AtLeastOnce),
        _ => Err(Refusal::NotAccepted),
    }
}

fn retention(text: &str) -> Result<ExternalizedCheckpointCleanup, Refusal> {
    match constant(text).as_str() {
        "RETAIN_ON_CANCELLATION" => Ok(ExternalizedCheckpointCleanup::RetainOnCancellation),
        "DELETE_ON_CANCELLATION" => Ok(ExternalizedCheckpointCleanup::DeleteOnCancellation),
        "NO_EXTERNALIZED_CHECKPOINTS" => {
            Ok(ExternalizedCheckpointCleanup::NoExternalizedCheckpoints)
        }
        _ => Err(Refusal::NotAccepted),
    }
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    // `parse` alone would take a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A number, and the unit behind it in lower case.
fn quantity(text: &str) -> Option<(u64, String)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((number(&text[..end])?, text[end..].trim().to_lowercase()))
}

/// A duration in Flink's notation: a whole number and a unit, milliseconds if there is none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = quantity(text)?;
    let seconds = |each: u64| count.checked_mul(each).map(Duration::from_secs);
    match unit.as_str() {
        "d" | "day" | "days" => seconds(86_400),
        "h" | "hour" | "hours" => seconds(3_600),
        "m" | "min" | "minute" | "minutes" => seconds(60),
        "s" | "sec" | "secs" | "second" | "seconds" => seconds(1),
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => {
            Some(Duration::from_millis(count))
        }
        "µs" | "μs" | "us" | "micro" | "micros" | "microsecond" | "microseconds" => {
            Some(Duration::from_micros(count))
        }
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// A size in Flink's notation, in bytes: a whole number and a unit, bytes if there is none.
pub(super) fn size(text: &str) -> Option<u64> {
    let (count, unit) = quantity(text)?;
    let shift = match unit.as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" | "kibibytes" => 10,
        "m" | "mb" | "mib" | "mebibytes" => 20,
        "g" | "gb" | "gib" | "gibibytes" => 30,
        "t" | "tb" | "tib" | "tebibytes" => 40,
        _ => return None,
    };
    count.checked_mul(1 << shift)
}
