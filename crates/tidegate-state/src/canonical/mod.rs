//! The canonical form of keyed state: backend-neutral, self-contained, ordered by key group.
//!
//! `docs/format.md` ("Keyed state") is normative. In short, behind the frame's header:
//!
//! ```text
//! u16 first key group, u16 last key group, u32 number of states
//! states:      u8 kind, u32 length, name                          for each state
//! directory:   u64 offset, u64 length, u64 XXH3-64 checksum       for each key group
//! sections:    for each state: u32 entries, then the entries      for each key group
//! entry:       u32 length, key, u32 number of items, u32 length of the items, items
//! ```

mod reader;
mod writer;

pub(crate) use reader::CanonicalReader;
pub(crate) use writer::{NamedTable, encode};
