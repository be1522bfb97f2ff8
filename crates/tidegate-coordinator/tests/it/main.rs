//! The coordinator against a model of its world, and restore against real directories.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod common;
mod machine;
mod model;
mod plan;
mod restored;
mod storage;
