//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::Origin;

/// What makes a configuration unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A directory was named for the configuration file, which is not there.
    #[error(
        "{} was named by {named_by} and has no tidegate.yaml: put one there or name another \
         directory", directory.display()
    )]
    NoFile {
        /// The directory.
        directory: PathBuf,
        /// What named it.
        named_by: &'static str,
    },
    /// The configuration file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The configuration file is longer than any configuration is.
    #[error("{} is longer than {limit} bytes: this is no configuration file", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many bytes are accepted.
        limit: u64,
    },
    /// The configuration file is not YAML, or a key occurs twice in one mapping.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What the parser says.
        reason: Box<str>,
    },
    /// The value of a known key is not one of those that it may have.
    #[error("{origin}: {key}: {found} is not accepted; write {accepted}")]
    BadValue {
        /// Where it was set.
        origin: Origin,
        /// The key as it was written.
        key: Box<str>,
        /// The value as it was written, quoted.
        found: Box<str>,
        /// What is accepted.
        accepted: &'static str,
    },
    /// One setting is given twice, under two names or in two forms, with different values.
    #[error(
        "{first_origin}: {first} and {second_origin}: {second} are the same setting with \
         different values; remove one of them"
    )]
    Conflict {
        /// The key that came first.
        first: Box<str>,
        /// Where that is.
        first_origin: Origin,
        /// The key that came second.
        second: Box<str>,
        /// Where that is.
        second_origin: Origin,
    },
    /// Two settings do not go together.
    #[error("{origin}: {key} does not go with {other}; {instead}")]
    Contradiction {
        /// Where the first was set.
        origin: Origin,
        /// The first.
        key: &'static str,
        /// The other, with its value.
        other: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// What stands behind `-D` is not `key=value`.
    #[error("-D {found:?}: write -D key=value")]
    BadOverride {
        /// What was given.
        found: Box<str>,
    },
    /// The options that `tidegate run` hands to the job program are not readable.
    #[error(
        "the environment variable {variable} is not what this program understands ({reason}); \
         unset it, or use a `tidegate` of the same version"
    )]
    RunOptions {
        /// The variable.
        variable: &'static str,
        /// What the parser says.
        reason: Box<str>,
    },
}

/// Something that was read and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigWarning {
    /// No setting has this name.
    UnknownKey {
        /// Where it was set.
        origin: Origin,
        /// The key as it was written.
        key: Box<str>,
        /// The most similar key, if one is similar.
        nearest: Option<&'static str>,
    },
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::UnknownKey { origin, key, nearest } = self;
        write!(f, "{origin}: unknown key {key:?} has no effect")?;
        match nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None => Ok(()),
        }
    }
}
