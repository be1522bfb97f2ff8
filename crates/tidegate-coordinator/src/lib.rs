//! The checkpoint coordinator: trigger, acknowledge, complete, subsume, retain, restore.
