//! The `tidegate` program: runs jobs, finds running ones, cancels and stops them, takes savepoints,
//! looks into checkpoints.
//!
//! **It is not** where jobs run: a job is a program of its own that links the runtime. `tidegate
//! run` starts it, tells it its options and sees to it that it does not outlive `tidegate`.
#![forbid(unsafe_code)]

mod arguments;
mod cancel;
mod config;
mod failure;
mod inspect;
mod jobs;
mod list;
mod output;
mod program;
mod progress;
mod run;
mod savepoint;
mod settle;
mod signals;
mod stop;
mod stores;
mod supervise;
mod supervised;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Cancel(arguments) => cancel::cancel(&arguments),
        Command::Savepoint(arguments) => savepoint::savepoint(&arguments),
        Command::Stop(arguments) => stop::stop(&arguments),
        Command::Config(arguments) => config::config(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Supervised(arguments) => Err(supervised::become_job(&arguments)),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
