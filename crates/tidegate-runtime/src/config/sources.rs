//! Where a configuration is read from.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, DIRECTORY_VARIABLE, file_in};
use crate::run_options::RunOptions;

/// Where a configuration is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigSources {
    /// The directory that `--conf-dir` named.
    pub conf_dir: Option<PathBuf>,
    /// The directory that the environment named.
    pub environment_dir: Option<PathBuf>,
    /// The directory that is looked at when none was named.
    pub default_dir: Option<PathBuf>,
    /// `-D key=value`, in order: they go over the file.
    pub overrides: Vec<(String, String)>,
    /// `-p`: goes over `parallelism.default`, also where `-D` sets it.
    pub parallelism: Option<u16>,
}

impl ConfigSources {
    /// The sources of a run: its options, `$TIDEGATE_CONF_DIR`, `./conf`.
    pub fn of_run(options: &RunOptions) -> Self {
        Self {
            conf_dir: options.conf_dir.clone(),
            environment_dir: std::env::var_os(DIRECTORY_VARIABLE)
                .filter(|directory| !directory.is_empty())
                .map(PathBuf::from),
            default_dir: Some(PathBuf::from("conf")),
            overrides: options.overrides.clone(),
            parallelism: options.parallelism,
        }
    }

    /// No file and no environment: just these settings.
    pub fn only_overrides<K, V>(overrides: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let overrides = overrides.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self { overrides: overrides.collect(), ..Self::default() }
    }

    /// The file to read. A directory that somebody named must have one: settings that are silently
    /// not in force cost more than an error.
    pub(super) fn file(&self) -> Result<Option<PathBuf>, ConfigError> {
        let named = |directory: &Path, named_by| {
            let file = file_in(directory);
            if file.exists() {
                return Ok(Some(file));
            }
            Err(ConfigError::NoFile { directory: directory.to_owned(), named_by })
        };
        if let Some(directory) = &self.conf_dir {
            return named(directory, "--conf-dir");
        }
        if let Some(directory) = &self.environment_dir {
            return named(directory, "$TIDEGATE_CONF_DIR");
        }
        Ok(self.default_dir.as_deref().map(file_in).filter(|file| file.exists()))
    }
}

/// Takes `key=value` apart, as it stands behind `-D`.
pub fn parse_override(text: &str) -> Result<(String, String), ConfigError> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(ConfigError::BadOverride { found: text.into() }),
    }
}
