//! The store on a real cluster: `cargo xtask servers start hdfs hdfs-faults`.

mod cluster;
mod contract;
mod faults;
mod large;
mod lost;
mod owners;
