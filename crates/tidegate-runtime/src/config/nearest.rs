//! How similar two keys are.

/// The candidate that is most similar to `text`, if it is similar enough to be what was meant:
/// at most a third of it is to be changed.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = text.chars().count();
    let most = (length / 3).max(1);
    candidates
        .into_iter()
        // A distance is no less than the difference in length, and costs the product of both: a key
        // of a megabyte is compared with nothing.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_known_from_the_textbooks() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("Zürich", "Zurich", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn what_is_not_similar_is_not_proposed() {
        let keys = ["state.backend", "parallelism.default"];
        assert_eq!(nearest("state.backnd", keys), Some("state.backend"));
        assert_eq!(nearest("paralelism.defalt", keys), Some("parallelism.default"));
        assert_eq!(nearest("taskmanager.memory.process.size", keys), None);
    }
}
