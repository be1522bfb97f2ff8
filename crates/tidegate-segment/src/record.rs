//! The head of a record: two numbers of variable length in front of a key and a payload.
//!
//! ```text
//! varint  length of the key
//! varint  kind + 4 * number        number: the length of the payload, or that of a long run
//! ```
//!
//! A varint has 7 bits in each byte, the lowest first, and the highest bit set in all but the
//! last byte. Invariant: decoding reads at most [`MAX_HEAD`] bytes, whatever they are.

/// The longest head that is read or written: a key's length has up to 5 bytes, the rest up to 6.
pub(crate) const MAX_HEAD: usize = 11;
/// The largest number in a head, for which 6 bytes suffice together with the kind.
pub(crate) const MAX_NUMBER: u64 = (1 << 40) - 1;

/// Kinds of records of keys in value sections, and of entries of maps.
pub(crate) const PUT: u8 = 1;
pub(crate) const DELETE: u8 = 2;
/// Kinds of records of keys in map sections.
pub(crate) const RUN: u8 = 1;
pub(crate) const RUN_AFTER_DELETE: u8 = 2;
pub(crate) const LONG_RUN: u8 = 3;

/// A decoded head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// 1 to 3; 0 is never given.
    pub(crate) kind: u8,
    pub(crate) key: usize,
    pub(crate) number: u64,
    /// Of the head itself, in bytes.
    pub(crate) length: usize,
}

impl Head {
    /// `None` when the bytes are no head.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        // Most heads have two or three bytes.
        if let [key, low, high, ..] = *bytes
            && (key | high) < 0x80
            && low & 3 != 0
        {
            let (kind, key) = (low & 3, usize::from(key));
            let (number, length) = if low < 0x80 {
                (u64::from(low >> 2), 2)
            } else {
                (u64::from(low & 0x7F) >> 2 | u64::from(high) << 5, 3)
            };
            return Some(Self { kind, key, number, length });
        }
        let (key, first) = varint(bytes)?;
        let (control, second) = varint(bytes.get(first..)?)?;
        let kind = u8::try_from(control & 3).ok().filter(|kind| *kind != 0)?;
        let key = usize::try_from(u32::try_from(key).ok()?).ok()?;
        Some(Self { kind, key, number: control >> 2, length: first + second })
    }

    /// Gives the bytes of a head to `emit`: see [`write`](Self::write).
    #[inline]
    pub(crate) fn emit<R>(kind: u8, key: usize, number: u64, emit: impl FnOnce(&[u8]) -> R) -> R {
        // The most frequent lengths as constants, so that they are stored at once.
        if let (Ok(key @ ..0x80), Ok(number @ ..0x1000)) =
            (u8::try_from(key), u16::try_from(number))
        {
            // Made in a register and stored at once: a load of bytes that were stored one by one waits.
            let control = u32::from(number) << 2 | u32::from(kind);
            if number < 0x20 {
                return emit(&(u32::from(key) | control << 8).to_le_bytes()[..2]);
            }
            let control = control & 0x7F | 0x80 | (control >> 7) << 8;
            return emit(&(u32::from(key) | control << 8).to_le_bytes()[..3]);
        }
        let (bytes, length) = Self::write(kind, key, number);
        emit(&bytes[..length])
    }

    /// The bytes of a head, and how many they are.
    ///
    /// Requires: a key below 4 GiB, a number up to [`MAX_NUMBER`].
    #[inline]
    pub(crate) fn write(kind: u8, key: usize, number: u64) -> ([u8; MAX_HEAD], usize) {
        let mut bytes = [0; MAX_HEAD];
        let first = write_varint(&mut bytes, key as u64);
        let second = write_varint(&mut bytes[first..], number << 2 | u64::from(kind));
        (bytes, first + second)
    }
}

/// The number at the front, and how many bytes it has: 6 at most.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(6).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * index);
        if *byte < 0x80 {
            return Some((number, index + 1));
        }
    }
    None
}

#[inline]
pub(crate) fn write_varint(bytes: &mut [u8], mut number: u64) -> usize {
    let mut length = 0;
    loop {
        let low = number.to_le_bytes()[0] & 0x7F;
        number >>= 7;
        bytes[length] = if number == 0 { low } else { low | 0x80 };
        length += 1;
        if number == 0 {
            return length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip_at_every_width_and_refuse_every_cut() {
        let numbers = (0..=40).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits]);
        for number in numbers.filter(|number| *number <= MAX_NUMBER) {
            for key in (0..32).map(|bits| (1_usize << bits) - 1).chain([u32::MAX as usize]) {
                for kind in 1..=3 {
                    let (bytes, length) = Head::write(kind, key, number);
                    Head::emit(kind, key, number, |found| assert_eq!(found, &bytes[..length]));
                    let head = Head { kind, key, number, length };
                    assert_eq!(Head::read(&bytes), Some(head));
                    assert_eq!(Head::read(&bytes[..length]), Some(head));
                    assert_eq!(Head::read(&bytes[..length - 1]), None);
                }
            }
        }
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        assert_eq!(Head::read(&[1, 4]), None, "kind 0");
        assert_eq!(Head::read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 5]), None, "a key of 32 GiB");
        assert_eq!(Head::read(&[0x80; 20]), None, "no end");
        assert_eq!(Head::read(&[]), None);
    }
}
