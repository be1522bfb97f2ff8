//! A source that makes its records up.

use std::fmt;
use std::sync::Arc;

use crate::{BoxedReader, ConnectError, Poll, SplitReader, SplitSource};

/// Computes the records number 0 to `count - 1` by a function of the number.
///
/// The function must give the same record for the same number each time: a resumed job calls it
/// again. To limit the rate is the runtime's part, with a [`RateLimiter`](crate::RateLimiter).
pub struct Generator<T> {
    count: u64,
    splits: u64,
    make: Arc<dyn Fn(u64) -> T + Send + Sync>,
}

impl<T> Generator<T> {
    /// `count` records; 16 splits unless said otherwise.
    pub fn new(count: u64, make: impl Fn(u64) -> T + Send + Sync + 'static) -> Self {
        Self { count, splits: 16, make: Arc::new(make) }
    }

    /// Into how many ranges of numbers the records are split, 1 or more. No subtask beyond that
    /// number has anything to do.
    #[must_use]
    pub fn with_splits(mut self, splits: u16) -> Self {
        self.splits = u64::from(splits.max(1));
        self
    }
}

impl<T> fmt::Debug for Generator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("count", &self.count).finish_non_exhaustive()
    }
}

/// A range of numbers of a [`Generator`] that is still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GeneratorSplit {
    // Invariant: next <= end.
    next: u64,
    end: u64,
}

impl GeneratorSplit {
    /// The number of the next record.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The number behind the last record.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}

impl<T: Send + 'static> SplitSource for Generator<T> {
    type Record = T;
    type Split = GeneratorSplit;

    fn splits(&self) -> Result<Vec<GeneratorSplit>, ConnectError> {
        let bound = |split: u64| {
            let bound = u128::from(self.count) * u128::from(split) / u128::from(self.splits);
            u64::try_from(bound).expect("at most the count")
        };
        let all = (0..self.splits).map(|i| GeneratorSplit { next: bound(i), end: bound(i + 1) });
        Ok(all.filter(|split| split.next < split.end).collect())
    }

    fn open(&self, split: &GeneratorSplit) -> Result<BoxedReader<Self>, ConnectError> {
        Ok(Box::new(GeneratorReader { split: *split, make: Arc::clone(&self.make) }))
    }

    fn encode_split(split: &GeneratorSplit) -> Vec<u8> {
        [split.next.to_le_bytes(), split.end.to_le_bytes()].concat()
    }

    fn decode_split(bytes: &[u8]) -> Result<GeneratorSplit, ConnectError> {
        let malformed = ConnectError::Malformed { what: "generator position" };
        let Some((next, end)) = bytes.split_first_chunk() else { return Err(malformed) };
        let Ok(end) = end.try_into() else { return Err(malformed) };
        let split =
            GeneratorSplit { next: u64::from_le_bytes(*next), end: u64::from_le_bytes(end) };
        if split.next <= split.end { Ok(split) } else { Err(malformed) }
    }
}

struct GeneratorReader<T> {
    split: GeneratorSplit,
    make: Arc<dyn Fn(u64) -> T + Send + Sync>,
}

impl<T> SplitReader for GeneratorReader<T> {
    type Record = T;
    type Split = GeneratorSplit;

    fn poll(&mut self, budget: usize, out: &mut dyn FnMut(T)) -> Result<Poll, ConnectError> {
        let left = self.split.end - self.split.next;
        let until = self.split.next + left.min(budget as u64);
        while self.split.next < until {
            let number = self.split.next;
            self.split.next += 1;
            out((self.make)(number));
        }
        Ok(if until == self.split.end { Poll::Finished } else { Poll::More })
    }

    fn position(&self) -> GeneratorSplit {
        self.split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(generator: &Generator<u64>, split: &GeneratorSplit) -> Vec<u64> {
        let mut all = Vec::new();
        let mut reader = generator.open(split).unwrap();
        while reader.poll(3, &mut |n| all.push(n)).unwrap() != Poll::Finished {}
        all
    }

    // Every count and number of splits up to 12, every position of every split.
    #[test]
    fn every_number_comes_once_whatever_the_cut() {
        for (count, splits) in (0..12).flat_map(|c| (0..12).map(move |s| (c, s))) {
            let generator = Generator::new(count, |n| n).with_splits(splits);
            let all = generator.splits().unwrap();
            assert!(all.len() <= usize::from(splits.max(1)));
            let read: Vec<_> = all.iter().flat_map(|split| rest(&generator, split)).collect();
            assert_eq!(read, (0..count).collect::<Vec<_>>(), "{splits} splits");
            for split in &all {
                let whole = rest(&generator, split);
                for budget in 0..=whole.len() {
                    let mut reader = generator.open(split).unwrap();
                    let _ = reader.poll(budget, &mut |_| {}).unwrap();
                    let kept = Generator::<u64>::encode_split(&reader.position());
                    let kept = Generator::<u64>::decode_split(&kept).unwrap();
                    assert_eq!(rest(&generator, &kept), whole[budget..]);
                }
            }
        }
    }

    #[test]
    fn the_largest_count_does_not_overflow() {
        let splits = Generator::new(u64::MAX, |n| n).splits().unwrap();
        assert_eq!(splits.last().unwrap().end(), u64::MAX);
    }

    #[test]
    fn foreign_bytes_are_no_split() {
        let reversed = [[1; 8], [0; 8]].concat();
        for bytes in [&[][..], &[0; 15], &[0; 17], &reversed] {
            assert!(Generator::<u64>::decode_split(bytes).is_err(), "{bytes:?}");
        }
    }
}
