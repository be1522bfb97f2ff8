//! Readings of gauges, and their peaks found without any of the code under test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const WINDOW_MS: i64 = 60_000;

/// `(gauge, window start)` and the highest level in it.
pub(crate) type Peaks = BTreeMap<(String, i64), u32>;

/// Three files with 1,200 readings in all; gives the peak of each window.
pub(crate) fn write_readings(directory: &Path) -> Peaks {
    fs::create_dir_all(directory).unwrap();
    let mut peaks = Peaks::new();
    let mut random = 7_u64;
    for file in 0..3 {
        let mut text = String::new();
        for reading in 0..400_i64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let gauge = format!("gauge-{}", random >> 33 & 15);
            let level = u32::try_from(random >> 40 & 1023).unwrap();
            let time = reading * 997;
            writeln!(text, "{gauge},{time},{level}").unwrap();
            let peak = peaks.entry((gauge, time - time % WINDOW_MS)).or_default();
            *peak = level.max(*peak);
        }
        fs::write(directory.join(format!("{file}.csv")), text).unwrap();
    }
    peaks
}

/// The lines of the job's output; a window that fired more than once has all of its levels.
pub(crate) fn fired(lines: &BTreeMap<String, usize>) -> BTreeMap<(String, i64), Vec<u32>> {
    let mut fired: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (line, count) in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let window = (fields[0].to_owned(), fields[1].parse().unwrap());
        let levels = fired.entry(window).or_default();
        levels.extend(std::iter::repeat_n(fields[2].parse::<u32>().unwrap(), *count));
    }
    fired
}

/// Whether each window fired once, with its peak.
pub(crate) fn assert_exact(lines: &BTreeMap<String, usize>, peaks: &Peaks) {
    let expected: BTreeMap<_, _> =
        peaks.iter().map(|(at, peak)| (at.clone(), vec![*peak])).collect();
    assert!(fired(lines) == expected, "{lines:?} are not the peaks {peaks:?}");
}
