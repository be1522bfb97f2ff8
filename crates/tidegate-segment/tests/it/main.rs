//! What a segment promises, judged by naive models.

mod damage;
mod golden;
mod merging;
mod model;
mod random;
mod sharing;
mod small;
mod writing;
