//! Barrier alignment as a pure state machine, and input gates over crossbeam channels.
