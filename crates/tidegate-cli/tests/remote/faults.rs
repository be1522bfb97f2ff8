//! Servers that go away while a job runs.
