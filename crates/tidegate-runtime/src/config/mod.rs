//! Configuration: `tidegate.yaml` with Flink's key names, and `-D key=value` over it.
//!
//! The file is looked for in the directory of `--conf-dir`, else in `$TIDEGATE_CONF_DIR`, else in
//! `./conf`. The first two are named on purpose, so a file missing there is an error; `./conf` may
//! be absent. Keys are written flat (`state.checkpoints.dir: …`) or nested, under their present or
//! their deprecated name; [`keys`] lists them all.
//!
//! Every value remembers where it came from ([`Origin`]), so that an error can say which line to
//! change.

mod entries;
mod error;
mod job_config;
pub mod keys;
mod nearest;
mod origin;
mod restart_settings;
mod restart_strategy;
mod rocksdb_settings;
mod settings;
mod sources;
mod stores;
mod values;
mod yaml;

pub use error::{ConfigError, ConfigWarning};
pub use job_config::{Backend, CheckpointingMode, JobConfig};
pub use origin::Origin;
pub use restart_strategy::{ExponentialDelay, Factor, RestartStrategy};
pub use rocksdb_settings::{RocksDbCompression, RocksDbSettings};
pub use settings::Setting;
pub use sources::{ConfigSources, parse_override};
pub use stores::HIDDEN;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entries::Entry;
use keys::Key;

/// All settings of one run, each with its origin.
///
/// ```
/// use tidegate_runtime::config::{ConfigSources, Configuration};
///
/// let sources = ConfigSources::only_overrides([("execution.checkpointing.interval", "200 ms")]);
/// let config = Configuration::load(&sources)?.job_config()?;
/// assert_eq!(config.interval, Some(std::time::Duration::from_millis(200)));
/// # Ok::<_, tidegate_runtime::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    file: Option<Arc<Path>>,
    entries: BTreeMap<&'static str, Entry>,
    /// What the file says of settings that the command line sets too.
    overridden: BTreeMap<&'static str, Entry>,
    /// Settings of stores, by their keys; which of them a store reads, the store knows.
    stores: BTreeMap<Box<str>, Entry>,
    overridden_stores: BTreeMap<Box<str>, Entry>,
    warnings: Vec<ConfigWarning>,
}

impl Configuration {
    /// Reads the file, if there is one, and puts the overrides over it.
    ///
    /// # Errors
    ///
    /// When a named directory has no `tidegate.yaml`, the file cannot be read or is no YAML, or a
    /// setting is given twice with different values. Values themselves are looked at by
    /// [`Configuration::job_config`].
    pub fn load(sources: &ConfigSources) -> Result<Self, ConfigError> {
        let mut configuration = Self::default();
        if let Some(path) = sources.file()? {
            let path: Arc<Path> = path.into();
            for setting in yaml::read(&path)? {
                configuration.insert(setting)?;
            }
            configuration.file = Some(path);
        }
        let mut overridden = Self::default();
        for (key, value) in &sources.overrides {
            overridden.insert(Entry::overriding(key, value))?;
        }
        if let Some(parallelism) = sources.parallelism {
            let (key, value) = (keys::PARALLELISM_DEFAULT, parallelism.to_string());
            let entry = Entry::overriding(key, &value);
            overridden.entries.insert(key, Entry { origin: Origin::ParallelismFlag, ..entry });
        }
        for (name, entry) in overridden.entries {
            if let Some(below) = configuration.entries.insert(name, entry) {
                configuration.overridden.insert(name, below);
            }
        }
        for (name, entry) in overridden.stores {
            if let Some(below) = configuration.stores.insert(name.clone(), entry) {
                configuration.overridden_stores.insert(name, below);
            }
        }
        configuration.warnings.append(&mut overridden.warnings);
        Ok(configuration)
    }

    /// The settings as typed values, defaults filled in.
    ///
    /// # Errors
    ///
    /// For the first value that is not accepted, or not supported by this program.
    pub fn job_config(&self) -> Result<JobConfig, ConfigError> {
        let mut config = JobConfig::default();
        let mut restart = restart_settings::RestartSettings::default();
        for key in keys::all() {
            if let Some(entry) = self.entries.get(key.name) {
                values::apply(key, entry, &mut config, &mut restart)?;
            }
        }
        config.restart_strategy = restart.finish(config.interval.is_some());
        self.check_unaligned(&config)?;
        self.set_stores(&mut config)?;
        Ok(config)
    }

    /// Records that are captured for two checkpoints at a time, or that count twice anyway, are
    /// in Flink refused as well.
    fn check_unaligned(&self, config: &JobConfig) -> Result<(), ConfigError> {
        let contradiction = |other, instead| ConfigError::Contradiction {
            origin: self.origin(keys::UNALIGNED),
            key: keys::UNALIGNED,
            other,
            instead,
        };
        if config.unaligned && config.mode == CheckpointingMode::AtLeastOnce {
            let other = "execution.checkpointing.mode AT_LEAST_ONCE";
            return Err(contradiction(other, "at least once no barrier waits: set it to false"));
        }
        if config.unaligned && config.max_concurrent.get() > 1 {
            let other = "execution.checkpointing.max-concurrent-checkpoints above 1";
            return Err(contradiction(other, "set one of them to its default"));
        }
        Ok(())
    }

    /// What was read and will have no effect. For the user to see.
    pub fn warnings(&self) -> &[ConfigWarning] {
        &self.warnings
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where a setting came from, by any of its names.
    pub fn origin(&self, key: &str) -> Origin {
        let entry = keys::find(key).and_then(|key| self.entries.get(key.name));
        entry.map_or(Origin::Default, |entry| entry.origin.clone())
    }

    fn insert(&mut self, entry: Entry) -> Result<(), ConfigError> {
        let Some(Key { name, .. }) = keys::find(&entry.key) else {
            if stores::is_key(&entry.key) {
                return self.insert_store(entry);
            }
            self.warnings.push(keys::unknown(entry));
            return Ok(());
        };
        match self.entries.get(name) {
            // On the command line the last one wins, as everywhere.
            Some(first) if first.value != entry.value && entry.origin != Origin::CommandLine => {
                Err(ConfigError::Conflict {
                    first: first.key.clone(),
                    first_origin: first.origin.clone(),
                    second: entry.key,
                    second_origin: entry.origin,
                })
            }
            _ => {
                self.entries.insert(name, entry);
                Ok(())
            }
        }
    }
}

/// The name of the configuration file.
pub const FILE_NAME: &str = "tidegate.yaml";

/// The environment variable that names the directory of [`FILE_NAME`].
pub const DIRECTORY_VARIABLE: &str = "TIDEGATE_CONF_DIR";

fn file_in(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

#[cfg(test)]
mod tests;
