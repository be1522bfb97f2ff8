//! State backends: keyed and operator state, timers, and the memory backend.
