//! What stores are told by the configuration: end points, credentials, limits.

use std::collections::BTreeMap;
use std::fmt;

/// Settings of stores by their keys, such as `s3.endpoint`. Values may be secret: they are shown
/// nowhere, not even by `{:?}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageSettings(BTreeMap<Box<str>, Box<str>>);

impl StorageSettings {
    /// These settings; of a key that comes twice the last value counts.
    pub fn new<K, V>(settings: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        Self(settings.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| &**value)
    }

    /// The value of the first of these keys that has one: its names in order of precedence.
    #[must_use]
    pub fn first_of(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// All keys that begin so, each without the beginning, with their values.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, &**value)))
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|key| &**key)
    }
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_never_shown() {
        let settings = StorageSettings::new([
            ("s3.secret-key", "hush"),
            ("s3.endpoint", "http://localhost"),
            ("s3x", "no"),
            ("hdfs.x", "1"),
        ]);
        assert_eq!(settings.get("s3.secret-key"), Some("hush"));
        assert_eq!(settings.first_of(&["s3.secret.key", "s3.secret-key"]), Some("hush"));
        let below: Vec<_> = settings.below("s3.").map(|(key, _)| key).collect();
        assert_eq!(below, ["endpoint", "secret-key"]);
        let shown = format!("{settings:?}");
        assert!(shown.contains("s3.secret-key") && !shown.contains("hush"), "{shown}");
    }
}
