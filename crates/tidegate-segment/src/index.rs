//! The index over the records of a key group, or over the entries of a long run: lines of slots.
//!
//! A line is a cache line: 16 slots of 4 bytes or 8 slots of 8. A slot has the offset of a record
//! and, in the bits that the offset does not need, a tag from the record's hash. The hash's place
//! among all hashes (a fraction of 2^64) chooses the home line, which is three quarters full on
//! average; what does not fit goes to the next line. One line tells where a key is, or that it is
//! not there; one look at the data confirms it.
//!
//! Invariants: lines ascend as fractions do, so that they are written one after the other; between
//! a record's home and the line where it is, all lines are full; a free slot is all ones, which no
//! taken slot is.

/// The length of a line in bytes.
pub(crate) const LINE: usize = 64;

/// With offsets of up to this many bits, slots have 4 bytes and tags of 7 bits or more.
const NARROW_BITS: u32 = 25;

/// How slots are coded: follows from the length of what they point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coding {
    /// Low bits that are the offset; the others are the tag.
    offset_bits: u32,
    /// In bytes, 4 or 8.
    width: usize,
}

/// A record to index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Where its hash is among all hashes, as a fraction of 2^64.
    pub(crate) fraction: u64,
    pub(crate) hash: u64,
    pub(crate) offset: u64,
}

/// The slots of a line that may be the one sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// A bit for each slot, set if it has the tag.
    hits: u32,
    /// There is room in the line: what is not here is nowhere.
    pub(crate) is_last: bool,
}

impl Coding {
    /// For records within so many bytes, fewer than 2^40.
    #[inline]
    pub(crate) fn new(length: u64) -> Self {
        let offset_bits = u64::BITS - length.leading_zeros();
        Self { offset_bits, width: if offset_bits <= NARROW_BITS { 4 } else { 8 } }
    }

    /// How many home lines so many records have.
    pub(crate) fn homes(self, records: usize) -> u32 {
        let target = LINE / self.width * 3 / 4;
        u32::try_from(records.div_ceil(target)).unwrap_or(u32::MAX).max(1)
    }

    #[inline]
    fn free(self) -> u64 {
        u64::MAX >> (64 - 8 * self.width)
    }

    #[inline]
    fn offset_mask(self) -> u64 {
        (1 << self.offset_bits) - 1
    }

    #[inline]
    fn tag(self, hash: u64) -> u64 {
        (hash << self.offset_bits) & self.free()
    }

    /// Emits the lines over records whose fractions ascend; how many there are.
    pub(crate) fn write<E>(
        self,
        homes: u32,
        rows: impl Iterator<Item = Row>,
        emit: &mut dyn FnMut(&[u8; LINE]) -> Result<(), E>,
    ) -> Result<u32, E> {
        let empty = [0xFF; LINE];
        let (mut line, mut used, mut count) = (empty, 0, 0);
        for row in rows {
            let home = scale(row.fraction, homes);
            while count < home || used == LINE {
                emit(&line)?;
                (line, used, count) = (empty, 0, count + 1);
            }
            let slot = self.tag(row.hash) | row.offset;
            line[used..used + self.width].copy_from_slice(&slot.to_le_bytes()[..self.width]);
            used += self.width;
        }
        // Every home has a line, so that whoever looks there finds that it has room.
        while count < homes || used > 0 {
            emit(&line)?;
            (line, used, count) = (empty, 0, count + 1);
        }
        Ok(count)
    }

    /// The slots that may be the hash's.
    #[inline]
    pub(crate) fn candidates(self, line: &[u8; LINE], hash: u64) -> Candidates {
        let tag = self.tag(hash);
        let mask = self.free() & !self.offset_mask();
        let words = line.as_chunks::<8>().0;
        let last = u64::from_le_bytes(words[7]);
        // All slots without a branch: a bit of the result for each.
        let mut hits = 0_u32;
        if self.width == 4 {
            // Two slots in a word.
            let (tag, mask) = (tag | tag << 32, mask | mask << 32);
            for (at, word) in words.iter().enumerate() {
                let differs = (u64::from_le_bytes(*word) & mask) ^ tag;
                let (low, high) = (differs << 32 == 0, differs >> 32 == 0);
                hits |= (u32::from(low) | u32::from(high) << 1) << (2 * at);
            }
        } else {
            for (at, word) in words.iter().enumerate() {
                hits |= u32::from(u64::from_le_bytes(*word) & mask == tag) << at;
            }
        }
        Candidates { hits, is_last: last >> (64 - 8 * self.width) == self.free() }
    }

    /// The offset in the next candidate, which is taken out.
    #[inline]
    pub(crate) fn next(self, line: &[u8; LINE], candidates: &mut Candidates) -> Option<u64> {
        while candidates.hits != 0 {
            let at = candidates.hits.trailing_zeros() as usize % 16;
            candidates.hits &= candidates.hits - 1;
            let slot = if self.width == 4 {
                u32::from_le_bytes(line.as_chunks::<4>().0[at]).into()
            } else {
                u64::from_le_bytes(line.as_chunks::<8>().0[at % 8])
            };
            // A free slot has a tag, too.
            if slot != self.free() {
                return Some(slot & self.offset_mask());
            }
        }
        None
    }
}

/// `floor(fraction * count / 2^64)`: one of `count` lines, ascending with the fraction.
#[inline]
pub(crate) fn scale(fraction: u64, count: u32) -> u32 {
    let scaled = (u128::from(fraction) * u128::from(count)) >> 64;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tidegate_types::KeyHash;

    use super::*;

    fn lines_of(coding: Coding, rows: &[Row]) -> (u32, Vec<[u8; LINE]>) {
        let (homes, mut lines) = (coding.homes(rows.len()), Vec::new());
        let mut emit = |line: &[u8; LINE]| {
            lines.push(*line);
            Ok::<(), Infallible>(())
        };
        let count = coding.write(homes, rows.iter().copied(), &mut emit).unwrap();
        assert_eq!(count as usize, lines.len());
        (homes, lines)
    }

    fn offsets_of(coding: Coding, homes: u32, lines: &[[u8; LINE]], row: &Row) -> Vec<u64> {
        let mut offsets = Vec::new();
        for line in &lines[scale(row.fraction, homes) as usize..] {
            let mut candidates = coding.candidates(line, row.hash);
            offsets.extend(std::iter::from_fn(|| coding.next(line, &mut candidates)));
            if candidates.is_last {
                break;
            }
        }
        offsets
    }

    #[test]
    fn every_record_is_found_and_few_others_are_tried() {
        for length in [1_000, 1 << 25, (1 << 25) - 1, 1 << 30, (1 << 40) - 1] {
            let coding = Coding::new(length);
            for count in [0, 1, 2, 11, 12, 13, 16, 17, 100, 1000, 5000_u64] {
                let mut rows: Vec<Row> = (0..count)
                    .map(|n| {
                        let hash = KeyHash::of_bytes(&n.to_le_bytes()).get();
                        Row { fraction: hash, hash, offset: length - 1 - n % length }
                    })
                    .collect();
                rows.sort_by_key(|row| row.fraction);
                let (homes, lines) = lines_of(coding, &rows);
                let mut tried = 0;
                for row in &rows {
                    let offsets = offsets_of(coding, homes, &lines, row);
                    assert!(offsets.contains(&row.offset), "{length} {count}");
                    tried += offsets.len();
                }
                assert!(tried <= rows.len() + rows.len() / 5 + 3, "{tried} for {count}");
            }
        }
    }

    #[test]
    fn records_that_all_have_one_home_are_found_too() {
        let coding = Coding::new(10_000);
        let row = |offset| Row { fraction: u64::MAX, hash: offset % 3, offset };
        let rows: Vec<Row> = (0..100).map(row).collect();
        let (homes, lines) = lines_of(coding, &rows);
        for row in &rows {
            assert!(offsets_of(coding, homes, &lines, row).contains(&row.offset));
        }
        let absent = Row { fraction: 0, hash: 0, offset: 0 };
        assert_eq!(offsets_of(coding, homes, &lines, &absent), [0; 0]);
    }
}
