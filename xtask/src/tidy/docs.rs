//! Checks of the documents against the code, and of the crates' front pages.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::walk;
use crate::metadata::{Package, Workspace};

const FRAME: &str = "crates/tidegate-meta/src/frame.rs";

/// Problems found, each a line of its own.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut read = |name: &str| match fs::read_to_string(root.join(name)) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{name}: {error}"));
            String::new()
        }
    };
    let (log, code, format) = (read("CHANGELOG.md"), read(FRAME), read("docs/format.md"));
    problems.extend(changelog(&log));
    problems.extend(frame_kinds(&code, &format));
    for package in Workspace::load(".")?.packages {
        problems.extend(manifest(&package, root)?);
        problems.extend(front_page(&package, root)?);
    }
    for path in walk(root)?.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root).unwrap_or(path).display();
        let directory = path.parent().unwrap_or(root);
        for link in links(&text).filter(|link| !directory.join(link).exists()) {
            problems.push(format!("{name}: the link to {link} leads nowhere"));
        }
    }
    Ok(problems)
}

/// Keep a Changelog, and what changed on disk comes first in every release.
fn changelog(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.lines().any(|line| line == "## [Unreleased]") {
        problems.push("CHANGELOG.md has no `## [Unreleased]`".to_owned());
    }
    let mut lines = text.lines().filter(|line| line.starts_with("## ") || line.starts_with("### "));
    while let Some(line) = lines.next() {
        if line.starts_with("## [") && lines.next() != Some("### Format") {
            problems.push(format!("CHANGELOG.md: `{line}` does not begin with `### Format`"));
        }
    }
    problems
}

/// Every number of `enum FrameKind` stands in the format's document, with its name.
fn frame_kinds(code: &str, document: &str) -> Vec<String> {
    let body = code.split_once("enum FrameKind").map_or("", |(_, rest)| rest);
    let body = body.split_once('}').map_or("", |(body, _)| body);
    let kinds: Vec<(&str, &str)> = body
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
        .filter(|(name, _)| name.starts_with(char::is_uppercase))
        .collect();
    if kinds.is_empty() {
        return vec![format!("{FRAME}: `enum FrameKind` with explicit numbers not found")];
    }
    let missing = |(name, number): &&(&str, &str)| {
        !document.lines().any(|line| {
            plain(line).contains(&plain(name)) && numbers(line).any(|found| found == *number)
        })
    };
    let problem = |(name, number)| format!("docs/format.md lacks the frame kind {number}, {name}");
    kinds.iter().filter(missing).copied().map(problem).collect()
}

/// `keyed state` and `KeyedState` alike.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn numbers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty())
}

fn manifest(package: &Package, root: &Path) -> Result<Vec<String>> {
    let path = package.directory.join("Cargo.toml");
    let text = fs::read_to_string(root.join(&path)).with_context(|| path.display().to_string())?;
    let needed = ["\ndescription = ", "\nlicense.workspace = true", "\n[lints]\nworkspace = true"];
    let missing = needed.into_iter().filter(|line| !text.contains(line));
    Ok(missing.map(|line| format!("{} lacks `{}`", path.display(), line.trim())).collect())
}

/// A library opens with what it is, what it is not, and an example that runs.
fn front_page(package: &Package, root: &Path) -> Result<Vec<String>> {
    let path = package.directory.join("src/lib.rs");
    if !package.directory.starts_with("crates") || !root.join(&path).exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(root.join(&path)).with_context(|| path.display().to_string())?;
    let page: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let mut problems = Vec::new();
    if !page.contains("not") {
        problems.push(format!("{}: say on the front page what the crate is not", path.display()));
    }
    if !page.contains("```") {
        problems.push(format!("{}: the front page has no example", path.display()));
    }
    Ok(problems)
}

/// Links of a Markdown text to other files, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let paths = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    paths.filter(|path| {
        !path.is_empty() && !path.contains(':') && !path.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::{changelog, frame_kinds, links};

    #[test]
    fn a_changelog_puts_the_format_first() {
        let good =
            "# Changelog\n## [Unreleased]\n### Format\n- x\n### Added\n## [0.1.0]\n### Format\n";
        assert!(changelog(good).is_empty());
        assert_eq!(changelog("## [Unreleased]\n### Added\n").len(), 1);
        assert_eq!(changelog("## [0.1.0]\n### Format\n").len(), 1);
    }

    #[test]
    fn a_frame_kind_that_the_format_lacks_is_noticed() {
        let code = "pub enum FrameKind {\n    /// Doc = text.\n    Metadata = 1,\n    KeyedState = 3,\n}\n";
        assert!(frame_kinds(code, "| 1 | metadata |\n| 3 | keyed state |\n").is_empty());
        assert_eq!(frame_kinds(code, "| 1 | metadata |\n| 13 | keyed state |\n").len(), 1);
        assert_eq!(frame_kinds("nothing", "").len(), 1);
    }

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md#part) [b](https://x.y) [c](#here) [d](../d.md)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md", "../d.md"]);
    }
}
