//! Externalized checkpoints for Rust stream processing: the facade.
