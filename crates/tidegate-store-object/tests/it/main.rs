//! The store on real servers: `cargo xtask servers start s3 azure`.

mod contract;
mod faults;
mod large;
mod owners;
mod proxy;
mod recorded;
mod servers;
