//! Configuration as tables: what is written, and what comes of it.

use std::fs;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_coordinator::ExternalizedCheckpointCleanup as Cleanup;
use tidegate_types::{MaxParallelism, Parallelism};

use super::*;

fn directory_with(yaml: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE_NAME), yaml).unwrap();
    directory
}

fn load(yaml: &str, overrides: &[(&str, &str)]) -> Result<Configuration, ConfigError> {
    let directory = directory_with(yaml);
    let mut sources = ConfigSources::only_overrides(overrides.iter().copied());
    sources.conf_dir = Some(directory.path().to_owned());
    Configuration::load(&sources)
}

fn job_config(yaml: &str) -> JobConfig {
    load(yaml, &[]).unwrap().job_config().unwrap()
}

type Change = fn(&mut JobConfig);

/// The error of the file, the directory's name left out.
fn error_of(yaml: &str) -> String {
    let error = load(yaml, &[]).and_then(|configuration| configuration.job_config()).unwrap_err();
    let text = error.to_string();
    let words = text.split(' ').map(|word| match word.split_once(FILE_NAME) {
        Some((_, line)) => format!("{FILE_NAME}{line}"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

const EVERY_SETTING: &[(&[&str], &str, Change)] = &[
    (&["execution.checkpointing.dir", "state.checkpoints.dir"], "file:///x/y", |c| {
        c.checkpoints_dir = Some("file:///x/y".to_owned());
    }),
    (&["execution.checkpointing.savepoint-dir", "state.savepoints.dir"], "/x", |c| {
        c.savepoints_dir = Some("/x".to_owned());
    }),
    (&["state.backend.type", "state.backend"], "memory", |c| c.backend = Backend::Memory),
    (&["execution.checkpointing.incremental", "state.backend.incremental"], "false", |c| {
        c.incremental = false;
    }),
    (&["state.backend.fs.checkpointdir"], "file:///data", |c| {
        c.fs_checkpoint_dir = Some("file:///data".to_owned());
    }),
    (&["state.backend.fs.overlay-max-bytes"], "64 mb", |c| c.fs_overlay_max_bytes = 64 << 20),
    (&["state.backend.fs.compaction.max-segments"], "5", |c| {
        c.fs_compaction.max_segments = NonZeroUsize::new(5).unwrap();
    }),
    (&["state.backend.fs.compaction.min-merge"], "3", |c| {
        c.fs_compaction.min_merge = NonZeroUsize::new(3).unwrap();
    }),
    (&["state.backend.fs.compaction.max-space-amplification-percent"], "50", |c| {
        c.fs_compaction.max_space_amplification_percent = 50;
    }),
    (&["state.backend.rocksdb.checkpointdir"], "file:///data", |c| {
        c.rocksdb.checkpoint_dir = Some("file:///data".to_owned());
    }),
    (&["state.backend.rocksdb.localdir"], "/local", |c| {
        c.rocksdb.local_dir = Some("/local".to_owned());
    }),
    (&["state.backend.rocksdb.memory.fixed-per-tm"], "1 gb", |c| {
        c.rocksdb.memory = NonZeroU64::new(1 << 30).unwrap();
    }),
    (&["state.backend.rocksdb.memory.write-buffer-ratio"], "0.3", |c| {
        c.rocksdb.write_buffer_ratio = Factor::parse("0.3").unwrap();
    }),
    (&["state.backend.rocksdb.writebuffer.size"], "8 mb", |c| {
        c.rocksdb.write_buffer = NonZeroU64::new(8 << 20).unwrap();
    }),
    (&["state.backend.rocksdb.writebuffer.count"], "4", |c| {
        c.rocksdb.write_buffers = NonZeroUsize::new(4).unwrap();
    }),
    (&["state.backend.rocksdb.compression"], "zstd", |c| {
        c.rocksdb.compression = RocksDbCompression::Zstd;
    }),
    (&["state.backend.rocksdb.use-bloom-filter"], "false", |c| c.rocksdb.bloom_filter = false),
    (&["state.backend.rocksdb.bloom-filter.bits-per-key"], "12", |c| {
        c.rocksdb.bloom_bits_per_key = NonZeroU32::new(12).unwrap();
    }),
    (&["state.backend.rocksdb.thread.num"], "3", |c| {
        c.rocksdb.threads = NonZeroUsize::new(3).unwrap();
    }),
    (&["state.backend.rocksdb.checkpoint.transfer.thread.num"], "3", |c| {
        c.rocksdb.transfer_threads = NonZeroUsize::new(3).unwrap();
    }),
    (
        &["execution.checkpointing.data-inline-threshold", "state.storage.fs.memory-threshold"],
        "0",
        |c| c.data_inline_threshold = 0,
    ),
    (&["state.backend.memory.max-state-size"], "6 mb", |c| {
        c.memory_max_state_size = 6 * 1024 * 1024;
    }),
    (&["execution.checkpointing.num-retained", "state.checkpoints.num-retained"], "3", |c| {
        c.num_retained = NonZeroU32::new(3).unwrap();
    }),
    (&["execution.checkpointing.mode"], "at-least-once", |c| {
        c.mode = CheckpointingMode::AtLeastOnce;
    }),
    (&["execution.checkpointing.timeout"], "2 min", |c| c.timeout = Duration::from_mins(2)),
    (&["execution.checkpointing.min-pause"], "7", |c| c.min_pause = Duration::from_millis(7)),
    (&["execution.checkpointing.max-concurrent-checkpoints"], "3", |c| {
        c.max_concurrent = NonZeroU32::new(3).unwrap();
    }),
    (&["execution.checkpointing.tolerable-failed-checkpoints"], "3", |c| {
        c.tolerable_failed = 3;
    }),
    (
        &["execution.checkpointing.externalized-checkpoint-retention"],
        "RETAIN_ON_CANCELLATION",
        |c| c.retention = Cleanup::RetainOnCancellation,
    ),
    (
        &["execution.checkpointing.unaligned.enabled", "execution.checkpointing.unaligned"],
        "true",
        |c| c.unaligned = true,
    ),
    (
        &[
            "execution.checkpointing.aligned-checkpoint-timeout",
            "execution.checkpointing.alignment-timeout",
        ],
        "3 ms",
        |c| c.aligned_timeout = Duration::from_millis(3),
    ),
    (&["restart-strategy.type", "restart-strategy"], "fixed-delay", |c| {
        let delay = Duration::from_secs(1);
        c.restart_strategy = RestartStrategy::FixedDelay { attempts: 1, delay };
    }),
    // Without a strategy and without checkpoints its parts change nothing.
    (&["restart-strategy.fixed-delay.attempts"], "3", |_| {}),
    (&["restart-strategy.fixed-delay.delay"], "3 s", |_| {}),
    (&["restart-strategy.failure-rate.max-failures-per-interval"], "3", |_| {}),
    (&["restart-strategy.failure-rate.failure-rate-interval"], "3 s", |_| {}),
    (&["restart-strategy.failure-rate.delay"], "3 s", |_| {}),
    (&["restart-strategy.exponential-delay.initial-backoff"], "3 s", |_| {}),
    (&["restart-strategy.exponential-delay.max-backoff"], "3 s", |_| {}),
    (&["restart-strategy.exponential-delay.backoff-multiplier"], "3", |_| {}),
    (&["restart-strategy.exponential-delay.reset-backoff-threshold"], "3 s", |_| {}),
    (&["restart-strategy.exponential-delay.jitter-factor"], "0.3", |_| {}),
    (&["restart-strategy.exponential-delay.attempts-before-reset-backoff"], "3", |_| {}),
    (&["state.cache.dir"], "/var/cache/x", |c| c.cache_dir = Some("/var/cache/x".into())),
    (&["state.cache.max-bytes"], "3 gb", |c| c.cache_max_bytes = 3 << 30),
    (&["parallelism.default"], "3", |c| c.parallelism = Parallelism::new(3).unwrap()),
    (&["pipeline.max-parallelism"], "4096", |c| {
        c.max_parallelism = MaxParallelism::new(4096).unwrap();
    }),
    (&["execution.checkpointing.interval"], "200 ms", |c| {
        c.interval = Some(Duration::from_millis(200));
        c.restart_strategy = RestartStrategy::ExponentialDelay(ExponentialDelay::default());
    }),
];

#[test]
fn every_setting_under_every_name_flat_and_nested() {
    assert_eq!(EVERY_SETTING.len(), keys::all().len(), "the table has a row for each key");
    for (names, value, change) in EVERY_SETTING {
        let key = keys::find(names[0]).unwrap();
        assert_eq!((key.name, key.deprecated), (names[0], &names[1..]));
        let mut expected = JobConfig::default();
        change(&mut expected);
        for name in *names {
            let nested: String =
                name.split('.').enumerate().fold(String::new(), |text, (n, part)| {
                    let break_before = if n == 0 { "" } else { "\n" };
                    text + break_before + &"  ".repeat(n) + part + ":"
                });
            for yaml in [
                format!("{name}: {value}\n"),
                format!("{nested} {value}\n"),
                format!("{name}: '{value}'"),
            ] {
                let configuration = load(&yaml, &[]).unwrap();
                assert_eq!(configuration.warnings(), [], "{yaml}");
                assert_eq!(configuration.job_config().unwrap(), expected, "{yaml}");
            }
        }
    }
}

#[test]
fn a_bad_value_is_told_with_its_line_and_what_is_accepted() {
    for (yaml, expected) in [
        (
            "\n# a comment\nparallelism.default: none\n",
            "tidegate.yaml:3: parallelism.default: \"none\" is not accepted; write a whole number \
             from 1 to 32768",
        ),
        (
            "execution:\n  checkpointing:\n    max-concurrent-checkpoints: 0\n",
            "tidegate.yaml:3: execution.checkpointing.max-concurrent-checkpoints: \"0\" is not \
             accepted; write a whole number, 1 or more",
        ),
        (
            "state.backend: [memory]",
            "tidegate.yaml:1: state.backend: a list is not accepted; write memory, fs or rocksdb",
        ),
        (
            "state:\n  backend:\n",
            "tidegate.yaml:2: state.backend: no value is not accepted; write memory, fs or rocksdb",
        ),
        (
            "state.backend.incremental: yes please",
            "tidegate.yaml:1: state.backend.incremental: \"yes please\" is not accepted; write \
             true or false",
        ),
        (
            "state.backend.rocksdb.writebuffer.count: 1",
            "tidegate.yaml:1: state.backend.rocksdb.writebuffer.count: \"1\" is not accepted; write \
             a whole number, 2 or more",
        ),
        (
            "execution.checkpointing.mode: AT_LEAST_ONCE\n\
             execution.checkpointing.unaligned.enabled: true",
            "tidegate.yaml:2: execution.checkpointing.unaligned.enabled does not go with \
             execution.checkpointing.mode AT_LEAST_ONCE; at least once no barrier waits: set it to \
             false",
        ),
        (
            "restart-strategy.type: forever",
            "tidegate.yaml:1: restart-strategy.type: \"forever\" is not accepted; write \
             none, fixed-delay, failure-rate or exponential-delay",
        ),
        (
            "execution.checkpointing.unaligned: true\n\
             execution.checkpointing.max-concurrent-checkpoints: 2",
            "tidegate.yaml:1: execution.checkpointing.unaligned.enabled does not go with \
             execution.checkpointing.max-concurrent-checkpoints above 1; set one of them to its \
             default",
        ),
        (
            "state.backend: memory\nstate.backend.type: jobmanager",
            "tidegate.yaml:1: state.backend and tidegate.yaml:2: state.backend.type are the same \
             setting with different values; remove one of them",
        ),
    ] {
        assert_eq!(error_of(yaml), expected, "{yaml}");
    }
}

#[test]
fn values_that_are_not_accepted() {
    for (key, values) in [
        ("execution.checkpointing.interval", &["0", "0 s", "-1", "1.5 s", "s", "1 fortnight"][..]),
        ("execution.checkpointing.timeout", &["0 ms", "99999999999999999999 ms", "+5"]),
        ("execution.checkpointing.min-pause", &["never"]),
        ("restart-strategy.exponential-delay.backoff-multiplier", &["1", "0.5", "two", "-2"]),
        ("restart-strategy.exponential-delay.jitter-factor", &["1.1", "-0.1", "10 %"]),
        ("restart-strategy.exponential-delay.attempts-before-reset-backoff", &["0", "-1"]),
        ("state.backend.memory.max-state-size", &["0", "5 mp", "18446744073709551615 kb"]),
        ("state.backend.fs.overlay-max-bytes", &["0", "many"]),
        ("state.backend.fs.compaction.max-segments", &["0", "-1", "x"]),
        ("state.backend.fs.compaction.max-space-amplification-percent", &["0", "10 %"]),
        ("parallelism.default", &["0", "32769", "70000", "1e2", "0x10", "1_000"]),
        ("pipeline.max-parallelism", &["0", "32769", "128.0"]),
        ("execution.checkpointing.tolerable-failed-checkpoints", &["-1"]),
        ("execution.checkpointing.externalized-checkpoint-retention", &["KEEP", "true"]),
        ("execution.checkpointing.mode", &["TWICE"]),
        ("execution.checkpointing.unaligned.enabled", &["no"]),
        ("state.checkpoints.dir", &["~", "''"]),
    ] {
        for value in values {
            for (yaml, overrides) in
                [(format!("{key}: {value}\n"), vec![]), (String::new(), vec![(key, *value)])]
            {
                if *value == "~" && !overrides.is_empty() || *value == "''" && yaml.is_empty() {
                    continue;
                }
                let error = load(&yaml, &overrides).unwrap().job_config().unwrap_err();
                assert!(matches!(error, ConfigError::BadValue { .. }), "{key} {value}: {error}");
            }
        }
    }
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    for (yaml, line) in [
        ("a: [\n", 1),
        ("parallelism.default: 1\nparallelism.default: 2\n", 2),
        ("a: x\n b: y\n", 2),
        ("- a\n", 1),
        ("just text", 1),
        ("a: 1\n---\nb: 2\n", 3),
    ] {
        match load(yaml, &[]) {
            Err(ConfigError::Syntax { line: found, .. }) => assert_eq!(found, line, "{yaml}"),
            other => panic!("{yaml}: {other:?}"),
        }
    }
    for yaml in ["", "# nothing\n", "---\n", "state:\n"] {
        let configuration = load(yaml, &[]).unwrap();
        assert_eq!(configuration.job_config().unwrap(), JobConfig::default(), "{yaml}");
    }
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_one() {
    let yaml = "state.checkpoint.dir: /x\ntaskmanager:\n  memory: 1g\n";
    let configuration = load(yaml, &[("paralelism.default", "2")]).unwrap();
    let warnings: Vec<_> = configuration.warnings().iter().map(ToString::to_string).collect();
    assert!(warnings[0].ends_with(
        "tidegate.yaml:1: unknown key \"state.checkpoint.dir\" has no effect; did you mean \
         \"state.checkpoints.dir\"?"
    ));
    assert!(
        warnings[1].ends_with("tidegate.yaml:3: unknown key \"taskmanager.memory\" has no effect")
    );
    assert_eq!(
        warnings[2],
        "-D: unknown key \"paralelism.default\" has no effect; did you mean \
         \"parallelism.default\"?"
    );
    assert_eq!(configuration.job_config().unwrap(), JobConfig::default());
}

#[test]
fn overrides_go_over_the_file_under_any_name_and_the_last_one_wins() {
    let yaml = "state.checkpoints.dir: /file\nparallelism.default: 2\n";
    let overrides = [("execution.checkpointing.dir", "/one"), ("state.checkpoints.dir", "/two")];
    let configuration = load(yaml, &overrides).unwrap();
    let config = configuration.job_config().unwrap();
    assert_eq!(config.checkpoints_dir.as_deref(), Some("/two"));
    assert_eq!(config.parallelism.get(), 2);
    assert_eq!(configuration.origin("execution.checkpointing.dir"), Origin::CommandLine);
    assert!(matches!(configuration.origin("parallelism.default"), Origin::File { line: 2, .. }));
    assert_eq!(configuration.origin("pipeline.max-parallelism"), Origin::Default);
}

#[test]
fn the_restart_strategy_follows_from_all_of_its_settings() {
    let fixed = |attempts, millis| RestartStrategy::FixedDelay {
        attempts,
        delay: Duration::from_millis(millis),
    };
    let interval = "execution.checkpointing.interval: 1 s\n";
    for (yaml, expected) in [
        (String::new(), RestartStrategy::None),
        (interval.to_owned(), RestartStrategy::ExponentialDelay(ExponentialDelay::default())),
        (format!("{interval}restart-strategy: none"), RestartStrategy::None),
        ("restart-strategy: fixeddelay".to_owned(), fixed(1, 1000)),
        (
            "restart-strategy:\n  fixed-delay:\n    delay: 5\n    attempts: 9\n  type: fixed-delay"
                .to_owned(),
            fixed(9, 5),
        ),
        (
            "restart-strategy:\n  type: failure-rate\n  failure-rate:\n    \
             max-failures-per-interval: 3\n    failure-rate-interval: 5 min\n    delay: 2 s"
                .to_owned(),
            RestartStrategy::FailureRate {
                max_failures: 3,
                interval: Duration::from_mins(5),
                delay: Duration::from_secs(2),
            },
        ),
        (
            "restart-strategy:\n  type: exponential-delay\n  exponential-delay:\n    \
             initial-backoff: 10 s\n    max-backoff: 2 min\n    backoff-multiplier: 1.4\n    \
             reset-backoff-threshold: 10 min\n    jitter-factor: 0.25\n    \
             attempts-before-reset-backoff: 8"
                .to_owned(),
            RestartStrategy::ExponentialDelay(ExponentialDelay {
                initial: Duration::from_secs(10),
                max: Duration::from_mins(2),
                multiplier: Factor::from_thousandths(1_400),
                reset_after: Duration::from_mins(10),
                jitter: Factor::from_thousandths(250),
                attempts: Some(8),
            }),
        ),
    ] {
        assert_eq!(job_config(&yaml).restart_strategy, expected, "{yaml}");
    }
}

#[test]
fn the_first_directory_named_is_the_one() {
    let (first, second, third) = (
        directory_with("parallelism.default: 1"),
        directory_with("parallelism.default: 2"),
        directory_with("parallelism.default: 3"),
    );
    let empty = tempfile::tempdir().unwrap();
    let path = |directory: &TempDir| Some(directory.path().to_owned());
    let parallelism = |conf_dir, environment_dir, default_dir: Option<PathBuf>| {
        let overrides = Vec::new();
        let parallelism = None;
        let sources =
            ConfigSources { conf_dir, environment_dir, default_dir, overrides, parallelism };
        let configuration = Configuration::load(&sources)?;
        let read = configuration.file().map(Path::to_owned);
        Ok::<_, ConfigError>((configuration.job_config()?.parallelism.get(), read.is_some()))
    };
    assert_eq!(parallelism(path(&first), path(&second), path(&third)).unwrap(), (1, true));
    assert_eq!(parallelism(None, path(&second), path(&third)).unwrap(), (2, true));
    assert_eq!(parallelism(None, None, path(&third)).unwrap(), (3, true));
    assert_eq!(parallelism(None, None, path(&empty)).unwrap(), (1, false));
    for (conf_dir, environment_dir) in [(path(&empty), path(&second)), (None, path(&empty))] {
        let error = parallelism(conf_dir, environment_dir, path(&third)).unwrap_err();
        assert!(matches!(error, ConfigError::NoFile { .. }), "{error}");
    }
}

#[test]
fn durations_and_sizes_in_all_their_units() {
    for (text, nanos) in [
        ("7", 7_000_000),
        ("1d", 86_400_000_000_000),
        ("2 days", 172_800_000_000_000),
        ("1 h", 3_600_000_000_000),
        ("3min", 180_000_000_000),
        ("1 m", 60_000_000_000),
        ("10 S", 10_000_000_000),
        ("200 ms", 200_000_000),
        ("5 µs", 5_000),
        ("9 nanos", 9),
    ] {
        assert_eq!(values::duration(text), Some(Duration::from_nanos(nanos)), "{text}");
    }
    for (text, bytes) in [
        ("7", 7),
        ("5 mb", 5 << 20),
        ("5MB", 5 << 20),
        ("1 kibibytes", 1 << 10),
        ("2 g", 2 << 30),
        ("3 tb", 3 << 40),
        ("0 b", 0),
    ] {
        assert_eq!(values::size(text), Some(bytes), "{text}");
    }
}

#[test]
fn overrides_are_taken_apart_at_the_first_equals_sign() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(parse_override("a.b=c = d").unwrap(), pair("a.b", "c = d"));
    assert_eq!(parse_override("a=").unwrap(), pair("a", ""));
    for text in ["", "a", "=b"] {
        assert!(matches!(parse_override(text), Err(ConfigError::BadOverride { .. })), "{text}");
    }
}

proptest! {
    // The file is the user's: whatever is in it, we answer.
    #[test]
    fn no_text_makes_us_panic(text in "[a-c.: \n#'\"\\[\\]{}&*!|>%@0-9_~-]{0,60}") {
        let path: Arc<Path> = Path::new("x").into();
        let _ = yaml::parse(&text, &path);
        let _ = (values::duration(&text), values::size(&text));
    }
}
