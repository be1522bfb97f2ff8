//! Any text as `tidegate.yaml` and as `-D` overrides: settings, or an error that says which line.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::Scratch;
use tidegate_runtime::config::{
    ConfigError, ConfigSources, Configuration, FILE_NAME, Origin, keys, parse_override,
};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new(FILE_NAME));

fuzz_target!(|text: &str| {
    let _ = SCRATCH.with(text.as_bytes());
    let conf_dir = Some(SCRATCH.directory().to_owned());
    let loaded = Configuration::load(&ConfigSources { conf_dir, ..ConfigSources::default() });
    let lines = text.split('\n').flat_map(|line| line.split('\r')).count() as u64;
    check(loaded, lines);

    let overrides = text.lines().filter_map(|line| parse_override(line).ok());
    check(Configuration::load(&ConfigSources::only_overrides(overrides)), 0);
});

fn check(loaded: Result<Configuration, ConfigError>, lines: u64) {
    let configuration = match loaded {
        Ok(configuration) => configuration,
        Err(ConfigError::Syntax { line, reason, .. }) => {
            assert!((1..=lines + 1).contains(&line), "line {line} of {lines}: {reason}");
            return;
        }
        Err(error) => return drop(error.to_string()),
    };
    for key in keys::all() {
        if let Origin::File { line, .. } = configuration.origin(key.name) {
            assert!((1..=lines).contains(&line), "{}: line {line} of {lines}", key.name);
        }
    }
    configuration.warnings().iter().for_each(|warning| drop(warning.to_string()));
    match configuration.job_config() {
        Ok(config) => {
            assert!(config.interval.is_none_or(|interval| !interval.is_zero()));
            assert!(!config.timeout.is_zero() && config.memory_max_state_size > 0);
        }
        Err(error) => drop(error.to_string()),
    }
}
