//! What a job has committed, compared with what it should have.

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn committed_lines(output: &Path) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for entry in std::fs::read_dir(output).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.ends_with('\n'), "{} is cut off", entry.path().display());
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}

pub(crate) fn compare(
    expected: &BTreeMap<String, usize>,
    found: &BTreeMap<String, usize>,
    seed: u64,
    resumed: usize,
) {
    let missing: Vec<_> = expected.keys().filter(|line| !found.contains_key(*line)).collect();
    let extra: Vec<_> = found.iter().filter(|(line, n)| expected.get(*line) != Some(n)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "seed {seed}, {resumed} resumes: {} lines missing, such as {:?}; {} lines too many, such \
         as {:?}",
        missing.len(),
        missing.first(),
        extra.len(),
        extra.first(),
    );
}
