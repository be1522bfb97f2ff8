//! Records and batches: what travels through a job.

/// The event time of a record that has none, in milliseconds since the Unix epoch.
pub(crate) const NO_TIMESTAMP: i64 = i64::MIN;

/// The watermark that says that no record comes any more.
pub(crate) const LAST_WATERMARK: i64 = i64::MAX;

/// A value with its event time.
#[derive(Clone, Debug)]
pub(crate) struct Record<T> {
    pub(crate) value: T,
    /// Milliseconds since the Unix epoch, or [`NO_TIMESTAMP`].
    pub(crate) timestamp: i64,
}

/// What one message of a channel carries: many records at once, so that a record costs far less
/// than a channel operation.
#[derive(Clone, Debug)]
pub(crate) enum Batch<T> {
    /// Records, in order.
    Records(Vec<Record<T>>),
    /// No record with an event time at or below this comes after it from this channel.
    Watermark(i64),
}

impl<T> Batch<T> {
    /// Its records' bytes as they lie in memory.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Records(records) => size_of_val(records.as_slice()) as u64,
            Self::Watermark(_) => 0,
        }
    }
}

/// A record on its way to the subtask that owns its key. The hash is computed once, by the sender.
#[derive(Clone, Debug)]
pub(crate) struct Keyed<K, T> {
    pub(crate) key: K,
    pub(crate) hash: tidegate_types::KeyHash,
    pub(crate) value: T,
}

/// What a stream may carry: anything that can be given to another thread and, where a stream is
/// used twice, copied.
pub trait Data: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Data for T {}
