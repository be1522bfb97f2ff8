//! Segments: immutable files of keyed state, mapped into memory and read in place.
//!
//! A [`SegmentWriter`] writes one as a single stream, in bounded memory, from entries in order; a
//! [`Segment`] is opened in a time that does not depend on its size, finds a key with two cache
//! misses, and walks over the entries of a key group, of a key's map, or over timers by time.
//! Later segments hide what earlier ones say of the same keys; [`MergedEntries`] shows what is to
//! be seen of several, and [`compact`] makes one of them. Every 16 KiB have a checksum, which is
//! verified when the first byte of them is touched.
//!
//! **It is not** a database: nothing in a segment is ever changed, and which segments belong
//! together, what their values mean and when they are merged is for whoever uses it. The only
//! `unsafe` code of Tidegate is here, in [`Mapping`]; `docs/unsafe.md` is its proof, and
//! `docs/format-segment.md` the format.
//!
//! ```
//! use tidegate_segment::{Change, KeyedEntry, Lookup, Origin, Segment, SegmentWriter};
//! use tidegate_types::{
//!     AttemptId, CheckpointId, KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, RegisteredState,
//!     StateKind,
//! };
//!
//! let group = KeyGroup::new;
//! let origin = Origin {
//!     checkpoint: CheckpointId::FIRST,
//!     attempt: AttemptId::new(0),
//!     max_parallelism: MaxParallelism::DEFAULT,
//!     key_groups: KeyGroupRange::new(group(0), group(127)).unwrap(),
//! };
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("segment");
//! let mut writer = SegmentWriter::new(std::fs::File::create_new(&path)?, origin)?;
//! writer.begin_state(&RegisteredState {
//!     name: "depth".into(),
//!     kind: StateKind::Value,
//!     fingerprint: 0,
//!     schema_version: 0,
//!     types: "bytes -> u8".into(),
//! })?;
//! let mut keys: Vec<&[u8]> = vec![b"lighthouse", b"pier"];
//! keys.sort_by_key(|key| KeyHash::of_bytes(key));
//! for key in keys {
//!     writer.write(&KeyedEntry { hash: KeyHash::of_bytes(key), key, change: Change::Put(&[7]) })?;
//! }
//! let (file, _) = writer.finish()?;
//! file.sync_all()?;
//!
//! let segment = Segment::open(&path)?;
//! let depth = segment.state("depth").unwrap();
//! assert_eq!(segment.get(depth, KeyHash::of_bytes(b"pier"), b"pier")?, Lookup::Found(&[7]));
//! assert_eq!(segment.get(depth, KeyHash::of_bytes(b"reef"), b"reef")?, Lookup::Absent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod compact;
mod content;
mod cursor;
mod directory;
mod entries;
mod entry;
mod error;
mod frame;
mod index;
mod layout;
mod lookup;
mod mapping;
mod merge;
mod origin;
mod record;
mod segment;
mod sort;
mod timers;
mod verify;
mod writer;

pub use compact::{Progress, compact};
pub use entries::Entries;
pub use entry::{Change, KeyedEntry, Lookup, TimerEntry};
pub use error::{Likeness, Part, SegmentError};
pub use mapping::Mapping;
pub use merge::{MergedEntries, MergedTimers, Tombstones};
pub use origin::{Origin, Statistics};
pub use segment::{Segment, StateNumber};
pub use sort::sort_rows;
pub use timers::Timers;
pub use writer::{SegmentSummary, SegmentWriter};
