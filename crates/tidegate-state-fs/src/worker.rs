//! The background threads of one subtask: one spills and drops, one merges.
//!
//! They end with the subtask. What they have done lies in `Shared`
//! until the task takes it up.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tidegate_state::CancelToken;
use tidegate_types::CheckpointId;

use crate::compaction::Merge;
use crate::delta::Delta;
use crate::place::Place;
use crate::stack::Merged;
use crate::stored::{Named, Part, Stored};

/// What others have done for the task, and what they know of checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    news: AtomicBool,
    merged: Mutex<Vec<Merged>>,
    /// The names under which checkpoints refer to segments, until their fate is known.
    pending: Mutex<BTreeMap<CheckpointId, Vec<Named>>>,
    merging: AtomicBool,
    spill_failed: AtomicBool,
}

/// None of these is held while something may panic: what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Something was written or merged.
    pub(crate) fn announce(&self) {
        self.news.store(true, Ordering::Release);
    }

    /// Whether anything was, since the last time.
    pub(crate) fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Acquire)
    }

    pub(crate) fn add_merged(&self, merged: Merged) {
        lock(&self.merged).push(merged);
        self.announce();
    }

    pub(crate) fn take_merged(&self) -> Vec<Merged> {
        std::mem::take(&mut *lock(&self.merged))
    }

    pub(crate) fn is_merging(&self) -> bool {
        self.merging.load(Ordering::Acquire)
    }

    /// Whether the newest spill could not be written; told once.
    pub(crate) fn take_spill_failed(&self) -> bool {
        self.spill_failed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn add_pending(&self, checkpoint: CheckpointId, files: Vec<Named>) {
        lock(&self.pending).insert(checkpoint, files);
    }

    /// The checkpoint is complete; gives what is of no use any more.
    pub(crate) fn confirm(&self, checkpoint: CheckpointId) -> Vec<Arc<Stored>> {
        let mut pending = lock(&self.pending);
        let later = pending.split_off(&checkpoint.next());
        let mut ended = std::mem::replace(&mut *pending, later);
        drop(pending);
        for (stored, handle) in ended.get(&checkpoint).into_iter().flatten() {
            stored.confirm(checkpoint, handle.clone());
        }
        let files = std::mem::take(&mut ended).into_values().flatten();
        files.map(|(stored, _)| stored).collect()
    }

    pub(crate) fn abort(&self, checkpoint: CheckpointId) -> Vec<Arc<Stored>> {
        let files = lock(&self.pending).remove(&checkpoint).unwrap_or_default();
        files.into_iter().map(|(stored, _)| stored).collect()
    }
}

enum Work {
    Spill { delta: Arc<Delta>, checkpoint: CheckpointId },
    Drop(Box<dyn Any + Send>),
}

pub(crate) struct Worker {
    place: Arc<Place>,
    shared: Arc<Shared>,
    cancel: CancelToken,
    work: (Option<Sender<Work>>, Option<JoinHandle<()>>),
    merges: Option<(Sender<Merge>, JoinHandle<()>)>,
}

impl Worker {
    /// Starts the first thread, so that no checkpoint has to wait for that.
    pub(crate) fn new(place: Arc<Place>, shared: Arc<Shared>) -> Self {
        let (sender, receiver) = channel();
        let cancel = CancelToken::new();
        let (its_place, its_shared, its_cancel) =
            (Arc::clone(&place), Arc::clone(&shared), cancel.clone());
        let thread = spawn("state-spill", move || {
            for work in receiver {
                match work {
                    Work::Spill { delta, checkpoint } => {
                        if delta.write(&its_place, checkpoint, &its_cancel).is_err() {
                            // The next checkpoint writes it, and tells why if it cannot.
                            its_shared.spill_failed.store(true, Ordering::Release);
                        }
                        its_shared.announce();
                    }
                    Work::Drop(trash) => drop(trash),
                }
            }
        });
        Self { place, shared, cancel, work: (Some(sender), Some(thread)), merges: None }
    }

    pub(crate) fn spill(&self, delta: Arc<Delta>, checkpoint: CheckpointId) {
        self.send(Work::Spill { delta, checkpoint });
    }

    /// Drops something, which may take as long as it is large, and delete files.
    pub(crate) fn drop_later(&self, trash: impl Any + Send) {
        self.send(Work::Drop(Box::new(trash)));
    }

    fn send(&self, work: Work) {
        let sender = self.work.0.as_ref().expect("open until this is dropped");
        // A thread that has panicked takes no more work: what was to be spilled stays in memory.
        let _ = sender.send(work);
    }

    /// Starts a merge. Only one runs at a time.
    pub(crate) fn merge(&mut self, merge: Merge) {
        let (place, shared, cancel) =
            (Arc::clone(&self.place), Arc::clone(&self.shared), self.cancel.clone());
        let (sender, _) = self.merges.get_or_insert_with(|| {
            let (sender, receiver) = channel::<Merge>();
            let thread = spawn("state-merge", move || {
                for merge in receiver {
                    // A failure (a full disk, a damaged segment) costs nothing but the merge: its
                    // segments stay in use, and whoever reads what is damaged is told so.
                    if let Ok(stored) = merge.run(&place, &cancel) {
                        let inputs = merge.parts.into_iter().map(|part| part.stored).collect();
                        let output = Part { stored, key_groups: place.context.key_groups };
                        shared.add_merged(Merged { inputs, output });
                    }
                    shared.merging.store(false, Ordering::Release);
                }
            });
            (sender, thread)
        });
        self.shared.merging.store(true, Ordering::Release);
        if sender.send(merge).is_err() {
            self.shared.merging.store(false, Ordering::Release);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel.cancel();
        // What ends the threads is that their senders go.
        self.work.0 = None;
        let merges = self.merges.take().map(|(_, thread)| thread);
        for thread in self.work.1.take().into_iter().chain(merges) {
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.expect("the system has a thread for the state's files")
}
