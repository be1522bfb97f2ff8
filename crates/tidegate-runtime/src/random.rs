//! Random numbers, for names that nobody else gives.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The standard library seeds its hashers from the system's random numbers.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
