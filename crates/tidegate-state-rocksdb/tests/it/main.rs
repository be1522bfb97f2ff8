//! Tests of the backend through its public face.

mod conversions;
mod errors;
mod leaks;
mod rescaling;
mod suite;
mod world;
