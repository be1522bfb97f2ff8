//! Where a value came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line of the key.
        line: u64,
    },
    /// `-D key=value`.
    CommandLine,
    /// `-p N`.
    ParallelismFlag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("-D"),
            Self::ParallelismFlag => f.write_str("-p"),
        }
    }
}
