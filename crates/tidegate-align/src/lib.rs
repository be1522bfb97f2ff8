//! Barrier alignment: a pure state machine, and an input gate that carries it out over crossbeam
//! channels.
//!
//! A barrier divides every channel into what belongs to a checkpoint and what comes after it. An
//! operator with several inputs snapshots when it has all that comes before the barrier of *every*
//! channel and nothing of what comes after it in *any*: it reads no further in a channel whose
//! barrier has come until the others have theirs.
//!
//! **It is not** a runtime or a channel of its own, and it **does not** take snapshots: it says
//! when to take one. [`Alignment`] has no thread, lock, clock or channel, and serves any of them;
//! [`InputGate`] adds crossbeam's. Every transition is a row of `docs/alignment.md`, and tested
//! against it.
//!
//! With a gate:
//!
//! ```
//! use crossbeam::channel::{bounded, never};
//! use tidegate_align::{AlignmentMode, GateEvent, InputGate, Message};
//! use tidegate_types::{Barrier, CheckpointId, SnapshotKind};
//!
//! let barrier =
//!     Barrier { checkpoint: CheckpointId::FIRST, kind: SnapshotKind::Checkpoint, triggered_at_ms: 0 };
//! let (left, left_end) = bounded(8);
//! let (right, right_end) = bounded(8);
//! left.send(Message::Data("before"))?;
//! left.send(Message::Barrier(barrier))?;
//! left.send(Message::Data("after"))?;
//! right.send(Message::Data("before"))?;
//! right.send(Message::Barrier(barrier))?;
//!
//! let mut gate = InputGate::new(vec![left_end, right_end], AlignmentMode::ExactlyOnce);
//! let mut seen = Vec::new();
//! for _ in 0..4 {
//!     match gate.next(&never::<()>(), None) {
//!         GateEvent::Data { item, .. } => seen.push(item),
//!         GateEvent::Barrier(..) => seen.push("snapshot!"),
//!         other => panic!("{other:?}"),
//!     }
//! }
//! assert_eq!(seen, ["before", "before", "snapshot!", "after"]);
//! # Ok::<(), crossbeam::channel::SendError<Message<&str>>>(())
//! ```
//!
//! With channels of your own, here the standard library's:
//!
//! ```
//! use std::sync::mpsc::channel;
//! use tidegate_align::{Action, Alignment, AlignmentMode, Event, Message};
//! use tidegate_types::{Barrier, CheckpointId, SnapshotKind};
//!
//! let barrier =
//!     Barrier { checkpoint: CheckpointId::FIRST, kind: SnapshotKind::Checkpoint, triggered_at_ms: 0 };
//! let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| channel()).unzip();
//! for sender in &senders {
//!     sender.send(Message::Data(7)).unwrap();
//!     sender.send(Message::Barrier(barrier)).unwrap();
//! }
//! let mut alignment = Alignment::new(2, AlignmentMode::ExactlyOnce);
//! let (mut blocked, mut sum, mut snapshot) = ([false; 2], 0, None);
//! while snapshot.is_none() {
//!     for channel in (0..2).filter(|channel| !blocked[*channel]).collect::<Vec<_>>() {
//!         match receivers[channel].recv().unwrap() {
//!             Message::Data(number) => sum += number,
//!             Message::Barrier(barrier) => {
//!                 for action in alignment.on(Event::Barrier { channel, barrier }) {
//!                     match action {
//!                         Action::Block { channel } => blocked[channel] = true,
//!                         Action::UnblockAll => blocked = [false; 2],
//!                         Action::Snapshot(_) => snapshot = Some(sum),
//!                         _ => {}
//!                     }
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(snapshot, Some(14));
//! ```
#![forbid(unsafe_code)]

mod alignment;
mod channel;
mod event;
mod gate;

pub use alignment::Alignment;
pub use channel::{Disconnected, Inputs, Output, channels};
pub use event::{AbortCause, Action, Actions, AlignmentMode, Event, Message, Progress};
pub use gate::{AlignmentStats, GateEvent, InputGate};
