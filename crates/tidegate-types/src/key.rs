//! Keys of keyed state: their canonical bytes, and the hash that places them.
//!
//! Canonical bytes are part of the format (docs/format.md, "Keys"): the same key has the same
//! bytes, hash and key group on every machine and in every release. Numbers are little-endian;
//! texts and byte strings carry a `u32` length in front, so that keys can be put side by side.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// The 64-bit hash of a key: XXH3-64, seed 0, of its canonical bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of canonical bytes.
    #[must_use]
    #[inline]
    pub fn of_bytes(canonical: &[u8]) -> Self {
        Self(xxh3_64(canonical))
    }

    /// The hash with this value, as it was read from where it was kept.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Bytes that are not the canonical bytes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKey {
    /// What the bytes should have been, such as `u64` or `String`.
    pub expected: &'static str,
    /// How many bytes there were.
    pub length: usize,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are not the canonical form of a {} key", self.length, self.expected)
    }
}

impl std::error::Error for InvalidKey {}

/// A type that can be the key of keyed state.
///
/// Law: `decode_key` gives back what `encode_key` wrote and leaves what follows untouched; equal
/// keys write equal bytes, different keys write different bytes.
///
/// ```
/// use tidegate_types::StateKey;
/// let key = ("EWR".to_owned(), 7_u32);
/// let mut bytes = Vec::new();
/// key.encode_key(&mut bytes);
/// assert_eq!(<(String, u32)>::decode_key(&mut bytes.as_slice()), Ok(key));
/// ```
pub trait StateKey:
    Clone + Eq + Ord + std::hash::Hash + Send + Sync + fmt::Debug + 'static
{
    /// Appends the canonical bytes.
    fn encode_key(&self, out: &mut Vec<u8>);

    /// Reads one key from the front of `bytes` and moves `bytes` behind it.
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey>;

    /// The name of the type in descriptors and messages, such as `(String, u32)`.
    fn type_name() -> String;

    /// The hash of the canonical bytes. Types whose bytes are at hand may avoid the copy.
    fn key_hash(&self) -> KeyHash {
        let mut bytes = Vec::with_capacity(32);
        self.encode_key(&mut bytes);
        KeyHash::of_bytes(&bytes)
    }
}

fn take<'a>(
    bytes: &mut &'a [u8],
    n: usize,
    expected: &'static str,
) -> Result<&'a [u8], InvalidKey> {
    let invalid = InvalidKey { expected, length: bytes.len() };
    let (head, tail) = bytes.split_at_checked(n).ok_or(invalid)?;
    *bytes = tail;
    Ok(head)
}

macro_rules! number_keys {
    ($($number:ty),*) => {$(
        impl StateKey for $number {
            #[inline]
            fn encode_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey> {
                let head = take(bytes, size_of::<$number>(), stringify!($number))?;
                Ok(<$number>::from_le_bytes(head.try_into().expect("length was taken")))
            }
            fn type_name() -> String {
                stringify!($number).to_owned()
            }
            #[inline]
            fn key_hash(&self) -> KeyHash {
                KeyHash::of_bytes(&self.to_le_bytes())
            }
        }
    )*};
}
number_keys!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl StateKey for () {
    fn encode_key(&self, _: &mut Vec<u8>) {}
    fn decode_key(_: &mut &[u8]) -> Result<Self, InvalidKey> {
        Ok(())
    }
    fn type_name() -> String {
        "()".to_owned()
    }
}

impl StateKey for bool {
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey> {
        let invalid = InvalidKey { expected: "bool", length: bytes.len() };
        match take(bytes, 1, "bool")? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(invalid),
        }
    }
    fn type_name() -> String {
        "bool".to_owned()
    }
}

impl StateKey for Vec<u8> {
    fn encode_key(&self, out: &mut Vec<u8>) {
        encode_bytes(self, out);
    }
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey> {
        decode_bytes(bytes, "Vec<u8>").map(<[u8]>::to_vec)
    }
    fn type_name() -> String {
        "Vec<u8>".to_owned()
    }
}

impl StateKey for String {
    fn encode_key(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
    fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey> {
        let invalid = InvalidKey { expected: "String", length: bytes.len() };
        let text = decode_bytes(bytes, "String")?;
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| invalid)
    }
    fn type_name() -> String {
        "String".to_owned()
    }
    fn key_hash(&self) -> KeyHash {
        // Words and ids are short: their canonical bytes fit on the stack.
        let mut buffer = [0; 68];
        if let (Ok(length), Some(text)) =
            (u32::try_from(self.len()), buffer.get_mut(4..4 + self.len()))
        {
            text.copy_from_slice(self.as_bytes());
            buffer[..4].copy_from_slice(&length.to_le_bytes());
            return KeyHash::of_bytes(&buffer[..4 + self.len()]);
        }
        let mut bytes = Vec::with_capacity(4 + self.len());
        self.encode_key(&mut bytes);
        KeyHash::of_bytes(&bytes)
    }
}

/// # Panics
///
/// When the key has 4 GiB or more.
fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("a key is shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn decode_bytes<'a>(bytes: &mut &'a [u8], expected: &'static str) -> Result<&'a [u8], InvalidKey> {
    let length = take(bytes, 4, expected)?;
    let length = u32::from_le_bytes(length.try_into().expect("length was taken"));
    take(bytes, length as usize, expected)
}

macro_rules! tuple_keys {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: StateKey),+> StateKey for ($($name,)+) {
            fn encode_key(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_key(out);)+
            }
            fn decode_key(bytes: &mut &[u8]) -> Result<Self, InvalidKey> {
                Ok(($($name::decode_key(bytes)?,)+))
            }
            fn type_name() -> String {
                let names = [$($name::type_name()),+];
                format!("({})", names.join(", "))
            }
        }
    )*};
}
tuple_keys! { (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip<K: StateKey>(key: &K) {
        let mut bytes = Vec::new();
        key.encode_key(&mut bytes);
        assert_eq!(key.key_hash(), KeyHash::of_bytes(&bytes), "short cut of {}", K::type_name());
        let whole = bytes.len();
        bytes.push(0xEE);
        let mut rest = bytes.as_slice();
        assert_eq!(K::decode_key(&mut rest).as_ref(), Ok(key));
        assert_eq!(rest, [0xEE]);
        for cut in 0..whole {
            assert!(K::decode_key(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn keys_round_trip(
            text in ".{0,80}", bytes: Vec<u8>, number: i64, wide: u128, flag: bool,
        ) {
            round_trip(&text);
            round_trip(&bytes);
            round_trip(&number);
            round_trip(&(wide, flag));
            round_trip(&(text.clone(), number, bytes.clone(), ((), flag)));
        }
    }

    // Frozen: a change of any of these moves keys between key groups of existing checkpoints.
    #[test]
    fn hashes_are_frozen() {
        assert_eq!(7_u64.key_hash().get(), xxh3_64(&[7, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!("tide".to_owned().key_hash().get(), xxh3_64(b"\x04\0\0\0tide"));
        assert_eq!(KeyHash::of_bytes(b"").get(), 0x2D06_8005_38D3_94C2);
    }
}
