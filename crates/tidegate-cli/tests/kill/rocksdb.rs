//! The same with state in RocksDB: write buffers of a few entries, so that files come and go all the
//! time, and once with more than a GiB of state.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::time::Duration;

use crate::input::{Random, count_words};
use crate::job::{Job, Outcome};
use crate::{Storm, committed_lines, compare, local, seeds, storm};

/// Incremental checkpoints of which several are kept; every file goes to `shared/`.
const ROCKSDB: &str = "state.backend.type: rocksdb\n\
                       state.checkpoints.num-retained: 3\n\
                       execution.checkpointing.data-inline-threshold: 0\n\
                       state.backend.rocksdb.writebuffer.size: 16 kb\n";

/// Words of the large run, and the length of each in bytes.
const WORDS: usize = 280_000;
const WORD: usize = 4_096;

#[test]
fn killed_with_state_in_rocksdb() {
    let plan = Storm { kills: 2..=5, life_ms: 50..=900, interval_ms: 50, settings: ROCKSDB };
    seeds(25, 7).into_iter().for_each(|seed| storm(seed, &plan));
}

/// Takes minutes, and five GiB of disk: with `TIDEGATE_LARGE` alone (`cargo xtask soak`).
#[test]
fn killed_with_more_than_a_gib_of_state_in_rocksdb() {
    if std::env::var_os("TIDEGATE_LARGE").is_none() {
        return;
    }
    let mut random = Random::new(1);
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    std::fs::create_dir(&input).unwrap();
    let mut file = BufWriter::new(std::fs::File::create(input.join("words")).unwrap());
    for _ in 0..WORDS {
        let mut word = String::with_capacity(WORD);
        while word.len() < WORD {
            write!(word, "{:08x}", random.within(0..=u64::from(u32::MAX))).unwrap();
        }
        writeln!(file, "{word}").unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    let expected = count_words(&input);
    // Uncompressed, so that a GiB is one.
    let settings = "state.backend.type: rocksdb\nstate.checkpoints.num-retained: 2\n\
                    state.backend.rocksdb.compression: none\n";
    let job = Job::new(local(&directory), directory.path(), &input, 1_000, settings);
    let (mut resumed, mut largest) = (0, 0);
    for life_ms in [12_000, 12_000, 15_000] {
        if let Outcome::Killed { resumed: true } =
            job.run_and_kill_after(Duration::from_millis(life_ms), false)
        {
            resumed += 1;
        }
        largest = largest.max(newest_state_bytes(&job));
    }
    println!("{resumed} resumes, {largest} bytes of state in the newest checkpoint");
    job.run_to_the_end();
    compare(&expected, &committed_lines(&job.output), 1, resumed);
}

/// The bytes of the files of keyed state in the newest checkpoint.
fn newest_state_bytes(job: &Job) -> u64 {
    let Some(metadata) = job.newest_metadata() else { return 0 };
    let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    let keyed = subtasks.flat_map(|(_, state)| &state.keyed);
    keyed.flat_map(|keyed| &keyed.shared).map(|shared| shared.file.length).sum()
}
