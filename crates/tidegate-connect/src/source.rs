//! Sources that are cut into splits and know their position after every record.

use std::time::Duration;

use crate::ConnectError;

/// Input that can be cut into independent splits, shared by all subtasks that read it.
///
/// A split is plain data: what is left to be read, from its current position on. A checkpoint keeps
/// the encoded splits; a resumed job opens them and reads what the checkpoint had not seen.
pub trait SplitSource: Send + Sync + 'static {
    /// What is read.
    type Record: Send + 'static;
    /// A part of the input, with the position in it.
    type Split: Clone + Send + 'static;

    /// All splits of the input, from their beginnings, in a fixed order. For the first start of a
    /// job only: a resumed one goes on with the splits of its checkpoint.
    fn splits(&self) -> Result<Vec<Self::Split>, ConnectError>;

    /// Starts to read a split at its position. The reader stays on the thread that opened it.
    fn open(&self, split: &Self::Split) -> Result<BoxedReader<Self>, ConnectError>;

    /// The bytes that a checkpoint keeps of a split.
    fn encode_split(split: &Self::Split) -> Vec<u8>;

    /// The split that was kept as these bytes. They come from outside: anything may be in them.
    fn decode_split(bytes: &[u8]) -> Result<Self::Split, ConnectError>;
}

/// A reader of a [`SplitSource`]'s split.
pub type BoxedReader<S> =
    Box<dyn SplitReader<Record = <S as SplitSource>::Record, Split = <S as SplitSource>::Split>>;

/// Reads one split.
pub trait SplitReader {
    /// What is read.
    type Record;
    /// What the position is given as.
    type Split;

    /// Hands out up to `budget` records, in order, and says how to go on.
    ///
    /// After an error, the records handed out before count as read and the reader is of no more use
    /// than to be asked for its position.
    fn poll(
        &mut self,
        budget: usize,
        out: &mut dyn FnMut(Self::Record),
    ) -> Result<Poll, ConnectError>;

    /// What is left after the records handed out so far: opened, it gives exactly the rest.
    fn position(&self) -> Self::Split;
}

/// How to go on after [`SplitReader::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a finished split must not be polled for ever"]
pub enum Poll {
    /// There may be more: poll again.
    More,
    /// There is nothing now: poll again later, after this time if one is given.
    Pending(Option<Duration>),
    /// The split is read to its end.
    Finished,
}
