//! The same under back pressure, in the modes in which barriers do not wait for all records before
//! them: unaligned, with a timeout, and at least once.

use std::time::Duration;

use crate::input::{Random, count_words, write_input};
use crate::job::{Job, Outcome};
use crate::local;
use crate::output::{committed_lines, compare};
use crate::seeds::seeds;

/// What became of one run.
#[derive(Default)]
struct Run {
    resumes: u64,
    /// Checkpoints with records in flight that were resumed from.
    in_flight: u64,
    lines_too_many: usize,
}

/// What one test does.
struct Plan {
    settings: &'static [&'static str],
    /// Resume with other numbers of subtasks, too.
    rescale: bool,
    /// Lines a second. Without a limit the channels are full all the time; with one they fill and
    /// empty, so that barriers that stay in their places come through before the input ends.
    rate: Option<u64>,
    /// Whether a record may count twice.
    exact: bool,
}

impl Plan {
    fn new(settings: &'static [&'static str]) -> Self {
        Self { settings, rescale: false, rate: None, exact: true }
    }
}

/// Kills a job whose output is slow, so that its channels are full, and resumes it.
fn run_under_back_pressure(seed: u64, plan: &Plan) -> Run {
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    write_input(&input, &mut random);
    let expected = count_words(&input);
    let mut job = Job::new(local(&directory), directory.path(), &input, 40, "");
    job.settings = plan.settings.iter().map(|setting| (*setting).to_owned()).collect();
    job.output_delay_us = random.within(50..=200);
    job.rate = plan.rate;
    let mut run = Run::default();
    for _ in 0..random.within(2..=3) {
        let life = Duration::from_millis(random.within(150..=900));
        match job.run_and_kill_after(life, false) {
            Outcome::Killed { resumed } => run.resumes += u64::from(resumed),
            Outcome::Finished => break,
        }
        run.in_flight += u64::from(newest_in_flight(&job) > 0);
        if plan.rescale {
            job.parallelism = [1, 2, 3][usize::try_from(random.within(0..=2)).unwrap()];
        }
    }
    (job.output_delay_us, job.rate) = (0, None);
    job.run_to_the_end();
    let found = committed_lines(&job.output);
    if plan.exact {
        compare(&expected, &found, seed, usize::try_from(run.resumes).unwrap());
    }
    let missing = expected.keys().find(|line| !found.contains_key(*line));
    assert_eq!(missing, None, "seed {seed}: a line is missing");
    let counted = |lines: &std::collections::BTreeMap<String, usize>| lines.values().sum::<usize>();
    run.lines_too_many = counted(&found) - counted(&expected);
    run
}

/// The bytes of the records in flight in the newest checkpoint.
fn newest_in_flight(job: &Job) -> u64 {
    let metadata = job.newest_metadata();
    let operators = metadata.iter().flat_map(|metadata| &metadata.operators);
    let subtasks = operators.flat_map(|operator| &operator.subtasks);
    let channels = subtasks.flat_map(|(_, state)| &state.channels);
    channels.map(|channel| channel.records.length()).sum()
}

fn all(default_runs: u64, salt: u64, plan: &Plan) -> Run {
    let mut sum = Run::default();
    for seed in seeds(default_runs, salt) {
        let run = run_under_back_pressure(seed, plan);
        sum.resumes += run.resumes;
        sum.in_flight += run.in_flight;
        sum.lines_too_many += run.lines_too_many;
    }
    let Run { resumes, in_flight, lines_too_many } = sum;
    println!("{resumes} resumes, {in_flight} with records in flight, {lines_too_many} lines twice");
    sum
}

#[test]
fn killed_with_records_in_flight() {
    let run = all(4, 5, &Plan::new(&["execution.checkpointing.unaligned.enabled=true"]));
    assert!(run.in_flight > 0, "no barrier has overtaken anything: nothing was tested");
}

#[test]
fn killed_with_records_in_flight_and_resumed_with_other_parallelism() {
    let plan = Plan::new(&["execution.checkpointing.unaligned.enabled=true"]);
    let run = all(4, 6, &Plan { rescale: true, ..plan });
    assert!(run.in_flight > 0, "no barrier has overtaken anything: nothing was tested");
}

#[test]
fn killed_with_barriers_that_overtake_after_a_timeout() {
    let run = all(
        4,
        7,
        &Plan::new(&[
            "execution.checkpointing.unaligned.enabled=true",
            "execution.checkpointing.aligned-checkpoint-timeout=20ms",
        ]),
    );
    assert!(run.in_flight > 0, "no barrier has overtaken anything: nothing was tested");
}

#[test]
fn killed_with_several_aligned_checkpoints_under_way() {
    let plan = Plan::new(&["execution.checkpointing.max-concurrent-checkpoints=3"]);
    let run = all(3, 8, &Plan { rate: Some(3_500), ..plan });
    assert!(run.resumes > 0, "never resumed: nothing was tested");
}

// Nothing is lost; and that records count twice is what tells this mode from the others.
#[test]
fn killed_at_least_once() {
    let plan = Plan::new(&["execution.checkpointing.mode=AT_LEAST_ONCE"]);
    let run = all(5, 9, &Plan { rate: Some(3_500), exact: false, ..plan });
    assert!(run.lines_too_many > 0, "no record counted twice: nothing was tested");
}
