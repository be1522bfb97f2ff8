//! The stores that the program knows, and the settings they have.

use std::sync::Arc;

use tidegate_runtime::config::{ConfigSources, Configuration};
use tidegate_runtime::run_options::RunOptions;
use tidegate_store::{StorageFactory, StorageRegistry};

use crate::arguments::StoreArguments;
use crate::failure::Failure;
use crate::output;

/// Every store that this program was built with, besides the local file system.
pub(crate) fn all() -> Vec<Arc<dyn StorageFactory>> {
    Vec::new()
}

/// The stores of a command that reads checkpoints by itself: with the settings that a job would have
/// here. It keeps no copies of what it reads.
pub(crate) fn configured(arguments: &StoreArguments) -> Result<StorageRegistry, Failure> {
    let options = RunOptions {
        overrides: arguments.overrides.clone(),
        conf_dir: arguments.conf_dir.clone(),
        ..RunOptions::default()
    };
    let configuration =
        Configuration::load(&ConfigSources::of_run(&options)).map_err(Failure::usage)?;
    let config = configuration.job_config().map_err(Failure::usage)?;
    let registry = StorageRegistry::new(all(), config.stores);
    for warning in configuration.unread_by(&registry) {
        output::note(&output::printable(&warning.to_string()));
    }
    Ok(registry)
}
