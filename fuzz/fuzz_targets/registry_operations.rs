//! Random uses and releases of shared files, on the registry and on a list of every use.
#![no_main]

use std::collections::{BTreeSet, HashSet};

use libfuzzer_sys::fuzz_target;
use tidegate_coordinator::SharedStateRegistry;
use tidegate_fuzz::Choices;
use tidegate_types::{CheckpointId, Digest, FileHandle, FileReference};

const FILES: usize = 6;
const CHECKPOINTS: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let mut registry = SharedStateRegistry::new();
    let mut model = Model::default();
    while !choices.are_over() {
        let operation = choices.below(8);
        let checkpoint = checkpoint(choices.below(CHECKPOINTS));
        let file = file(choices.below(FILES));
        let (released, expected) = match operation {
            0..4 => {
                registry.register(checkpoint, &file);
                model.uses.push((file, checkpoint));
                continue;
            }
            4 => {
                registry.disown(checkpoint, &file);
                model.foreign.insert(file.clone());
                model.uses.push((file, checkpoint));
                continue;
            }
            5 => {
                let free = |users: &[CheckpointId]| users.iter().all(|user| *user < checkpoint);
                (registry.release_below(checkpoint), model.release(|_, users| free(users)))
            }
            6 => {
                let free = |users: &[CheckpointId]| users.iter().all(|user| *user == checkpoint);
                (registry.release_created_by(checkpoint), model.release(|_, users| free(users)))
            }
            _ => {
                let used = HashSet::from([&file.reference]);
                (registry.release_except(&used), model.release(|other, _| *other != file))
            }
        };
        assert_eq!(released, expected);
        model.agree(&registry);
    }
    model.agree(&registry);
});

/// Every use that was not released, and the files that are somebody else's.
#[derive(Default)]
struct Model {
    uses: Vec<(FileHandle, CheckpointId)>,
    foreign: BTreeSet<FileHandle>,
}

impl Model {
    fn files(&self) -> BTreeSet<FileHandle> {
        self.uses.iter().map(|(file, _)| file.clone()).collect()
    }

    /// Takes out the files that are free by the names of all of their users, in order.
    fn release(
        &mut self,
        is_free: impl Fn(&FileHandle, &[CheckpointId]) -> bool,
    ) -> Vec<FileHandle> {
        let mut released = Vec::new();
        for file in self.files().difference(&self.foreign) {
            let own = self.uses.iter().filter(|(used, _)| used == file);
            let users: Vec<_> = own.map(|(_, user)| *user).collect();
            if is_free(file, &users) {
                released.push(file.clone());
            }
        }
        self.uses.retain(|(file, _)| !released.contains(file));
        released
    }

    fn agree(&self, registry: &SharedStateRegistry) {
        let files = self.files();
        assert_eq!((registry.len(), registry.is_empty()), (files.len(), files.is_empty()));
        assert!(files.iter().all(|file| registry.contains(&file.reference)));
    }
}

fn checkpoint(number: usize) -> CheckpointId {
    CheckpointId::new(number as u64 + 1).expect("not zero")
}

fn file(number: usize) -> FileHandle {
    let name = format!("shared/{number}");
    let reference = FileReference::in_job(&name).expect("a plain name");
    FileHandle { reference, length: 1, digest: Digest::of(name.as_bytes()) }
}
