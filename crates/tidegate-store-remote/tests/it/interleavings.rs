//! Owners of one directory, interleaved at every request, in every order.
//!
//! An owner that stops for good between two requests needs no case of its own: the law is checked
//! with every file that appears, whatever the others do later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tidegate_store::{OwnerInfo, PublishOutcome, StorageError, StoragePath};
use tidegate_store_remote::ownership::model::{Mark, OwnerLog, Taking, Tenure};

use crate::world::{Fault, Process, SharedWorld, World};

type Actor = Pin<Box<dyn Future<Output = ()>>>;
type Results = Arc<Mutex<Vec<(String, Result<PublishOutcome, StorageError>)>>>;

struct Owner {
    process: Arc<Process>,
    log: OwnerLog<Process>,
    world: SharedWorld,
    name: u8,
}

impl Owner {
    fn new(world: &SharedWorld, name: u8, fault: Option<(usize, Fault)>) -> Self {
        let process = Arc::new(Process::new(world, fault));
        let log = OwnerLog::new(Arc::clone(&process), "model");
        Self { process, log, world: Arc::clone(world), name }
    }

    /// `None` when others were quicker each time, or a request failed.
    async fn take(&self) -> Option<Tenure> {
        let owner = OwnerInfo::current("model", u64::from(self.name));
        let mark = Mark { token: u128::from(self.name), process: None, owner };
        let mut standing = self.log.standing().await.ok()?;
        for _ in 0..3 {
            match self.log.take(&mark, &standing, 1).await.ok()? {
                Taking::Taken(tenure) => {
                    self.world.lock().take_returned(tenure.began(), self.name);
                    return Some(tenure);
                }
                Taking::Moved(now) => standing = now,
            }
        }
        None
    }

    async fn publish(&self, tenure: &mut Tenure, at: &str) -> Result<PublishOutcome, StorageError> {
        let path = StoragePath::new(at).expect("a path");
        self.log.publish(tenure, &path, &[self.name]).await
    }
}

// Polls to the end, as if nobody else were there.
fn alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(value) = step(future.as_mut()) {
            return value;
        }
    }
}

fn step<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs what `make` makes in every order with at most `switches` changes of the actor before its
/// end; returns in how many.
fn in_every_order(switches: usize, make: impl Fn() -> (Vec<Actor>, Box<dyn Fn()>)) -> usize {
    let mut chosen: Vec<(Vec<usize>, usize)> = Vec::new();
    for count in 1.. {
        let (mut actors, check) = make();
        let mut live: Vec<usize> = (0..actors.len()).collect();
        let (mut last, mut used, mut depth) = (0, 0, 0);
        while !live.is_empty() {
            if depth == chosen.len() {
                let mut options = live.clone();
                if let Some(at) = options.iter().position(|actor| *actor == last) {
                    options.swap(0, at);
                    if used == switches {
                        options.truncate(1);
                    }
                }
                chosen.push((options, 0));
            }
            let (options, choice) = &chosen[depth];
            let actor = options[*choice];
            if actor != last && live.contains(&last) {
                used += 1;
            }
            (last, depth) = (actor, depth + 1);
            if step(actors[actor].as_mut()).is_ready() {
                live.retain(|other| *other != actor);
            }
        }
        check();
        while chosen.pop_if(|(options, choice)| *choice + 1 == options.len()).is_some() {}
        match chosen.last_mut() {
            Some((_, choice)) => *choice += 1,
            None => return count,
        }
    }
    unreachable!("the orders are finite")
}

/// A has the directory and publishes twice; others take it over and delete what they find.
fn scenario(
    takers: u8,
    of_a: Option<(usize, Fault)>,
    of_b: Option<(usize, Fault)>,
) -> (Vec<Actor>, Box<dyn Fn()>) {
    let world: SharedWorld = Arc::new(Mutex::new(World::default()));
    let results = Results::default();
    let first = Owner::new(&world, b'A', None);
    let mut tenure = alone(first.take()).expect("it is free");
    let of_first = Arc::clone(&results);
    let faulty = Owner::new(&world, b'A', of_a);
    let mut actors: Vec<Actor> = vec![Box::pin(async move {
        for (count, path) in ["1/_metadata", "2/_metadata"].into_iter().enumerate() {
            let result = faulty.publish(&mut tenure, path).await;
            of_first.lock().push((path.to_owned(), result));
            let _ = faulty.log.show_life(&tenure, count as u64 + 1).await;
        }
    })];
    for name in b'B'..b'B' + takers {
        let other = Owner::new(&world, name, of_b.filter(|_| name == b'B'));
        let of_other = Arc::clone(&results);
        actors.push(Box::pin(async move {
            let Some(mut tenure) = other.take().await else { return };
            for path in ["1/_metadata", "2/_metadata"] {
                other.process.delete_file(path).await;
            }
            let path = format!("{}/_metadata", char::from(name));
            let result = other.publish(&mut tenure, &path).await;
            of_other.lock().push((path, result));
        }));
    }
    if of_a.is_some_and(|(_, fault)| fault == Fault::ArrivesLate) {
        let network = Arc::clone(&world);
        actors.push(Box::pin(async move {
            // Any time: before A's second publication, or after everything else.
            let mut first = true;
            std::future::poll_fn(|_| {
                if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            network.lock().land();
        }));
    }
    let check = move || {
        let world = world.lock();
        for (path, result) in results.lock().iter() {
            let appeared = world.appeared.iter().any(|(_, other)| other == path);
            match result {
                Ok(PublishOutcome::Published) => assert!(appeared, "{path} did not appear"),
                Err(StorageError::OwnershipLost { .. }) => {
                    assert!(!appeared || of_a.is_some(), "{path} appeared all the same");
                }
                Ok(PublishOutcome::AlreadyExists) | Err(_) => {}
            }
        }
        // Who took the directory last, and did not fail, has it.
        if let (Some(last), None) = (world.last_take().filter(|last| *last != b'A'), of_b) {
            let path = format!("{}/_metadata", char::from(last));
            assert!(world.file(&path).is_some(), "the last owner could not publish");
        }
    };
    (actors, Box::new(check))
}

#[test]
fn a_superseded_owner_publishes_nothing_in_any_order() {
    let orders = in_every_order(5, || scenario(1, None, None));
    assert!(orders > 10_000, "{orders}");
}

#[test]
fn of_two_who_take_over_one_has_it_in_any_order() {
    let orders = in_every_order(3, || scenario(2, None, None));
    assert!(orders > 10_000, "{orders}");
}

#[test]
fn lost_answers_and_late_requests_change_nothing() {
    let faults = [Fault::Fails, Fault::HappensAndFails, Fault::AnswerLost, Fault::ArrivesLate];
    for fault in faults {
        for at in 0..12 {
            in_every_order(2, || scenario(1, Some((at, fault)), None));
        }
        for at in 0..14 {
            in_every_order(2, || scenario(2, None, Some((at, fault))));
        }
    }
}
