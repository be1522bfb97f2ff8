//! Whose a restored checkpoint is, and how savepoints are deleted.

use std::fs;
use std::path::Path;

use crate::input::{Random, write_input};
use crate::place::Place;

const WORDS: &str = "wordcount --input input --output output --rate 1000";

fn is_checkpoint(directory: &Path) -> bool {
    directory.join("_metadata").exists()
}

#[test]
fn a_claimed_savepoint_goes_when_it_is_subsumed_and_no_other_does() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(10));
    let mut job = place.start("-p 2", WORDS);
    job.await_checkpoints(2);
    let savepoint = job.stop(false);

    let mut job = place.start(&format!("-s {}", savepoint.display()), WORDS);
    job.await_checkpoints(4);
    assert!(is_checkpoint(&savepoint), "NO_CLAIM is the default");
    let second = job.savepoint();
    job.kill();

    let options = format!("--claim-mode CLAIM -s {}", second.display());
    let mut job = place.start(&options, WORDS);
    job.await_checkpoints(4);
    assert!(!second.exists(), "it was claimed and subsumed");
    assert!(is_checkpoint(&savepoint));
    job.kill();
}

#[test]
fn a_claimed_checkpoint_goes_when_it_is_subsumed() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(11));
    let mut job = place.start("-p 2", WORDS);
    job.await_checkpoints(2);
    job.kill();
    let newest = |place: &Place| {
        let job = fs::read_dir(place.job_directory()).unwrap().map(|entry| entry.unwrap().path());
        let complete = job.filter(|path| is_checkpoint(path));
        let number = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.strip_prefix("chk-").unwrap().parse::<u64>().unwrap()
        };
        complete.max_by_key(number).unwrap()
    };
    let first = newest(&place);
    let mut job = place.start(&format!("-s {}", first.display()), WORDS);
    job.await_checkpoints(4);
    job.kill();
    assert!(is_checkpoint(&first), "it stays its owner's, wherever it lies");

    // In the job's own directory.
    let second = newest(&place);
    let mut job = place.start(&format!("--claim-mode claim -s {}", second.display()), WORDS);
    job.await_checkpoints(4);
    job.kill();
    assert!(!second.exists(), "it was claimed and subsumed");

    // And in somebody else's, whose shared files are referred to from here on.
    let third = newest(&place);
    fs::rename(place.job_directory(), place.at("away")).unwrap();
    let moved = |checkpoint: &Path| place.at("away").join(checkpoint.file_name().unwrap());
    let options = format!("--claim-mode CLAIM -s {}", moved(&third).display());
    let mut job = place.start(&options, WORDS);
    job.await_checkpoints(4);
    job.kill();
    assert!(!moved(&third).exists(), "it was claimed and subsumed");
    for sound in [newest(&place), moved(&first)] {
        let (code, out, error) = place.tidegate(&["inspect", sound.to_str().unwrap()]);
        assert_eq!(code, 0, "{out}{error}");
    }
}

#[test]
fn dispose_deletes_savepoints_and_nothing_else() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(12));
    let mut job = place.start("-p 2", WORDS);
    job.await_checkpoints(2);
    let (first, second) = (job.savepoint(), job.savepoint());
    job.kill();
    let dispose = |path: &Path| place.tidegate(&["savepoint", "--dispose", path.to_str().unwrap()]);

    let checkpoints = place.job_directory();
    for (path, code, told) in [
        (checkpoints.clone(), 1, "is a checkpoint of job wordcount and no savepoint"),
        (place.at("savepoints"), 3, "is no checkpoint"),
        (place.at("absent"), 3, "nothing was deleted"),
    ] {
        let (found, out, error) = dispose(&path);
        assert_eq!((found, out.as_str()), (code, ""), "{error}");
        assert!(error.contains(told), "{error}");
    }
    assert!(is_checkpoint(&first) && is_checkpoint(&second));

    let (code, out, error) = dispose(&first.join("_metadata"));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.starts_with(&format!("deleted file://{}: ", first.display())), "{out}");
    assert!(!first.exists());
    let (code, _, _) = dispose(&first);
    assert_eq!(code, 3, "it is gone");

    fs::write(second.join("notes.txt"), "mine").unwrap();
    let (code, _, error) = dispose(&second);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("being no part of the savepoint: notes.txt"), "{error}");
    assert_eq!(fs::read_to_string(second.join("notes.txt")).unwrap(), "mine");
    assert!(!is_checkpoint(&second));
}
