//! What `cargo metadata` knows of the workspace, as far as the tasks ask.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::shell;

/// A workspace, without the dependencies from elsewhere.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target: PathBuf,
}

/// A package of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The package's directory, relative to the workspace's root.
    pub(crate) directory: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A dependency as `Cargo.toml` declares it.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only tests, examples and benchmarks see it.
    pub(crate) is_dev: bool,
}

/// Something that cargo builds of a package.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `lib`, `bin`, `test`, `bench`, …
    pub(crate) kind: String,
    /// The root source file.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// Reads the workspace whose `Cargo.toml` lies in `directory`, relative to the repository.
    pub(crate) fn load(directory: &str) -> Result<Self> {
        let manifest = shell::root().join(directory).join("Cargo.toml");
        let output = shell::cargo(["metadata", "--format-version=1", "--no-deps"])
            .arg("--manifest-path")
            .arg(&manifest)
            .output()
            .context("cannot start `cargo metadata`")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`cargo metadata` failed: {complaint}");
        let json: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")?;
        let root = PathBuf::from(text(&json, "workspace_root"));
        let packages = list(&json, "packages").iter().map(|package| Package::of(package, &root));
        Ok(Self { packages: packages.collect(), target: text(&json, "target_directory").into() })
    }
}

impl Package {
    fn of(json: &Value, root: &Path) -> Self {
        let manifest = PathBuf::from(text(json, "manifest_path"));
        let directory = manifest.parent().unwrap_or(&manifest);
        let dependencies = list(json, "dependencies").iter().map(|dependency| Dependency {
            name: text(dependency, "name"),
            is_dev: dependency["kind"] == "dev",
        });
        let targets = list(json, "targets").iter().map(|target| Target {
            name: text(target, "name"),
            kind: list(target, "kind")[0].as_str().unwrap_or_default().to_owned(),
            root: text(target, "src_path").into(),
        });
        Self {
            name: text(json, "name"),
            directory: directory.strip_prefix(root).unwrap_or(directory).to_owned(),
            dependencies: dependencies.collect(),
            targets: targets.collect(),
        }
    }
}

fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap_or_default().to_owned()
}

fn list<'a>(json: &'a Value, field: &str) -> &'a [Value] {
    json[field].as_array().map_or(&[], Vec::as_slice)
}
