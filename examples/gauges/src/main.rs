//! The highest level of each tide gauge in each window: one line `gauge,window_start_ms,level_cm`.
//!
//! Input lines are `gauge,time_ms,level_cm`, in any order: a window is complete when event time
//! ends. The job has a past: release 1 kept a number of centimetres for each window, release 2
//! keeps a [`Peak`] and takes on what release 1 has left. Tidegate's tests upgrade it, rescale it,
//! stop it with and without draining, and give it an operator more.
#![forbid(unsafe_code)]

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidegate::rkyv;
use tidegate::{
    FileSink, FileSource, Job, KeyedProcess, MapState, MapStateDescriptor, ProcessContext,
    StateValue, Stream, Timer, UserError,
};

/// Finds the highest level of each gauge in each window, with exactly-once checkpoints.
#[derive(Clone, Parser)]
#[command(version)]
struct Arguments {
    /// Directory of files with lines `gauge,time_ms,level_cm`.
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Directory of the result.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Also count the levels above 700 cm, one line `gauge,count` each, into this directory.
    #[arg(long, value_name = "DIR")]
    alarms: Option<PathBuf>,
    /// Which release of the job.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    release: u8,
    /// Lines to read per second, over all subtasks; as fast as possible if left out.
    #[arg(long, value_name = "RECORDS_PER_SECOND")]
    rate: Option<NonZeroU64>,
}

const WINDOW_MS: i64 = 60_000;
/// Files are read one after the other, and each has all times.
const LATENESS: Duration = Duration::from_secs(365 * 24 * 3_600);
const ALARM_CM: u32 = 700;

#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Debug, PartialEq)]
#[rkyv(crate = tidegate::rkyv)]
struct Reading {
    gauge: String,
    time_ms: i64,
    level_cm: u32,
}

/// What release 2 keeps of a window.
#[derive(Clone, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct Peak {
    level_mm: i64,
    readings: u32,
}

/// The level of a window, in the form of a release.
trait Level: StateValue {
    fn first(level_cm: u32) -> Self;
    fn raise(&mut self, level_cm: u32);
    fn level_cm(&self) -> u32;
}

impl Level for u32 {
    fn first(level_cm: u32) -> Self {
        level_cm
    }

    fn raise(&mut self, level_cm: u32) {
        *self = level_cm.max(*self);
    }

    fn level_cm(&self) -> u32 {
        *self
    }
}

impl Level for Peak {
    fn first(level_cm: u32) -> Self {
        Self { level_mm: i64::from(level_cm) * 10, readings: 1 }
    }

    fn raise(&mut self, level_cm: u32) {
        self.level_mm = self.level_mm.max(i64::from(level_cm) * 10);
        self.readings += 1;
    }

    fn level_cm(&self) -> u32 {
        u32::try_from(self.level_mm / 10).unwrap_or(0)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tidegate::run("gauges", move |job| {
        build(job, &arguments);
        Ok(())
    })
}

fn build(job: &Job, arguments: &Arguments) {
    let lines = job.source("readings", FileSource::lines(&arguments.input));
    let readings = lines
        .rate_limit(arguments.rate)
        .stream()
        .flat_map(|line, readings| parse(&line).into_iter().for_each(|r| readings.emit(r)))
        .assign_timestamps(LATENESS, |reading: &Reading| reading.time_ms);
    let peaks = match arguments.release {
        1 => peaks(&readings, MapStateDescriptor::<i64, u32>::new),
        _ => peaks(&readings, |name| {
            MapStateDescriptor::new(name).schema_version(1).migrate(0, |level_cm: u32| {
                let level_mm = i64::from(level_cm) * 10;
                Peak { level_mm, readings: 1 }
            })
        }),
    };
    peaks.sink("peaks", FileSink::new(&arguments.output));
    if let Some(directory) = &arguments.alarms {
        alarms(&readings).sink("alarms", FileSink::new(directory));
    }
}

fn peaks<L: Level>(
    readings: &Stream<Reading>,
    descriptor: impl Fn(&str) -> MapStateDescriptor<i64, L> + Send + Sync + 'static,
) -> Stream<String> {
    readings.key_by(|reading: &Reading| reading.gauge.clone()).process_with("peak", move |states| {
        Ok(Windows { levels: states.keyed_state().map(descriptor("levels"))? })
    })
}

/// The open windows of each gauge, by their start.
struct Windows<L: Level> {
    levels: MapState<i64, L>,
}

impl<L: Level> KeyedProcess<String, Reading, String> for Windows<L> {
    fn process(
        &mut self,
        _: &String,
        reading: Reading,
        context: &mut ProcessContext<'_, String, String>,
    ) -> Result<(), UserError> {
        let start = reading.time_ms - reading.time_ms.rem_euclid(WINDOW_MS);
        let mut level = self.levels.get(&start)?;
        match &mut level {
            Some(level) => level.raise(reading.level_cm),
            None => level = Some(L::first(reading.level_cm)),
        }
        self.levels.put(start, level.expect("just set"))?;
        context.register_event_time_timer(start + WINDOW_MS - 1);
        Ok(())
    }

    fn on_timer(
        &mut self,
        gauge: &String,
        timer: Timer,
        context: &mut ProcessContext<'_, String, String>,
    ) -> Result<(), UserError> {
        let Timer::EventTime(end) = timer else { return Ok(()) };
        let start = end + 1 - WINDOW_MS;
        if let Some(level) = self.levels.remove(&start)? {
            context.emit(format!("{gauge},{start},{}", level.level_cm()));
        }
        Ok(())
    }
}

fn alarms(readings: &Stream<Reading>) -> Stream<String> {
    let high = readings.filter(|reading| reading.level_cm > ALARM_CM);
    high.key_by(|reading: &Reading| reading.gauge.clone()).process("alarm", |states| {
        let count = states.value::<u64>("count")?;
        Ok(move |gauge: &String, _, out: &mut ProcessContext<'_, _, _>| {
            let seen = count.get()?.unwrap_or(0) + 1;
            count.put(seen)?;
            out.emit(format!("{gauge},{seen}"));
            Ok(())
        })
    })
}

/// `None` for a line that is no reading.
fn parse(line: &str) -> Option<Reading> {
    let mut fields = line.trim().split(',');
    let gauge = fields.next()?.to_owned();
    let time_ms = fields.next()?.parse().ok()?;
    let level_cm = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some(Reading { gauge, time_ms, level_cm })
}

#[test]
fn a_reading_has_three_fields() {
    let expected = Reading { gauge: "Husum".to_owned(), time_ms: -5, level_cm: 312 };
    assert_eq!(parse("Husum,-5,312"), Some(expected));
    for line in ["", "Husum", "Husum,1", "Husum,1,2,3", "Husum,x,2", "Husum,1,-2"] {
        assert_eq!(parse(line), None, "{line}");
    }
}
