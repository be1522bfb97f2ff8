//! Split sources with positions and two-phase-commit sinks for files.
