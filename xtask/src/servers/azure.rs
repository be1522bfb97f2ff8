//! Azure Blob Storage: Microsoft's own emulator Azurite, from npm.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::{Place, Variables, free_ports, quietly};
use crate::shell::{self, succeeds};

pub(super) const RELEASE: &str = "azurite-3.37.0";
pub(super) const PROCESSES: &[&str] = &["azurite"];

/// The emulator's account and key, the same everywhere and published with it.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "tidegate";

pub(super) fn lacking() -> Option<&'static str> {
    ["node", "npm", "python3"]
        .into_iter()
        .find(|program| !succeeds(Command::new(program).arg("--version")))
}

pub(super) fn start(place: &Place) -> Result<Variables> {
    place.installed("Azurite (365 MB)", |directory| {
        let mut npm = Command::new("npm");
        npm.arg("install").arg("--prefix").arg(directory);
        npm.args(["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
        quietly(npm.arg("azurite@3.37.0")).map(drop)
    })?;
    let azurite = place.process("azurite");
    if !azurite.is_alive() {
        let [port] = free_ports()?;
        place.start_from_nothing(&["data"])?;
        place.keep_variables(&[
            ("TIDEGATE_TEST_AZURE_ENDPOINT", &format!("http://127.0.0.1:{port}/{ACCOUNT}")),
            ("TIDEGATE_TEST_AZURE_ACCOUNT", ACCOUNT),
            ("TIDEGATE_TEST_AZURE_KEY", KEY),
            ("TIDEGATE_TEST_AZURE_CONTAINER", CONTAINER),
        ])?;
        place.write("port", &port.to_string())?;
        let program = place.cache.join("node_modules/azurite/dist/src/blob/main.js");
        let mut command = vec!["node".to_owned(), program.display().to_string()];
        command.extend(["--location".to_owned(), place.state.join("data").display().to_string()]);
        command.extend(["--blobHost", "127.0.0.1", "--blobPort"].map(str::to_owned));
        command.push(port.to_string());
        let flags = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"];
        command.extend(flags.map(str::to_owned));
        azurite.start(&[], &command)?;
    }
    let port = fs::read_to_string(place.state.join("port")).context("Azurite's port")?;
    let script = shell::root().join("xtask/servers/make_container.py");
    let make = || {
        let mut make = Command::new("python3");
        succeeds(make.arg(&script).args([&port, ACCOUNT, KEY, CONTAINER]))
    };
    azurite.wait_until(make)?;
    Ok(place.variables())
}
