//! Tests of the backend through its public face.

mod suite;
