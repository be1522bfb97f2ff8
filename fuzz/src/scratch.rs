//! A file for what a target can only be given as one.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A file in a directory of its own below `fuzz/target`, one for each process.
///
/// It stays open and is overwritten: to truncate it to nothing at each input would make the file
/// system write it out each time, which takes a hundred times as long as reading it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    /// An empty file of this name.
    ///
    /// # Panics
    ///
    /// When it cannot be created.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let process = std::process::id().to_string();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/scratch").join(process);
        fs::create_dir_all(&directory).expect("the checkout can be written to");
        let path = directory.join(name);
        let file = File::create(&path).expect("the checkout can be written to");
        Self { path, file }
    }

    /// The directory, in which there is nothing else.
    ///
    /// # Panics
    ///
    /// Never: the file is in one.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.path.parent().expect("a file in a directory")
    }

    /// The file, with this content.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn with(&self, content: &[u8]) -> &Path {
        self.file.write_all_at(content, 0).expect("the file can be written to");
        self.file.set_len(content.len() as u64).expect("the file can be written to");
        &self.path
    }
}
