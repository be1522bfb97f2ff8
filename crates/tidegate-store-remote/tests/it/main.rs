//! What remote stores share, against models.

mod interleavings;
mod world;
