//! Values of state: any type that rkyv can archive.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator, to_bytes_in};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Archive, Deserialize, Serialize};

/// A type that can be kept as state.
///
/// Implemented for every type with rkyv's `Archive`, `Serialize` and `Deserialize`: numbers,
/// texts, tuples, collections, and structs that derive the three. The derives are all it takes:
///
/// ```
/// #[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
/// struct Gauge {
///     level_mm: i64,
///     readings: u32,
/// }
///
/// fn is_state<V: tidegate_state::StateValue>() {}
/// is_state::<Gauge>();
/// ```
pub trait StateValue: Clone + Send + Sync + 'static {
    /// Appends the archived form.
    fn encode_value(&self, out: &mut Vec<u8>);

    /// The value with this archived form; `None` when the bytes are none of this type.
    fn decode_value(bytes: &[u8]) -> Option<Self>;

    /// The size of the fixed part of the archived form in bytes: part of the fingerprint.
    fn archived_size() -> usize;

    /// The name of the type without its modules, such as `Vec<Gauge>`.
    fn type_name() -> String {
        without_modules(std::any::type_name::<Self>())
    }
}

impl<T> StateValue for T
where
    T: Archive + Clone + Send + Sync + 'static,
    T: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
    T::Archived: Deserialize<T, HighDeserializer<Failure>>,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Failure>>,
{
    fn encode_value(&self, out: &mut Vec<u8>) {
        let written = to_bytes_in::<_, Failure>(self, std::mem::take(out));
        *out = written.expect("a value of less than 2 GiB that can be archived in memory");
    }

    fn decode_value(bytes: &[u8]) -> Option<Self> {
        rkyv::from_bytes::<T, Failure>(bytes).ok()
    }

    fn archived_size() -> usize {
        size_of::<T::Archived>()
    }
}

/// `alloc::vec::Vec<my::module::Gauge>` as `Vec<Gauge>`: modules are moved more often than types
/// are renamed, and moving one does not change a byte.
fn without_modules(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut word = 0;
    for (index, byte) in name.bytes().enumerate() {
        if !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':' || !byte.is_ascii()) {
            out.push_str(last_segment(&name[word..index]));
            out.push(char::from(byte));
            word = index + 1;
        }
    }
    out.push_str(last_segment(&name[word..]));
    out
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_behind_other_bytes() {
        let value = (7_u64, "tide".to_owned(), vec![1.5_f64, -2.0]);
        let mut bytes = vec![0xEE; 3];
        value.encode_value(&mut bytes);
        assert_eq!(<(u64, String, Vec<f64>)>::decode_value(&bytes[3..]), Some(value));
        for cut in 3..bytes.len() {
            let _ = <(u64, String, Vec<f64>)>::decode_value(&bytes[3..cut]);
        }
        assert_eq!(u64::decode_value(&[1, 2, 3]), None);
    }

    #[test]
    fn type_names_do_not_tell_modules() {
        type Nested = Vec<Option<(String, [u8; 4])>>;
        assert_eq!(<Nested as StateValue>::type_name(), "Vec<Option<(String, [u8; 4])>>");
    }
}
