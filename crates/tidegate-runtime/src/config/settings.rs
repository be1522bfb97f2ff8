//! The settings in force, each with its origin: what `tidegate config` shows.

use std::borrow::Cow;

use tidegate_store::shown_uri;

use crate::config::entries::{Entry, Value};
use crate::config::stores::{HIDDEN, is_secret};
use crate::config::{Configuration, Origin, keys};

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its present name.
    pub key: Cow<'static, str>,
    /// The names it had in earlier versions of Flink.
    pub deprecated: &'static [&'static str],
    /// The name by which it was set; that of `key` if nobody set it.
    pub written_as: Box<str>,
    /// Its value, as it was written or as the default is; `None` when it has none. Of a secret it is
    /// [`HIDDEN`](super::HIDDEN).
    pub value: Option<Box<str>>,
    /// Where the value came from.
    pub origin: Origin,
    /// Where another value was set that this one goes over.
    pub over: Option<Origin>,
}

/// Defaults as people write them. What is missing here has no default, or one that depends on
/// other settings.
const DEFAULTS: &[(&str, &str)] = &[
    ("state.backend.type", "fs"),
    ("state.backend.memory.max-state-size", "5 mb"),
    ("state.backend.fs.overlay-max-bytes", "256 mb"),
    ("state.backend.fs.compaction.max-segments", "8"),
    ("state.backend.fs.compaction.min-merge", "4"),
    ("state.backend.fs.compaction.max-space-amplification-percent", "100"),
    ("state.cache.max-bytes", "8 gb"),
    ("state.backend.rocksdb.memory.fixed-per-tm", "256 mb"),
    ("state.backend.rocksdb.memory.write-buffer-ratio", "0.5"),
    ("state.backend.rocksdb.writebuffer.size", "64 mb"),
    ("state.backend.rocksdb.writebuffer.count", "2"),
    ("state.backend.rocksdb.compression", "lz4"),
    ("state.backend.rocksdb.use-bloom-filter", "true"),
    ("state.backend.rocksdb.bloom-filter.bits-per-key", "10"),
    ("state.backend.rocksdb.thread.num", "2"),
    ("state.backend.rocksdb.checkpoint.transfer.thread.num", "4"),
    ("execution.checkpointing.data-inline-threshold", "20 kb"),
    ("execution.checkpointing.incremental", "true"),
    ("execution.checkpointing.num-retained", "1"),
    ("execution.checkpointing.mode", "EXACTLY_ONCE"),
    ("execution.checkpointing.timeout", "10 min"),
    ("execution.checkpointing.min-pause", "0 ms"),
    ("execution.checkpointing.max-concurrent-checkpoints", "1"),
    ("execution.checkpointing.tolerable-failed-checkpoints", "0"),
    ("execution.checkpointing.externalized-checkpoint-retention", "NO_EXTERNALIZED_CHECKPOINTS"),
    ("execution.checkpointing.unaligned.enabled", "false"),
    ("execution.checkpointing.aligned-checkpoint-timeout", "0 ms"),
    ("restart-strategy.fixed-delay.attempts", "1"),
    ("restart-strategy.fixed-delay.delay", "1 s"),
    ("restart-strategy.failure-rate.max-failures-per-interval", "1"),
    ("restart-strategy.failure-rate.failure-rate-interval", "1 min"),
    ("restart-strategy.failure-rate.delay", "1 s"),
    ("restart-strategy.exponential-delay.initial-backoff", "1 s"),
    ("restart-strategy.exponential-delay.max-backoff", "1 min"),
    ("restart-strategy.exponential-delay.backoff-multiplier", "1.5"),
    ("restart-strategy.exponential-delay.reset-backoff-threshold", "1 h"),
    ("restart-strategy.exponential-delay.jitter-factor", "0.1"),
    ("parallelism.default", "1"),
    ("pipeline.max-parallelism", "128"),
];

impl Configuration {
    /// Every setting that there is, in the order of [`keys::all`], and those of stores that are set.
    pub fn settings(&self) -> Vec<Setting> {
        let setting = |key: &keys::Key| {
            let (name, deprecated) = (key.name, key.deprecated);
            let over = self.overridden.get(name).map(|entry| entry.origin.clone());
            let Some(entry) = self.entries.get(name) else {
                let default = DEFAULTS.iter().find(|(known, _)| *known == name);
                let value = default.map(|(_, value)| (*value).into());
                let (key, written_as, origin) = (name.into(), name.into(), Origin::Default);
                return Setting { key, deprecated, written_as, value, origin, over };
            };
            let (key, value) = (name.into(), shown(entry));
            let (written_as, origin) = (entry.key.clone(), entry.origin.clone());
            Setting { key, deprecated, written_as, value, origin, over }
        };
        let of_store = |entry: &Entry| {
            let key = Cow::Owned(entry.key.to_string());
            let value = if is_secret(&key) { Some(HIDDEN.into()) } else { shown(entry) };
            let over = self.overridden_stores.get(&entry.key).map(|below| below.origin.clone());
            let (written_as, origin) = (entry.key.clone(), entry.origin.clone());
            Setting { key, deprecated: &[], written_as, value, origin, over }
        };
        keys::all().iter().map(setting).chain(self.stores.values().map(of_store)).collect()
    }
}

fn shown(entry: &Entry) -> Option<Box<str>> {
    match &entry.value {
        Value::Text(text) => Some(shown_uri(text).into()),
        Value::Nothing => None,
        Value::List => Some("(a list)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSources;

    // A default that is shown is the one that is in force.
    #[test]
    fn the_defaults_shown_are_those_of_the_program() {
        let shown = Configuration::load(&ConfigSources::default()).unwrap().settings();
        let written = shown.iter().filter_map(|setting| {
            setting.value.as_ref().map(|value| (setting.key.to_string(), value.to_string()))
        });
        let sources = ConfigSources::only_overrides(written);
        let written = Configuration::load(&sources).unwrap();
        let expected = Configuration::default().job_config().unwrap();
        assert_eq!(written.job_config().unwrap(), expected);
    }

    /// The names of a row and its default; a name that begins with a dot goes on from the row's first
    /// one, as `a.b.c`, `.d` means `a.b.d`.
    fn row(line: &str) -> Option<(Vec<String>, &str)> {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (names, default) = (cells.next()?.trim_end_matches('`'), cells.next()?);
        let (parent, _) = names.split('`').next()?.rsplit_once('.')?;
        let full = |name: &str| match name.starts_with('.') {
            true => format!("{parent}{name}"),
            false => name.to_owned(),
        };
        Some((names.split("`, `").map(full).collect(), default))
    }

    #[test]
    fn the_readme_names_every_setting_with_its_default() {
        let readme = include_str!("../../../../README.md");
        let table = readme.split_once("| Setting | Default | |").unwrap().1;
        let table = table.split_once("\n\n").unwrap().0;
        let rows: Vec<_> = table.lines().filter_map(row).collect();
        let settings = Configuration::load(&ConfigSources::default()).unwrap().settings();
        for Setting { key, deprecated, value, .. } in &settings {
            for name in deprecated.iter().copied().chain([&**key]) {
                let row = rows.iter().find(|(names, _)| names.iter().any(|known| known == name));
                let (_, defaults) = row.unwrap_or_else(|| panic!("README.md lacks {name}"));
                let value = value.as_deref().unwrap_or_default();
                let value = if value == "0 ms" { "0" } else { value };
                let shown = defaults.split(", ").map(|shown| shown.trim_matches('`'));
                let is_shown = value.is_empty() || shown.into_iter().any(|shown| shown == value);
                assert!(is_shown, "README.md says of {name} {defaults:?}, and it is {value:?}");
            }
        }
        for name in rows.iter().flat_map(|(names, _)| names) {
            assert!(keys::find(name).is_some(), "README.md has {name}, which is no setting");
        }
    }

    #[test]
    fn what_goes_over_what_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(crate::config::FILE_NAME);
        std::fs::write(&file, "state.checkpoints.dir: /a\nparallelism.default: 2\n").unwrap();
        let mut sources = ConfigSources::only_overrides([
            ("execution.checkpointing.dir", "/b"),
            ("parallelism.default", "3"),
        ]);
        sources.conf_dir = Some(directory.path().to_owned());
        sources.parallelism = Some(4);
        let settings = Configuration::load(&sources).unwrap().settings();
        let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
        let from_line = |line| Some(Origin::File { path: file.as_path().into(), line });

        let checkpoints = of("execution.checkpointing.dir");
        assert_eq!(checkpoints.value.as_deref(), Some("/b"));
        assert_eq!((&checkpoints.origin, &checkpoints.over), (&Origin::CommandLine, &from_line(1)));
        let parallelism = of("parallelism.default");
        assert_eq!(parallelism.value.as_deref(), Some("4"));
        assert_eq!(parallelism.origin, Origin::ParallelismFlag);
        assert_eq!(parallelism.over, from_line(2));
        let savepoints = of("execution.checkpointing.savepoint-dir");
        assert_eq!((&savepoints.value, &savepoints.origin), (&None, &Origin::Default));
        assert_eq!(savepoints.deprecated, ["state.savepoints.dir"]);
    }
}
