//! The embedded runtime: jobs as threads on one machine, with exactly-once checkpoints.
