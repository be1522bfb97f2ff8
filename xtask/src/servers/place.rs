//! Where a server's programs, state and variables are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Server;
use super::process::Process;

/// Environment variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// The places of one server.
pub(super) struct Place {
    pub(super) name: &'static str,
    /// What it stores, its configuration and logs: new with every start from nothing.
    pub(super) state: PathBuf,
    /// Its programs, downloaded once for all clones of the user.
    pub(super) cache: PathBuf,
}

impl Place {
    pub(super) fn of(directory: &Path, server: &Server) -> Result<Self> {
        let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
            (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
            (_, Some(home)) => PathBuf::from(home).join(".cache"),
            _ => bail!("neither XDG_CACHE_HOME nor HOME is set"),
        };
        Ok(Self {
            name: server.name,
            state: directory.join(server.name),
            cache: cache.join("tidegate/servers").join(server.release),
        })
    }

    /// One of the server's processes.
    pub(super) fn process(&self, name: &str) -> Process {
        Process::new(&self.state, name)
    }

    /// Whether all of these are running.
    pub(super) fn are_alive(&self, processes: &[&str]) -> bool {
        processes.iter().all(|process| self.process(process).is_alive())
    }

    /// Fills the cache by `install`, which is given an empty directory; at once or not at all, and once
    /// for all who want it at the same time.
    pub(super) fn installed(
        &self,
        what: &str,
        install: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if self.cache.exists() {
            return Ok(());
        }
        let all = self.cache.parent().context("a place in the cache")?;
        fs::create_dir_all(all).with_context(|| all.display().to_string())?;
        let partial = self.cache.with_added_extension("partial");
        let _lock = lock(&self.cache.with_added_extension("lock"))?;
        if self.cache.exists() {
            return Ok(());
        }
        println!("{}: downloading {what}, once", self.name);
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
        }
        fs::create_dir(&partial).with_context(|| partial.display().to_string())?;
        install(&partial).with_context(|| format!("cannot download {what}"))?;
        fs::rename(&partial, &self.cache).context("the finished download")
    }

    /// An empty state, with these directories in it.
    pub(super) fn start_from_nothing(&self, directories: &[&str]) -> Result<()> {
        self.forget()?;
        for directory in directories {
            let path = self.state.join(directory);
            fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Removes what the server stored.
    pub(super) fn forget(&self) -> Result<()> {
        if self.state.exists() {
            fs::remove_dir_all(&self.state).with_context(|| self.state.display().to_string())?;
        }
        Ok(())
    }

    /// Writes a file of the state.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.state.join(name), text).with_context(|| format!("{}: {name}", self.name))
    }

    /// What the server's tests have to know, as an earlier start wrote it.
    pub(super) fn variables(&self) -> Variables {
        read_variables(&self.state.join("env"))
    }

    /// Keeps what the server's tests have to know.
    pub(super) fn keep_variables(&self, variables: &[(&str, &str)]) -> Result<()> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        write_variables(&self.state.join("env"), &variables)
    }
}

/// Runs a command whose output nobody wants to see unless it fails.
pub(super) fn quietly(command: &mut Command) -> Result<String> {
    let shown = crate::shell::shown(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!("`{shown}` failed ({}):\n{}", output.status, last_lines(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// As many ports of the loopback interface as asked for, which nobody used just now.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All at once, so that no port comes twice.
    let mut listeners = Vec::with_capacity(N);
    for _ in 0..N {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?);
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context("a free port")?.port();
    }
    Ok(ports)
}

/// Waits until nobody else holds the lock. It ends when the file is dropped.
pub(super) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The variables of an `env` file; none when there is no such file.
pub(super) fn read_variables(path: &Path) -> Variables {
    let text = fs::read_to_string(path).unwrap_or_default();
    let variables = text.lines().filter_map(|line| line.split_once('='));
    variables.map(|(n, v)| (n.to_owned(), v.trim_matches('\'').to_owned())).collect()
}

/// Writes variables as a shell reads them; no value has a quote or a line's end in it.
pub(super) fn write_variables(path: &Path, variables: &Variables) -> Result<()> {
    let lines: Vec<String> = variables.iter().map(|(n, v)| format!("{n}='{v}'")).collect();
    fs::write(path, lines.join("\n") + "\n").with_context(|| path.display().to_string())
}

#[test]
fn variables_read_back() {
    let path = std::env::temp_dir().join(format!("tidegate-variables-{}", std::process::id()));
    let variables = [("A", "x=y ="), ("B", "")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    write_variables(&path, &variables).unwrap();
    assert_eq!(read_variables(&path), variables);
    fs::remove_file(&path).unwrap();
    assert!(read_variables(&path).is_empty());
}

#[test]
fn free_ports_differ() {
    let [a, b, c] = free_ports().unwrap();
    assert!(a != b && b != c && a != c);
}
