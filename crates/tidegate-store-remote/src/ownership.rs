//! Ownership of a directory in a store that has no locks, but creates objects only if absent.
//!
//! All that owners do is one log of numbered entries, `.owner/e{number}`, of which each is made by
//! creating it if it is absent. What must hold:
//!
//! - **The entry with the largest number is never deleted**, except with the whole directory. So one
//!   that is created below a larger one is stray, and who created it finds that out by listing.
//! - **Who made the largest entry owns the directory**, unless it says that he released it.
//! - An owner publishes in steps: he logs the path, finds by listing that his entry is the largest
//!   one, and creates the file if it is absent.
//! - Who takes the directory over logs that, which fails if the owner logged something in the
//!   meantime. Then he *denies* the path that the owner logged last, if it is not known to be done:
//!   he puts an empty object there, if there is none. So the owner's file was there before, and
//!   counts, or it never will be.
//! - A denied path stays *guarded*: while the directory exists, its file is not deleted but made
//!   empty. Otherwise a request of the former owner that is still on its way would bring it back. The
//!   guarded paths are in every entry.
//!
//! No clocks are compared. An owner on this machine lives as long as his process. Of any other it is
//! known by a counter of his, `.owner/h{number}`: who waits sees it move, or not, for a time that he
//! measures himself.

mod entry;
mod hold;
mod lease;
mod life;
mod log;
mod store;

pub use hold::{Hold, Lease, own, take_over};
pub use store::{Created, OWNERS, OwnershipStore, Publication};

#[doc(hidden)]
pub mod model {
    //! The protocol step by step, for tests that interleave its steps.
    pub use super::entry::Mark;
    pub use super::log::{OwnerLog, Standing, Taking, Tenure};
}
