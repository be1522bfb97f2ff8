//! Downloads: several pieces at a time, in their order, with bounded memory.
//!
//! All downloads of a cache share a few readers, each of which holds two pieces at most. A file gets
//! as many as are free and it has pieces for, and one at least.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use tidegate_types::DigestBuilder;

use super::cannot;
use crate::{CheckpointStorage, FinishedFile, Operation, StateReader, StorageError, StoragePath};

/// What is asked of a store at a time, in bytes. With [`READERS`] it bounds the memory: 32 MiB.
const PIECE: u64 = 4 << 20;
const READERS: usize = 4;

pub(super) struct Readers {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Default for Readers {
    fn default() -> Self {
        Self { free: Mutex::new(READERS), freed: Condvar::new() }
    }
}

/// Readers taken, given back when dropped.
struct Taken<'a> {
    readers: &'a Readers,
    count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.readers.free.lock().unwrap_or_else(PoisonError::into_inner) += self.count;
        self.readers.freed.notify_all();
    }
}

type Piece = Result<Vec<u8>, StorageError>;

impl Readers {
    /// Writes the file to `out` and compares it with what is wanted. `copy` is for errors.
    pub(super) fn download(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
        out: &mut File,
        copy: &Path,
    ) -> Result<(), StorageError> {
        let first = storage.open(path)?;
        let full = || Box::from(format!("{}/{path}", storage.uri()));
        let (expected, found) = (wanted.length, first.length());
        if expected != found {
            return Err(StorageError::OtherLength { path: full(), expected, found });
        }
        let taken = self.take(usize::try_from(wanted.length.div_ceil(PIECE)).unwrap_or(READERS));
        let mut digest = DigestBuilder::new();
        let write = |piece: &[u8]| {
            digest.update(piece);
            out.write_all(piece).map_err(|error| cannot(Operation::Write, copy, error))
        };
        in_order(storage, path, first, taken.count, write)?;
        drop(taken);
        let (expected, found) = (wanted.digest, digest.finish());
        if expected != found {
            return Err(StorageError::OtherContent { path: full(), expected, found });
        }
        Ok(())
    }

    fn take(&self, at_most: usize) -> Taken<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        let count = at_most.clamp(1, *free);
        *free -= count;
        Taken { readers: self, count }
    }
}

/// Gives all pieces of the file to `write`, in their order. Reader `r` of `n` has the pieces `r`,
/// `r + n`, `r + 2n` and so on.
fn in_order(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    first: Box<dyn StateReader>,
    readers: usize,
    mut write: impl FnMut(&[u8]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let length = first.length();
    let pieces = length.div_ceil(PIECE);
    if readers == 1 {
        return (0..pieces).try_for_each(|piece| write(&read(&*first, piece)?));
    }
    let mut opened = vec![first];
    while opened.len() < readers {
        opened.push(storage.open(path)?);
    }
    thread::scope(|scope| {
        let channels: Vec<Receiver<Piece>> = opened
            .into_iter()
            .enumerate()
            .map(|(index, reader)| {
                let (sender, receiver) = sync_channel(0);
                let mine = (index as u64..pieces).step_by(readers);
                scope.spawn(move || send(&*reader, mine, &sender));
                receiver
            })
            .collect();
        // On an error the receivers go, and with them the readers.
        (0..pieces).zip(channels.iter().cycle()).try_for_each(|(_, channel)| {
            write(&channel.recv().expect("a reader sends all of its pieces or an error")?)
        })
    })
}

fn send(reader: &dyn StateReader, pieces: impl Iterator<Item = u64>, to: &SyncSender<Piece>) {
    for piece in pieces {
        let read = read(reader, piece);
        let is_end = read.is_err();
        if to.send(read).is_err() || is_end {
            return;
        }
    }
}

fn read(reader: &dyn StateReader, piece: u64) -> Piece {
    let offset = piece * PIECE;
    let length = (reader.length() - offset).min(PIECE);
    let mut bytes = vec![0; usize::try_from(length).expect("a piece fits into memory")];
    reader.read_at(offset, &mut bytes)?;
    Ok(bytes)
}
