//! Settings of stores: handed on to them as they are, and never shown where they are secret.

use std::path::PathBuf;

use tidegate_store::{EntropyMarker, StorageRegistry, StorageSettings};

use super::entries::{Entry, Value};
use super::nearest::nearest;
use super::{ConfigError, ConfigWarning, Configuration, JobConfig, Origin, values};

/// What is shown instead of a secret.
pub const HIDDEN: &str = "******";

/// How the keys begin that are handed on.
const PREFIXES: [&str; 9] =
    ["s3.", "s3a.", "gs.", "azure.", "hdfs.", "fs.", "dfs.", "hadoop.", "ipc."];

/// What the key of a secret contains; Flink's list and what the stores here add.
const SECRETS: [&str; 14] = [
    "password",
    "secret",
    "token",
    "credential",
    "account.key",
    "account-key",
    "accountkey",
    "api-key",
    "apikey",
    "service-account",
    "service-key",
    "private",
    "sas",
    "encryption.key",
];

const ENTROPY_KEY: &str = "s3.entropy.key";
const ENTROPY_LENGTH: &str = "s3.entropy.length";

/// Whether a key is one of a store's.
pub(super) fn is_key(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether the value of a store's key is not to be shown.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRETS.iter().any(|secret| key.contains(secret))
}

/// The user's directory of caches.
pub(super) fn default_cache() -> PathBuf {
    let named = |variable| {
        let value = std::env::var_os(variable).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    match caches {
        Some(caches) => caches.join("tidegate"),
        // Of this user alone, since the directory of temporary files is everybody's.
        None => {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("tidegate-cache-{user}"))
        }
    }
}

impl Configuration {
    /// The settings that no store of the registry reads, for the user to see.
    pub fn unread_by(&self, registry: &StorageRegistry) -> Vec<ConfigWarning> {
        let unread = registry.unread_settings().filter(|key| !is_ours(key));
        let warning = |key: &str| {
            let origin = self.stores.get(key).map(|entry| entry.origin.clone());
            let origin = origin.unwrap_or(Origin::Default);
            let nearest = nearest(key, registry.known_settings());
            ConfigWarning::UnknownKey { origin, key: key.into(), nearest }
        };
        unread.map(warning).collect()
    }

    pub(super) fn insert_store(&mut self, entry: Entry) -> Result<(), ConfigError> {
        match self.stores.get(&entry.key) {
            Some(first) if first.value != entry.value && entry.origin != Origin::CommandLine => {
                Err(ConfigError::Conflict {
                    first: first.key.clone(),
                    first_origin: first.origin.clone(),
                    second: entry.key,
                    second_origin: entry.origin,
                })
            }
            _ => {
                self.stores.insert(entry.key.clone(), entry);
                Ok(())
            }
        }
    }

    pub(super) fn set_stores(&self, config: &mut JobConfig) -> Result<(), ConfigError> {
        let texts = self.stores.iter().filter_map(|(key, entry)| match &entry.value {
            Value::Text(text) => Some((key.clone(), Box::from(text.trim()))),
            Value::Nothing | Value::List => None,
        });
        config.stores = StorageSettings::new::<Box<str>, Box<str>>(texts);
        let Some(key) = config.stores.get(ENTROPY_KEY) else { return Ok(()) };
        let length = match config.stores.get(ENTROPY_LENGTH) {
            None => None,
            Some(text) => {
                Some(values::number(text).ok_or_else(|| self.bad_entropy(ENTROPY_LENGTH))?)
            }
        };
        let marker = EntropyMarker::new(key, length);
        config.entropy = Some(marker.ok_or_else(|| self.bad_entropy(ENTROPY_KEY))?);
        Ok(())
    }

    fn bad_entropy(&self, key: &str) -> ConfigError {
        let entry = self.stores.get(key);
        let found = entry.map_or_else(String::new, |entry| match &entry.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Nothing | Value::List => String::new(),
        });
        ConfigError::BadValue {
            origin: entry.map_or(Origin::Default, |entry| entry.origin.clone()),
            key: key.into(),
            found: found.into(),
            accepted: "a part of a name such as _entropy_ as the key, and 1 to 32 as the length",
        }
    }
}

fn is_ours(key: &str) -> bool {
    matches!(key, ENTROPY_KEY | ENTROPY_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSources;

    fn load(settings: &[(&str, &str)]) -> Configuration {
        Configuration::load(&ConfigSources::only_overrides(settings.iter().copied())).unwrap()
    }

    #[test]
    fn settings_of_stores_are_handed_on_and_secrets_are_not_shown() {
        let secrets = [
            ("s3.secret-key", "hush1"),
            ("s3.session-token", "hush2"),
            ("fs.azure.account.key.x.blob.core.windows.net", "hush3"),
            ("azure.sas-token", "hush4"),
            ("gs.service-account-key", "hush5"),
            ("fs.s3a.secret.key", "hush6"),
            ("fs.azure.account.oauth2.client.secret", "hush7"),
        ];
        let configuration = load(&[&secrets[..], &[("s3.endpoint", "http://x")]].concat());
        let config = configuration.job_config().unwrap();
        for (key, value) in secrets {
            assert_eq!(config.stores.get(key), Some(value));
        }
        let settings = configuration.settings();
        let endpoint = settings.iter().find(|setting| setting.key == "s3.endpoint").unwrap();
        assert_eq!(endpoint.value.as_deref(), Some("http://x"));
        let shown = format!("{settings:?} {config:?} {:?}", config.registry([]));
        assert!(shown.contains("s3.secret-key") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn what_no_store_reads_is_told() {
        let configuration = load(&[("s3.endpoint", "x"), ("s3.entropy.key", "_e_")]);
        let registry = configuration.job_config().unwrap().registry([]);
        let warnings = configuration.unread_by(&registry);
        let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["-D: unknown key \"s3.endpoint\" has no effect"]);
    }

    #[test]
    fn entropy_is_for_data() {
        let directory = ("state.checkpoints.dir", "s3://b/_e_/c");
        let config = load(&[directory, ("s3.entropy.key", "_e_")]).job_config().unwrap();
        assert_eq!(config.metadata_dir().as_deref(), Some("s3://b/c"));
        assert_eq!(config.data_dir(), Some("s3://b/_e_/c"));
        let config = load(&[directory]).job_config().unwrap();
        assert_eq!(config.metadata_dir().as_deref(), Some("s3://b/_e_/c"));
        assert_eq!(config.data_dir(), None);
        for (key, value) in [("s3.entropy.key", "a/b"), ("s3.entropy.length", "many")] {
            let error = load(&[("s3.entropy.key", "_e_"), (key, value)]).job_config().unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
