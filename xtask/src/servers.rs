//! `servers`: the stores that tests meet, as real servers on loopback: HDFS, S3 (Ceph's gateway), Azurite.
//!
//! Everything comes from package registries, once, into a cache of the user's
//! (`${XDG_CACHE_HOME:-~/.cache}/tidegate/servers`). A server that is up is left as it is by `start`; one
//! that is down starts empty, on ports that are free at that moment. What tests have to know of it is in
//! the file `env` beside its state. A server whose programs (Java, node, …) this machine lacks is skipped
//! by name, unless `TIDEGATE_TEST_SERVERS=required`.

mod azure;
mod hdfs;
mod http;
mod place;
mod process;
mod s3;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::metadata::Workspace;
use place::{Place, Variables};

const USAGE: &str = "\
usage: cargo xtask servers start|stop|status|env [NAME]…

  start    brings the servers up that are down; the first time it downloads them (minutes)
  stop     ends them; what they stored is gone
  status   says which are up
  env      the variables that tests read, for `set -a; eval \"$(cargo xtask servers env)\"; set +a`

names: hdfs, hdfs-faults (a cluster that tests may hurt), s3, azure; all of them when none is given
";

/// Set to `required` where a missing server is a failure, and nothing is skipped.
const REQUIREMENT: &str = "TIDEGATE_TEST_SERVERS";
/// The directory of all servers: `{name}/{process}.pid` and `{name}/{process}.sh`, which starts it again.
const DIRECTORY: &str = "TIDEGATE_TEST_SERVERS_DIRECTORY";
/// Tests that need a server that is not there append their names to this file.
const SKIPPED: &str = "TIDEGATE_TEST_SKIPPED";

/// One kind of server.
struct Server {
    name: &'static str,
    /// The version of what is downloaded: the name of its place in the cache.
    release: &'static str,
    /// The first program that this machine lacks.
    lacking: fn() -> Option<&'static str>,
    /// Brings it up if it is down, and returns what tests have to know.
    start: fn(&Place) -> Result<Variables>,
    /// Its processes, in the order in which they are ended.
    processes: &'static [&'static str],
}

const SERVERS: [Server; 4] = [
    Server {
        name: "hdfs",
        release: hdfs::RELEASE,
        lacking: hdfs::lacking,
        start: hdfs::start,
        processes: hdfs::PROCESSES,
    },
    Server {
        name: "hdfs-faults",
        release: hdfs::RELEASE,
        lacking: hdfs::lacking,
        start: hdfs::start_for_faults,
        processes: hdfs::PROCESSES,
    },
    Server {
        name: "s3",
        release: s3::RELEASE,
        lacking: s3::lacking,
        start: s3::start,
        processes: s3::PROCESSES,
    },
    Server {
        name: "azure",
        release: azure::RELEASE,
        lacking: azure::lacking,
        start: azure::start,
        processes: azure::PROCESSES,
    },
];

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = arguments.iter().map(String::as_str);
    let command = arguments.next().unwrap_or_default();
    let servers = chosen(&arguments.collect::<Vec<_>>())?;
    let directory = directory()?;
    match command {
        "start" => {
            let started = start(&directory, &servers)?;
            started.report();
            ensure!(!started.has_failed, "not every server has come up");
            started.into_result().map(drop)
        }
        "stop" => stop(&directory, &servers),
        "status" => {
            for server in servers {
                let place = Place::of(&directory, server)?;
                let up =
                    server.processes.iter().filter(|process| place.process(process).is_alive());
                println!(
                    "{}: {} of {} processes up",
                    server.name,
                    up.count(),
                    server.processes.len()
                );
            }
            Ok(())
        }
        "env" => {
            let path = directory.join("env");
            print!("{}", fs::read_to_string(&path).context("no server has been started here")?);
            Ok(())
        }
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => bail!("there is no `servers {unknown}`\n\n{USAGE}"),
    }
}

/// A program that this machine lacks for a server.
#[derive(Debug)]
struct Lacking(&'static str);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing on this machine", self.0)
    }
}

impl std::error::Error for Lacking {}

/// What became of every server that was asked for.
pub(crate) struct Started {
    /// What the tests have to know.
    pub(crate) variables: Variables,
    /// Servers that are not there, each with the reason.
    missing: Vec<(&'static str, String)>,
    up: Vec<String>,
    /// Whether one of the missing ones failed, although this machine has all that it needs.
    has_failed: bool,
    /// Where tests say that they were skipped.
    skipped: PathBuf,
    /// Whether any server was up before.
    was_running: bool,
}

impl Started {
    fn report(&self) {
        for line in &self.up {
            println!("{line}");
        }
        for (name, reason) in &self.missing {
            println!("{name}: SKIPPED, its tests cannot run: {reason}");
        }
    }

    /// Fails where a server is missing that must not be.
    fn into_result(self) -> Result<Self> {
        if are_required() && !self.missing.is_empty() {
            let missing: Vec<_> =
                self.missing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            bail!("{REQUIREMENT}=required, and there is no\n  {}", missing.join("\n  "));
        }
        Ok(self)
    }

    /// Names of the tests that could not run for want of a server.
    pub(crate) fn skipped_tests(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.skipped).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Ends the servers, unless they were there before.
    pub(crate) fn finish(self) -> Result<()> {
        if self.was_running {
            Ok(())
        } else {
            stop(&directory()?, &SERVERS.iter().collect::<Vec<_>>())
        }
    }
}

/// Brings all servers up for tests.
pub(crate) fn start_for_tests() -> Result<Started> {
    let started = start(&directory()?, &SERVERS.iter().collect::<Vec<_>>())?;
    started.report();
    let _ = fs::remove_file(&started.skipped);
    let was_running = started.was_running;
    started.into_result().inspect_err(|_| {
        if !was_running {
            let _ = directory().and_then(|at| stop(&at, &SERVERS.iter().collect::<Vec<_>>()));
        }
    })
}

/// Whether a server that is missing is a failure: where `TIDEGATE_TEST_SERVERS` says so, or in
/// continuous integration where it says nothing.
pub(crate) fn are_required() -> bool {
    match std::env::var(REQUIREMENT) {
        Ok(value) => value == "required",
        Err(_) => std::env::var("CI").is_ok_and(|value| value == "true"),
    }
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Server>> {
    let known = SERVERS.each_ref().map(|server| server.name);
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no server `{unknown}`; servers: {}", known.join(", "));
    }
    Ok(SERVERS.iter().filter(|server| names.is_empty() || names.contains(&server.name)).collect())
}

/// Of this clone, so that two of them do not end each other's servers.
fn directory() -> Result<PathBuf> {
    match std::env::var_os("TIDEGATE_SERVERS_DIR") {
        Some(directory) => std::path::absolute(directory).context("TIDEGATE_SERVERS_DIR"),
        None => Ok(Workspace::load(".")?.target.join("servers")),
    }
}

fn start(directory: &Path, servers: &[&'static Server]) -> Result<Started> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let _lock = place::lock(&directory.join("lock"))?;
    let mut started = Started {
        variables: place::read_variables(&directory.join("env")),
        missing: Vec::new(),
        up: Vec::new(),
        has_failed: false,
        skipped: directory.join("skipped"),
        was_running: false,
    };
    for (name, value) in [(DIRECTORY, directory), (SKIPPED, &started.skipped)] {
        started.variables.insert(name.to_owned(), value.display().to_string());
    }
    if are_required() {
        started.variables.insert(REQUIREMENT.to_owned(), "required".to_owned());
    } else {
        started.variables.remove(REQUIREMENT);
    }
    // Side by side: most of the time each of them waits for itself.
    let outcomes = thread::scope(|scope| -> Vec<_> {
        let threads: Vec<_> = servers
            .iter()
            .map(|server| {
                let start = move || start_one(directory, server);
                (server.name, scope.spawn(start))
            })
            .collect();
        threads.into_iter().map(|(name, t)| (name, t.join().expect("no panic"))).collect()
    });
    for (name, outcome) in outcomes {
        match outcome {
            Ok((line, was_running, variables)) => {
                started.up.push(line);
                started.was_running |= was_running;
                started.variables.extend(variables);
            }
            Err(error) => {
                started.has_failed |= !error.is::<Lacking>();
                started.missing.push((name, format!("{error:#}")));
            }
        }
    }
    place::write_variables(&directory.join("env"), &started.variables)?;
    Ok(started)
}

fn start_one(directory: &Path, server: &Server) -> Result<(String, bool, Variables)> {
    if let Some(program) = (server.lacking)() {
        return Err(Lacking(program).into());
    }
    let place = Place::of(directory, server)?;
    let was_running = server.processes.iter().all(|process| place.process(process).is_alive());
    let begun = Instant::now();
    let variables = (server.start)(&place)?;
    let how = if was_running {
        "was up".to_owned()
    } else {
        format!("up in {:.1} s", begun.elapsed().as_secs_f64())
    };
    Ok((format!("{}: {how}", server.name), was_running, variables))
}

fn stop(directory: &Path, servers: &[&'static Server]) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let _lock = place::lock(&directory.join("lock"))?;
    for server in servers {
        let place = Place::of(directory, server)?;
        for process in server.processes {
            place.process(process).stop()?;
        }
        place.forget()?;
    }
    if SERVERS.iter().all(|server| servers.iter().any(|stopped| stopped.name == server.name)) {
        let _ = fs::remove_file(directory.join("env"));
    }
    Ok(())
}
