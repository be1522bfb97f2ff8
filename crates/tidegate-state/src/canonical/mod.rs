//! The canonical form of keyed state: backend-neutral, self-contained, written and read as a stream.
//!
//! Any backend writes it, from [`FrozenTable`](crate::FrozenTable)s, and any backend restores it,
//! at any parallelism. "Keyed state" in `docs/format.md` is normative. In short:
//!
//! ```text
//! head      frame 3: key groups, states                           says what it is
//! blocks    the entries of one state in one key group, in chunks  each chunk with its checksum
//! index     frame 4: offset, length, checksum of each block       says where it lies
//! trailer   u64 offset of the index, u64 checksum of the offset   the last 16 bytes
//! ```
//!
//! Neither side holds more than a chunk: about 64 KiB, or one entry if that is longer.

mod cursor;
mod layout;
mod reader;
mod snapshot;
mod source;
mod spill;
mod writer;

pub use reader::CanonicalReader;
pub use snapshot::CanonicalSnapshot;
pub use source::StateSource;
pub use writer::CanonicalWriter;
