//! Committed output, and whether two runs committed the same.

use std::cmp::Ordering;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::job::Place;

/// The lines a reader of the output directories sees, sorted: files whose name begins with a dot
/// are not committed.
pub(super) struct Committed {
    pub(super) updates: Vec<String>,
    pub(super) days: Vec<String>,
}

impl Committed {
    /// Reads what is committed at `place` now.
    pub(super) fn of(place: &Place) -> Result<Self> {
        Ok(Self { updates: lines(&place.updates())?, days: lines(&place.days())? })
    }
}

fn lines(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("cannot read {}: {error}", directory.display()),
    };
    let mut lines = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let is_whole = text.is_empty() || text.ends_with('\n');
        ensure!(is_whole, "{} ends within a line", path.display());
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort_unstable();
    Ok(lines)
}

/// How the lines found differ from the lines expected, both sorted.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    identical: usize,
    missing: Vec<String>,
    surplus: Vec<String>,
}

impl Comparison {
    /// Compares as multisets: a line that occurs twice must be found twice.
    pub(super) fn of(expected: &[String], found: &[String]) -> Self {
        let mut comparison = Self::default();
        let (mut expected, mut found) = (expected.iter().peekable(), found.iter().peekable());
        loop {
            let order = match (expected.peek(), found.peek()) {
                (None, None) => return comparison,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(wanted), Some(got)) => wanted.cmp(got),
            };
            match order {
                Ordering::Equal => {
                    comparison.identical += 1;
                    expected.next();
                    found.next();
                }
                Ordering::Less => comparison.missing.extend(expected.next().cloned()),
                Ordering::Greater => comparison.surplus.extend(found.next().cloned()),
            }
        }
    }

    pub(super) fn is_identical(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, surplus) = (self.missing.len(), self.surplus.len());
        let identical = super::with_commas(self.identical);
        write!(f, "{identical} lines identical, {missing} missing, {surplus} too many")?;
        for (sign, lines) in [('-', &self.missing), ('+', &self.surplus)] {
            for line in lines.iter().take(10) {
                write!(f, "\n            {sign} {line}")?;
            }
        }
        Ok(())
    }
}

#[test]
fn lost_and_repeated_lines_are_found() {
    let compare = |expected: &[&str], found: &[&str]| {
        let owned = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let comparison = Comparison::of(&owned(expected), &owned(found));
        let is_identical = comparison.is_identical();
        (comparison.identical, comparison.missing, comparison.surplus, is_identical)
    };
    let text = |line: &str| vec![line.to_owned()];
    assert_eq!(compare(&["a", "a", "b"], &["a", "a", "b"]), (3, vec![], vec![], true));
    assert_eq!(compare(&["a", "a", "b"], &["a", "b"]), (2, text("a"), vec![], false));
    assert_eq!(compare(&["a", "b"], &["a", "b", "b"]), (2, vec![], text("b"), false));
    assert_eq!(compare(&["a", "c"], &["a", "b"]), (1, text("c"), text("b"), false));
    assert_eq!(compare(&[], &[]), (0, vec![], vec![], true));
}
