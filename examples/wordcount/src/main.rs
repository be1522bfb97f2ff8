//! Counts words: for every occurrence of a word one line `word,running_count`.
//!
//! A word is a maximal run of Unicode alphanumeric characters, lower-cased. The job is killed,
//! resumed and rescaled in Tidegate's tests; its output is the same every time.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidegate::{FileSink, FileSource, Job};

/// Counts the words of text files, with exactly-once checkpoints.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory of UTF-8 text files; files whose name begins with a dot are left out.
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Directory of the result; finished files are those whose name does not begin with a dot.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Lines to read per second, over all subtasks; as fast as possible if left out.
    #[arg(long, value_name = "RECORDS_PER_SECOND")]
    rate: Option<NonZeroU64>,
    /// Pause after each counted word, in microseconds: a slow output, to watch back pressure with.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    output_delay: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tidegate::run("wordcount", move |job| {
        build(job, arguments);
        Ok(())
    })
}

fn build(job: &Job, arguments: Arguments) {
    let output_delay = Duration::from_micros(arguments.output_delay);
    let lines = job.source("lines", FileSource::lines(arguments.input));
    lines
        .rate_limit(arguments.rate)
        .stream()
        .flat_map(|line, words| split_words(&line, |word| words.emit(word)))
        .key_by(|word: &String| word.clone())
        .process("count", move |states| {
            let count = states.value::<u64>("count")?;
            Ok(move |word: &String, _, out: &mut tidegate::ProcessContext<'_, _, _>| {
                let seen = count.get()?.unwrap_or(0) + 1;
                count.put(seen)?;
                if !output_delay.is_zero() {
                    std::thread::sleep(output_delay);
                }
                out.emit(line(word, seen));
                Ok(())
            })
        })
        .sink("output", FileSink::new(arguments.output));
}

/// `word,seen`, with room for all of it from the start. A text that grows is reallocated, and glibc
/// does that under a lock that the thread takes to make the words: both would wait for each other.
fn line(word: &str, seen: u64) -> String {
    const DIGITS_MAX: usize = 20;
    let mut line = String::with_capacity(word.len() + 1 + DIGITS_MAX);
    write!(line, "{word},{seen}").expect("a text takes what is written to it");
    line
}

fn split_words(line: &str, mut emit: impl FnMut(String)) {
    let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.for_each(|word| emit(word.to_lowercase()));
}

#[test]
fn words_are_maximal_runs_of_alphanumerics_in_lower_case() {
    let mut words = Vec::new();
    split_words("Don't panic -- ÉTÉ 42nd_street\u{fffd}x", |word| words.push(word));
    assert_eq!(words, ["don", "t", "panic", "été", "42nd", "street", "x"]);
}
