//! Immutable memory-mapped files: the only unsafe code of Tidegate.
