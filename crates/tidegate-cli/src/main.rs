//! The `tidegate` program: runs jobs, finds running ones, cancels them, looks into checkpoints.
//!
//! **It is not** where jobs run: a job is a program of its own that links the runtime. `tidegate
//! run` starts it, tells it its options and sees to it that it does not outlive `tidegate`.
#![forbid(unsafe_code)]

mod arguments;
mod cancel;
mod failure;
mod inspect;
mod jobs;
mod list;
mod output;
mod program;
mod run;
mod settle;
mod signals;
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
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Supervised(arguments) => Err(supervised::become_job(&arguments)),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
