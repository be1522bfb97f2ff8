//! `tidy`: what rustfmt and clippy cannot see.

mod docs;
pub(crate) mod source;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Directories that hold nothing a person wrote.
const NOT_OURS: [&str; 4] = ["target", ".git", "artifacts", "corpus"];

/// The task.
pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let mut problems = Vec::new();
    let mut hints = Vec::new();
    let files = walk(&root)?;
    for path in &files {
        // What is not UTF-8 is data.
        let Ok(text) = fs::read_to_string(path) else { continue };
        let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
        let findings = source::check(&name, &text);
        problems.extend(findings.problems.iter().map(|problem| format!("{name}{problem}")));
        hints.extend(findings.hints.iter().map(|hint| format!("{name}{hint}")));
    }
    problems.extend(docs::check(&root)?);
    for hint in hints {
        println!("hint: {hint}");
    }
    if !problems.is_empty() {
        bail!("not tidy:\n  {}", problems.join("\n  "));
    }
    println!("tidy: {} files", files.len());
    Ok(())
}

/// Every file below `directory` that a person wrote, sorted.
pub(crate) fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory);
        for entry in entries.with_context(|| format!("cannot read {}", directory.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            } else if entry.file_type()?.is_dir()
                && !NOT_OURS.contains(&&*entry.file_name().to_string_lossy())
            {
                directories.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
