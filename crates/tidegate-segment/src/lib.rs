//! Immutable files, mapped into memory: the only `unsafe` code of Tidegate.
//!
//! **It is not** a general mmap crate: it maps whole files, for reading only, that were sealed
//! before they were given their name and that nobody changes afterwards. `docs/unsafe.md` says
//! what that promise is worth and who keeps it.
//!
//! ```
//! use tidegate_segment::Mapping;
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("sealed");
//! std::fs::write(&path, b"written once")?;
//! let mapping = Mapping::open(&path)?;
//! assert_eq!(&mapping[..7], b"written");
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
