//! A setting as it was written.

use crate::config::Origin;

/// A setting as it was written: a key by any of its names, and the text of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(Box<str>),
    /// `key:` with nothing behind it.
    Nothing,
    List,
}

impl Entry {
    pub(super) fn overriding(key: &str, value: &str) -> Self {
        let value = match value.trim() {
            "" => Value::Nothing,
            text => Value::Text(text.into()),
        };
        Self { key: key.into(), value, origin: Origin::CommandLine }
    }
}
