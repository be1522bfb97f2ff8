//! Values of state: any type that rkyv can archive, and how a value is shown without copying it.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator, to_bytes_in};
use rkyv::api::serialize_using;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::Serializer;
use rkyv::ser::allocator::{Arena, ArenaHandle};
use rkyv::ser::sharing::Share;
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
    /// A value in its archived form, as it lies in a file: a reference to rkyv's `Archived` type.
    type View<'a>: Copy;

    /// Appends the archived form.
    fn encode_value(&self, out: &mut Vec<u8>);

    /// [`encode_value`](Self::encode_value) with memory that is used again from value to value.
    #[doc(hidden)]
    fn encode_value_in(&self, encoder: &mut Encoder<'_>) {
        self.encode_value(encoder.bytes());
    }

    /// Shows the value with this archived form in place; `None` when the bytes are none of this
    /// type. Everything that the view leads to is checked, nothing is copied.
    fn view(bytes: &[u8]) -> Option<Self::View<'_>>;

    /// A value of its own with what the view shows; `None` when the type's `Deserialize` refuses.
    fn from_view(view: Self::View<'_>) -> Option<Self>;

    /// The value with this archived form; `None` when the bytes are none of this type.
    fn decode_value(bytes: &[u8]) -> Option<Self>;

    /// The size of the fixed part of the archived form in bytes: part of the fingerprint.
    fn archived_size() -> usize;

    /// When the value was stamped, in milliseconds since the Unix epoch, if its state has a time
    /// to live. Only the wrapper that stamps values has an answer.
    #[doc(hidden)]
    fn stamp_ms(&self) -> Option<i64> {
        None
    }

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
    type View<'a> = &'a T::Archived;

    fn view(bytes: &[u8]) -> Option<&T::Archived> {
        rkyv::access::<T::Archived, Failure>(bytes).ok()
    }

    fn from_view(view: &T::Archived) -> Option<Self> {
        rkyv::deserialize::<T, Failure>(view).ok()
    }

    fn encode_value(&self, out: &mut Vec<u8>) {
        let written = to_bytes_in::<_, Failure>(self, std::mem::take(out));
        *out = written.expect("a value of less than 2 GiB that can be archived in memory");
    }

    #[inline]
    fn encode_value_in(&self, encoder: &mut Encoder<'_>) {
        // What is shared within a value is not shared with the next.
        encoder.serializer.sharing = Share::new();
        let written = serialize_using::<_, Failure>(self, &mut encoder.serializer);
        written.expect("a value of less than 2 GiB that can be archived in memory");
    }

    fn decode_value(bytes: &[u8]) -> Option<Self> {
        rkyv::from_bytes::<T, Failure>(bytes).ok()
    }

    fn archived_size() -> usize {
        size_of::<T::Archived>()
    }
}

/// Archives many values, one behind the other.
#[doc(hidden)]
pub struct Encoder<'a> {
    serializer: Serializer<Vec<u8>, ArenaHandle<'a>, Share>,
}

impl<'a> Encoder<'a> {
    /// Appends to these bytes.
    pub(crate) fn new(bytes: Vec<u8>, arena: &'a mut Arena) -> Self {
        Self { serializer: Serializer::new(bytes, arena.acquire(), Share::new()) }
    }

    /// What is archived so far.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.serializer.writer
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.serializer.writer
    }
}

/// A value of state, wherever it lies: in memory as it is, or archived in a file.
///
/// ```
/// use tidegate_state::ValueRef;
///
/// fn minutes(value: ValueRef<'_, u64>) -> u64 {
///     match value {
///         ValueRef::Native(seconds) => seconds / 60,
///         ValueRef::Archived(seconds) => seconds.to_native() / 60,
///     }
/// }
/// assert_eq!(minutes(ValueRef::Native(&120)), 2);
/// ```
#[derive(Debug)]
pub enum ValueRef<'a, V: StateValue> {
    /// In memory.
    Native(&'a V),
    /// Archived, in a mapped file.
    Archived(V::View<'a>),
}

impl<V: StateValue> ValueRef<'_, V> {
    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// When the type's own `Deserialize` refuses what its `CheckBytes` has accepted.
    #[must_use]
    pub fn to_value(&self) -> V {
        match *self {
            Self::Native(value) => value.clone(),
            Self::Archived(view) => V::from_view(view).expect("checked bytes can be deserialized"),
        }
    }
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "deriving would ask for `V: Copy`")]
impl<V: StateValue> Clone for ValueRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: StateValue> Copy for ValueRef<'_, V> {}

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
        let view = <(u64, String, Vec<f64>)>::view(&bytes[3..]).unwrap();
        assert_eq!(view.1.as_str(), "tide");
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
