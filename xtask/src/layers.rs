//! `layers`: the architecture, tested. Dependencies between crates go strictly down, and what a
//! crate may not know, it does not know.
//!
//! The drawing and its reasons are in `docs/architecture.md`; a rule changed here changes there.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::metadata::{Package, Workspace};
use crate::{shell, tidy};

/// Every published crate and its level. A crate that is missing here fails the check.
const LEVELS: [(&str, u8); 20] = [
    ("tidegate-types", 0),
    ("tidegate-meta", 1),
    ("tidegate-store", 1),
    ("tidegate-store-remote", 1),
    ("tidegate-align", 1),
    ("tidegate-state", 2),
    ("tidegate-connect", 2),
    ("tidegate-segment", 2),
    ("tidegate-store-object", 2),
    ("tidegate-store-hdfs", 2),
    ("tidegate-flink", 2),
    ("tidegate-coordinator", 3),
    ("tidegate-state-fs", 3),
    ("tidegate-state-rocksdb", 3),
    ("tidegate-runtime", 4),
    ("tidegate-timely", 4),
    ("tidegate-cli", 5),
    ("tidegate", 5),
    // Not published; above everything so that nothing published can depend on it.
    ("tidegate-sim", 6),
    ("tidegate-benches", 6),
];

/// Edges inside one level that are allowed, each with its reason.
const SIDEWAYS: [(&str, &str, &str); 1] = [(
    "tidegate-store-remote",
    "tidegate-store",
    "the contract's outcomes and errors, for stores behind a network; apart because of tokio",
)];

/// Dependencies that only the crates named may have. A name that ends in `/` is a directory.
const ONLY: [(&str, &[&str], &str); 11] = [
    ("memmap2", &["tidegate-segment"], "mappings and their unsafe code live in one crate"),
    (
        "crossbeam",
        &["tidegate-align", "tidegate-runtime", "benches/"],
        "channels are threads' work",
    ),
    (
        "rkyv",
        &["tidegate-meta", "tidegate-state", "tidegate", "examples/", "benches/"],
        "a payload encoding, never the format; the facade re-exports it for users' values",
    ),
    (
        "anyhow",
        &["tidegate-cli", "xtask/", "examples/", "benches/"],
        "a library's errors are its own enum",
    ),
    ("clap", &["tidegate-cli", "examples/"], "only programs have arguments"),
    (
        "tokio",
        &["tidegate-store-remote", "tidegate-store-object", "tidegate-store-hdfs"],
        "async stays in remote stores",
    ),
    ("object_store", &["tidegate-store-object"], "that crate's purpose"),
    ("hdfs-native", &["tidegate-store-hdfs"], "that crate's purpose"),
    ("rocksdb", &["tidegate-state-rocksdb", "benches/"], "the only C++"),
    ("rust-rocksdb", &["tidegate-state-rocksdb", "benches/"], "the only C++"),
    ("timely", &["tidegate-timely"], "that crate's purpose"),
];

/// All that `tidegate-types` may depend on: no I/O, no clock, no serialization.
const TYPES_MAY_KNOW: [&str; 2] = ["xxhash-rust", "thiserror"];

/// Words that a crate's own code must not contain.
const ABSENT: [(&str, &[&str], &str); 3] = [
    (
        "tidegate-types",
        &["std::fs", "std::net", "std::thread", "SystemTime", "Instant", "serde", "rkyv"],
        "domain types do no I/O, read no clock and cannot be serialized",
    ),
    ("tidegate-meta", &["std::fs", "std::net", "SystemTime", "Instant"], "bytes in, bytes out"),
    ("tidegate-align", &["std::fs", "std::net", "SystemTime"], "it moves records, nothing else"),
];

/// The task.
pub(crate) fn run() -> Result<()> {
    let packages = Workspace::load(".")?.packages;
    let mut problems = Vec::new();
    for package in &packages {
        problems.extend(edges(package));
        problems.extend(exclusive(package));
        problems.extend(unsafe_code(package)?);
        problems.extend(absences(package)?);
    }
    if !problems.is_empty() {
        bail!("the layers do not hold (docs/architecture.md):\n  {}", problems.join("\n  "));
    }
    println!("layers: {} packages, every edge goes down", packages.len());
    Ok(())
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// Problems of a package's edges within the workspace. Tests may also look sideways, never up.
fn edges(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some(own) = level(name) else {
        let is_crate = package.directory.starts_with("crates");
        return is_crate
            .then(|| format!("{name} has no level in xtask/src/layers.rs"))
            .into_iter()
            .collect();
    };
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        let other = dependency.name.as_str();
        let Some(below) = level(other) else { continue };
        let is_listed = SIDEWAYS.iter().any(|(from, to, _)| (*from, *to) == (name, other));
        let is_fine = below < own || (below == own && (dependency.is_dev || is_listed));
        if !is_fine {
            problems.push(format!("{name} (level {own}) depends on {other} (level {below})"));
        }
    }
    problems
}

/// Problems of a package's dependencies from elsewhere.
fn exclusive(package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_dev) {
        let name = dependency.name.as_str();
        if package.name == "tidegate-types" && !TYPES_MAY_KNOW.contains(&name) {
            problems.push(format!("tidegate-types depends on {name}; it may know nothing"));
        }
        let rule = ONLY.iter().find(|(only, ..)| *only == name);
        if let Some((_, owners, reason)) = rule.filter(|(_, owners, _)| !is_among(package, owners))
        {
            let owners = owners.join(", ");
            let package = &package.name;
            problems.push(format!("{package} depends on {name}, only for {owners}: {reason}"));
        }
    }
    problems
}

fn is_among(package: &Package, owners: &[&str]) -> bool {
    owners.iter().any(|owner| match owner.strip_suffix('/') {
        Some(directory) => package.directory.starts_with(directory),
        None => package.name == *owner,
    })
}

/// `#![forbid(unsafe_code)]` in every root but one; there, all of it in `mapping.rs`.
fn unsafe_code(package: &Package) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if package.name == "tidegate-segment" {
        for (path, text) in own_sources(package)? {
            let is_mapping = path.ends_with("src/mapping.rs");
            if !is_mapping
                && ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|w| text.contains(w))
            {
                problems.push(format!("{path}: unsafe code outside of mapping.rs"));
            }
        }
        return Ok(problems);
    }
    let roots =
        package.targets.iter().filter(|target| ["lib", "bin"].contains(&target.kind.as_str()));
    for target in roots {
        let path = target.root.as_path();
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        if !text.contains("#![forbid(unsafe_code)]") {
            problems.push(format!("{} lacks #![forbid(unsafe_code)]", relative(path)));
        }
    }
    Ok(problems)
}

fn absences(package: &Package) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let Some((_, words, reason)) = ABSENT.iter().find(|(name, ..)| *name == package.name) else {
        return Ok(problems);
    };
    for (path, text) in own_sources(package)? {
        for word in words.iter().filter(|word| code_of(&text).any(|line| line.contains(**word))) {
            problems.push(format!("{path} mentions {word}: {reason}"));
        }
    }
    Ok(problems)
}

/// The lines of a file that are neither comments nor tests.
fn code_of(text: &str) -> impl Iterator<Item = &str> {
    tidy::source::without_tests(text).filter(|line| !line.trim_start().starts_with("//"))
}

/// Paths and texts of the package's sources.
fn own_sources(package: &Package) -> Result<Vec<(String, String)>> {
    let sources = shell::root().join(&package.directory).join("src");
    tidy::walk(&sources)?
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok((relative(&path), text))
        })
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(shell::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::{edges, exclusive};
    use crate::metadata::{Dependency, Package};

    fn package(name: &str, directory: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, is_dev)| Dependency { name: (*name).to_owned(), is_dev: *is_dev })
            .collect();
        let (name, directory) = (name.to_owned(), directory.into());
        Package { name, directory, dependencies, targets: Vec::new() }
    }

    #[test]
    fn edges_go_down() {
        let problems =
            |to, is_dev| edges(&package("tidegate-state", "crates/s", &[(to, is_dev)])).len();
        assert_eq!(problems("tidegate-types", false), 0);
        assert_eq!(problems("tidegate-connect", false), 1, "sideways");
        assert_eq!(problems("tidegate-connect", true), 0, "sideways in tests");
        assert_eq!(problems("tidegate-runtime", false), 1, "up");
        assert_eq!(problems("tidegate-runtime", true), 1, "up in tests");
    }

    #[test]
    fn a_crate_without_a_level_is_noticed() {
        assert_eq!(edges(&package("tidegate-new", "crates/tidegate-new", &[])).len(), 1);
        assert_eq!(
            edges(&package("wordcount", "examples/wordcount", &[("tidegate", false)])).len(),
            0
        );
    }

    #[test]
    fn heavy_dependencies_have_owners() {
        let problems = |name, directory, dependency| {
            exclusive(&package(name, directory, &[(dependency, false)])).len()
        };
        assert_eq!(problems("tidegate-segment", "crates/tidegate-segment", "memmap2"), 0);
        assert_eq!(problems("tidegate-meta", "crates/tidegate-meta", "memmap2"), 1);
        assert_eq!(problems("flights", "examples/flights", "anyhow"), 0);
        assert_eq!(problems("tidegate-store", "crates/tidegate-store", "anyhow"), 1);
        assert_eq!(problems("tidegate-types", "crates/tidegate-types", "serde"), 1);
    }
}
