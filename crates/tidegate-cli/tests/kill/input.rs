//! Random text as input, and the words in it counted without any of the code under test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

/// SplitMix64: a seed makes the same choices everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        range.start() + (z ^ (z >> 31)) % (range.end() - range.start() + 1)
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.within(0..=choices.len() as u64 - 1);
        choices[usize::try_from(index).unwrap()]
    }
}

/// Several files with about 4,000 lines in all: common words, rare ones, other alphabets, empty
/// lines, both line ends, and a last line without one.
pub(crate) fn write_input(directory: &Path, random: &mut Random) {
    std::fs::create_dir_all(directory).unwrap();
    let common = ["the", "Tide", "gate", "und", "über", "Straße", "naïve", "x1", "ДОМ", "東京"];
    for file in 0..random.within(2..=6) {
        let mut text = String::new();
        for _ in 0..random.within(400..=1_200) {
            for _ in 0..random.within(0..=9) {
                match random.within(0..=3) {
                    0 => write!(text, "word{}", random.within(0..=2_000)).unwrap(),
                    n => text.push_str(
                        random.one_of(&common[..common.len().min(4 * usize::try_from(n).unwrap())]),
                    ),
                }
                text.push_str(random.one_of(&[" ", ", ", "-", "; "]));
            }
            text.push_str(if random.within(0..=9) == 0 { "\r\n" } else { "\n" });
        }
        text.push_str("the end");
        std::fs::write(directory.join(format!("{file}.txt")), text).unwrap();
    }
}

/// Every line that the job must commit, each once: `word,1` up to `word,n`.
pub(crate) fn count_words(directory: &Path) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut word = String::new();
        for character in text.chars().chain([' ']) {
            if character.is_alphanumeric() {
                word.push(character);
            } else if !word.is_empty() {
                *counts.entry(std::mem::take(&mut word).to_lowercase()).or_default() += 1;
            }
        }
    }
    let lines = counts.iter().flat_map(|(word, n)| (1..=*n).map(move |i| format!("{word},{i}")));
    lines.map(|line| (line, 1)).collect()
}
