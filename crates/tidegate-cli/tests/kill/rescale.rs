//! The storm that also rescales: each resume has another parallelism, and claims the checkpoint or
//! leaves it.

use std::time::Duration;

use crate::BUSY;
use crate::input::{Random, count_words, write_input};
use crate::job::{Job, Outcome};
use crate::local;
use crate::output::{committed_lines, compare};
use crate::seeds::seeds;

fn choose(job: &mut Job, random: &mut Random) {
    job.parallelism = u16::try_from(random.within(1..=5)).unwrap();
    let claim = ["CLAIM", "NO_CLAIM"][usize::try_from(random.within(0..=1)).unwrap()];
    job.options = vec!["--claim-mode".to_owned(), claim.to_owned()];
}

fn storm(seed: u64) {
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    write_input(&input, &mut random);
    let expected = count_words(&input);
    // Native checkpoints of either backend.
    let backends = ["state.backend.type: fs\n", "state.backend.type: memory\n", BUSY];
    let settings = backends[usize::try_from(random.within(0..=2)).unwrap()];
    let mut job =
        Job::new(local(&directory), directory.path(), &input, random.within(10..=60), settings);
    job.rate = Some(2_000);
    let mut resumed = 0;
    for _ in 0..random.within(3..=6) {
        choose(&mut job, &mut random);
        let life = Duration::from_millis(random.within(100..=700));
        match job.run_and_kill_after(life, false) {
            Outcome::Killed { resumed: true } => resumed += 1,
            Outcome::Killed { resumed: false } => {}
            Outcome::Finished => break,
        }
    }
    job.rate = None;
    choose(&mut job, &mut random);
    job.run_to_the_end();
    compare(&expected, &committed_lines(&job.output), seed, resumed);
}

#[test]
fn killed_and_rescaled_at_random() {
    seeds(4, 5).into_iter().for_each(storm);
}
