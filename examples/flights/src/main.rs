//! Follows the delays of flights: for every flight one line of running figures of its origin and
//! carrier, and for every day, once it is over in event time, one line of that day's figures.
//!
//! Each update is `origin,carrier,flights,cancelled,mean_delay,max_delay`; each day
//! `origin,carrier,day,flights,cancelled,mean_delay`. Delays are departure delays in minutes.
#![forbid(unsafe_code)]

mod figures;
mod flight;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidegate::{
    FileSink, FileSource, Job, KeyedProcess, MapState, Parallelism, ProcessContext, StateError,
    StateSetup, Timer, UserError, ValueState,
};

use crate::figures::Figures;
use crate::flight::Flight;

const DAY_MS: i64 = 86_400_000;

/// The input's months come in the order 1, 10, 11, 12, 2, 3, … 9: after December the event time
/// jumps back by eleven months. A watermark that trails the newest time by a whole year treats no
/// flight as late; the price is that days are reported near the end of the input.
const OUT_OF_ORDERNESS: Duration = Duration::from_secs(366 * 86_400);

/// Running and daily figures of flights by origin and carrier, with exactly-once checkpoints.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory of CSV files with the columns of nycflights13's `flights` table.
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Directory of the running figures: a line for every flight.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Directory of the daily figures; `<OUTPUT>.daily` if left out.
    #[arg(long, value_name = "DIR")]
    daily_output: Option<PathBuf>,
    /// Flights to read per second; as fast as possible if left out.
    #[arg(long, value_name = "RECORDS_PER_SECOND")]
    rate: Option<NonZeroU64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tidegate::run("flights", move |job| {
        build(job, arguments);
        Ok(())
    })
}

fn build(job: &Job, arguments: Arguments) {
    let daily = arguments.daily_output.unwrap_or_else(|| daily_beside(&arguments.output));
    let lines = job.source("flights.csv", FileSource::csv(arguments.input));
    let figures = lines
        .rate_limit(arguments.rate)
        // Running figures depend on the order of the flights, so one subtask reads them in order.
        .parallelism(Parallelism::ONE)
        .stream()
        .flat_map(|record, flights| {
            if let Some(flight) = Flight::of_record(&record) {
                flights.emit(flight);
            }
        })
        .assign_timestamps(OUT_OF_ORDERNESS, |flight| flight.scheduled_ms)
        .key_by(|flight: &Flight| (flight.origin.clone(), flight.carrier.clone()))
        .process_with("figures", Delays::open);
    let only = |wanted: fn(Line) -> Option<String>| {
        figures.flat_map(move |line, out| {
            if let Some(text) = wanted(line) {
                out.emit(text);
            }
        })
    };
    only(|line| if let Line::Update(text) = line { Some(text) } else { None })
        .sink("updates", FileSink::new(arguments.output));
    only(|line| if let Line::Day(text) = line { Some(text) } else { None })
        .sink("days", FileSink::new(daily));
}

fn daily_beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".daily");
    output.with_file_name(name)
}

/// What comes out for a key.
#[derive(Clone)]
enum Line {
    /// The running figures after one flight.
    Update(String),
    /// The figures of a day that is over.
    Day(String),
}

/// Origin and carrier.
type Key = (String, String);

struct Delays {
    total: ValueState<Figures>,
    days: MapState<i64, Figures>,
}

impl Delays {
    fn open(states: &mut StateSetup<'_, Key>) -> Result<Self, StateError> {
        Ok(Self { total: states.value("total")?, days: states.map("days")? })
    }
}

impl KeyedProcess<Key, Flight, Line> for Delays {
    fn process(
        &mut self,
        (origin, carrier): &Key,
        flight: Flight,
        context: &mut ProcessContext<'_, Key, Line>,
    ) -> Result<(), UserError> {
        let mut total = self.total.get()?.unwrap_or_default();
        total.add(&flight);
        self.total.put(total.clone())?;
        context.emit(Line::Update(format!("{origin},{carrier},{total}")));

        let day = flight.scheduled_ms.div_euclid(DAY_MS);
        let mut figures = self.days.get(&day)?.unwrap_or_default();
        figures.add(&flight);
        self.days.put(day, figures)?;
        // The window [day, day + 1) is complete once the watermark reaches its last millisecond.
        context.register_event_time_timer((day + 1) * DAY_MS - 1);
        Ok(())
    }

    fn on_timer(
        &mut self,
        (origin, carrier): &Key,
        timer: Timer,
        context: &mut ProcessContext<'_, Key, Line>,
    ) -> Result<(), UserError> {
        let Timer::EventTime(end_ms) = timer else { return Ok(()) };
        let day = end_ms.div_euclid(DAY_MS);
        if let Some(figures) = self.days.get(&day)? {
            let date = flight::date_of_day(day);
            context.emit(Line::Day(format!("{origin},{carrier},{date},{figures}")));
            self.days.remove(&day)?;
        }
        Ok(())
    }
}
