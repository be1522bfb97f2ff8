//! The fs backend: the suite of all backends, and what is its own.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod disk;
mod files;
mod random;
mod suite;
mod words;
mod world;
