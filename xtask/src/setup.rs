//! What a bare Debian machine with Rust lacks: found missing, said so, installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{cargo, run, succeeds};

/// rustfmt and clippy, as components of the toolchain in use.
pub(crate) fn components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !succeeds(&mut cargo([subcommand, "--version"])) {
            println!("{component} is missing");
            run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

/// cargo-fuzz, and the C++ compiler that libFuzzer is built with.
pub(crate) fn fuzzer() -> Result<()> {
    if !succeeds(Command::new("c++").arg("--version")) {
        debian_package("g++")?;
    }
    if !succeeds(&mut cargo(["fuzz", "--version"])) {
        println!("cargo-fuzz is missing");
        // A debug build: it only starts cargo and the fuzz targets, and is ready in half the time.
        run(&mut cargo(["install", "--quiet", "--debug", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

/// What the servers of `cargo xtask servers` run on: Java, node, Python.
pub(crate) fn server_programs() -> Result<()> {
    if !succeeds(Command::new("java").arg("-version")) {
        debian_package("default-jre-headless")?;
    }
    for (program, package) in [("node", "nodejs"), ("npm", "npm"), ("python3", "python3")] {
        if !succeeds(Command::new(program).arg("--version")) {
            debian_package(package)?;
        }
    }
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        debian_package("python3-venv")?;
    }
    Ok(())
}

/// What the bindings to RocksDB are made with: libclang, which bindgen loads, and the C++ compiler.
pub(crate) fn bindings() -> Result<()> {
    if !succeeds(Command::new("c++").arg("--version")) {
        debian_package("g++")?;
    }
    if std::env::var_os("LIBCLANG_PATH").is_none() && !has_libclang() {
        debian_package("libclang-dev")?;
    }
    Ok(())
}

/// Whether libclang lies where bindgen looks for it on Linux; elsewhere it comes with the compiler.
fn has_libclang() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let entries = |directory: &str| std::fs::read_dir(directory).into_iter().flatten().flatten();
    let has = |directory: &Path| {
        let directory = directory.to_string_lossy();
        entries(&directory).any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("libclang.so") || name.starts_with("libclang-")
        })
    };
    let llvm = entries("/usr/lib").map(|entry| entry.path().join("lib"));
    let known = ["/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu"];
    llvm.chain(known.map(Into::into)).any(|directory| has(&directory))
}

/// Whether tests can run under cargo-nextest. It is not installed for that: building it takes
/// longer than the tests do, and `cargo test` judges the same.
pub(crate) fn has_nextest() -> bool {
    succeeds(&mut cargo(["nextest", "--version"]))
}

fn debian_package(package: &str) -> Result<()> {
    println!("{package} is missing");
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        bail!("{package} is needed; install it, for example: sudo apt-get install {package}");
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    apt(&["update", "--quiet"])?;
    apt(&["install", "--quiet", "--yes", "--no-install-recommends", package])
}
