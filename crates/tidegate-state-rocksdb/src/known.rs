//! What is known of the database's files: their content, and under which names checkpoints have it.
//!
//! Invariant: a checkpoint refers to a file of an earlier one only if that is complete and will not be
//! deleted before the new one is. What goes wrong without the second half:
//!
//! 1. checkpoint 1 has some content as A; before the task hears that 1 is complete, it is asked for 2,
//!    which names the content B;
//! 2. the task hears that 1 is complete; 2 completes, 1 is subsumed, and A is deleted;
//! 3. before the task hears of that, it is asked for 3, and refers to A.
//!
//! So every checkpoint in between, of which nothing is known, must use the same names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_store::FinishedFile;
use tidegate_types::{CheckpointId, Digest, DigestBuilder, FileHandle};

use crate::error::{RocksDbStateError, local};

/// What a file has in it: its length and its digest.
pub(crate) type Content = (u64, Digest);
/// Contents, and the names that a checkpoint has for them.
pub(crate) type Named = HashMap<Content, FileHandle>;

/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 20;

/// Which local file it is: tables never change, so that one with the same of all these is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LocalId {
    device: u64,
    inode: u64,
    length: u64,
    modified_ns: i64,
}

/// Shared by a task and its snapshots.
#[derive(Debug, Default)]
pub(crate) struct Known {
    contents: Mutex<HashMap<LocalId, Digest>>,
    written: Mutex<BTreeMap<CheckpointId, Named>>,
}

impl Known {
    /// The content of a local table, reading it unless it was read before.
    pub(crate) fn content(&self, path: &Path) -> Result<Content, RocksDbStateError> {
        let id = identify(path)?;
        if let Some(digest) = lock(&self.contents).get(&id) {
            return Ok((id.length, *digest));
        }
        let digest = digest(path)?;
        lock(&self.contents).insert(id, digest);
        Ok((id.length, digest))
    }

    /// The local table has what a checkpoint says that it has.
    pub(crate) fn trust(&self, path: &Path, digest: Digest) -> Result<(), RocksDbStateError> {
        let id = identify(path)?;
        lock(&self.contents).insert(id, digest);
        Ok(())
    }

    /// Forgets tables that are not in a snapshot any more.
    pub(crate) fn retain(&self, paths: &[impl AsRef<Path>]) {
        let kept: Vec<LocalId> = paths.iter().filter_map(|p| identify(p.as_ref()).ok()).collect();
        lock(&self.contents).retain(|id, _| kept.contains(id));
    }

    /// A snapshot has written all of this.
    pub(crate) fn add_written(&self, checkpoint: CheckpointId, named: Named) {
        lock(&self.written).insert(checkpoint, named);
    }

    fn take_written(&self, checkpoint: CheckpointId) -> Option<Named> {
        let mut written = lock(&self.written);
        let named = written.remove(&checkpoint);
        // Older ones were subsumed or will never be complete.
        *written = written.split_off(&checkpoint);
        named
    }
}

/// Which names a new checkpoint may use. On the task's thread.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    /// The newest checkpoint that is known to be complete, and its names.
    confirmed: Option<(CheckpointId, Named)>,
    /// What later checkpoints, whose fate is not known, were offered.
    unsettled: BTreeMap<CheckpointId, Arc<Named>>,
}

impl Offers {
    /// After a restore from a checkpoint whose files may be used.
    pub(crate) fn restored(named: Named) -> Self {
        Self { confirmed: Some((CheckpointId::FIRST, named)), unsettled: BTreeMap::new() }
    }

    /// The names that this new checkpoint may use.
    pub(crate) fn offer(&mut self, checkpoint: CheckpointId) -> Arc<Named> {
        let offer = match &self.confirmed {
            None => Named::new(),
            Some((since, named)) => {
                let in_all = |content: &Content, handle: &FileHandle| {
                    let mut between = self.unsettled.range(since.next()..);
                    between.all(|(_, offer)| offer.get(content) == Some(handle))
                };
                let named = named.iter().filter(|(content, handle)| in_all(content, handle));
                named.map(|(content, handle)| (*content, handle.clone())).collect()
            }
        };
        let offer = Arc::new(offer);
        self.unsettled.insert(checkpoint, Arc::clone(&offer));
        offer
    }

    pub(crate) fn complete(&mut self, checkpoint: CheckpointId, known: &Known) {
        if let Some(named) = known.take_written(checkpoint) {
            self.confirmed = Some((checkpoint, named));
        }
        self.unsettled = self.unsettled.split_off(&checkpoint.next());
    }

    pub(crate) fn abort(&mut self, checkpoint: CheckpointId, known: &Known) {
        self.unsettled.remove(&checkpoint);
        lock(&known.written).remove(&checkpoint);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn identify(path: &Path) -> Result<LocalId, RocksDbStateError> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(path).map_err(local("look at", path))?;
    Ok(LocalId {
        device: found.dev(),
        inode: found.ino(),
        length: found.len(),
        modified_ns: found.mtime().wrapping_mul(1_000_000_000).wrapping_add(found.mtime_nsec()),
    })
}

fn digest(path: &Path) -> Result<Digest, RocksDbStateError> {
    let mut file = fs::File::open(path).map_err(local("open", path))?;
    let mut digest = DigestBuilder::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer).map_err(local("read", path))? {
            0 => return Ok(digest.finish()),
            length => digest.update(&buffer[..length]),
        }
    }
}

pub(crate) fn finished((length, digest): Content) -> FinishedFile {
    FinishedFile { length, digest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_types::FileReference;

    fn named(names: &[(u64, &str)]) -> Named {
        let files = names.iter().map(|(length, name)| {
            let digest = Digest::of(&length.to_le_bytes());
            let reference = FileReference::in_job(&format!("shared/{name}")).unwrap();
            ((*length, digest), FileHandle { reference, length: *length, digest })
        });
        files.collect()
    }

    fn id(number: u64) -> CheckpointId {
        CheckpointId::new(number).unwrap()
    }

    // The steps of the module's documentation.
    #[test]
    fn a_name_that_a_later_checkpoint_does_not_use_is_not_offered() {
        let (mut offers, known) = (Offers::default(), Known::default());
        // 1.
        assert!(offers.offer(id(1)).is_empty());
        known.add_written(id(1), named(&[(7, "A")]));
        assert!(offers.offer(id(2)).is_empty());
        known.add_written(id(2), named(&[(7, "B")]));
        // 2.
        offers.complete(id(1), &known);
        // 3.
        assert!(offers.offer(id(3)).is_empty(), "A may be deleted already");
        offers.complete(id(2), &known);
        assert!(offers.offer(id(4)).is_empty(), "3 was offered nothing");
        known.add_written(id(4), named(&[(7, "C")]));
        offers.complete(id(4), &known);
        assert_eq!(*offers.offer(id(5)), named(&[(7, "C")]));
        assert_eq!(*offers.offer(id(6)), named(&[(7, "C")]), "5 uses the same name");
    }

    #[test]
    fn what_was_aborted_is_not_offered() {
        let (mut offers, known) = (Offers::default(), Known::default());
        offers.offer(id(1));
        known.add_written(id(1), named(&[(7, "A")]));
        offers.abort(id(1), &known);
        offers.complete(id(1), &known);
        assert!(offers.offer(id(2)).is_empty());
    }
}
