//! Three channels, two checkpoints, every script and every order in which messages can be read.

use std::collections::HashSet;

use tidegate_align::{Action, Alignment, AlignmentMode, Event, Message};
use tidegate_types::CheckpointId;

use crate::barrier;

type Script = &'static [Message<()>];

/// What a sender may do with checkpoints 1 and 2: deliver, cancel or leave out each, and end.
fn scripts() -> Vec<Vec<Message<()>>> {
    let cancelled = |number| Message::Cancelled(CheckpointId::new(number).unwrap());
    let data = Message::Data(());
    let mut scripts = Vec::new();
    for first in [None, Some(Message::Barrier(barrier(1))), Some(cancelled(1))] {
        for second in [None, Some(Message::Barrier(barrier(2))), Some(cancelled(2))] {
            let mut script = vec![data];
            script.extend(first);
            script.push(data);
            script.extend(second);
            script.extend([data, Message::End]);
            scripts.push(script);
        }
    }
    scripts
}

/// Where a run stands. What was read follows from the positions.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Run {
    positions: [usize; 3],
    blocked: [bool; 3],
    snapshots: [u8; 2],
    aborts: [u8; 2],
    ended: bool,
    alignment: Alignment,
}

/// Where the checkpoint with this number is counted.
fn index_of(number: u64) -> usize {
    usize::try_from(number).unwrap() - 1
}

struct Explorer {
    scripts: [Script; 3],
    seen: HashSet<Run>,
    finished: usize,
}

impl Explorer {
    fn explore(&mut self, run: &Run) {
        if !self.seen.insert(run.clone()) {
            return;
        }
        let readable = |channel: &usize| {
            run.positions[*channel] < self.scripts[*channel].len() && !run.blocked[*channel]
        };
        let choices: Vec<usize> = (0..3).filter(readable).collect();
        if choices.is_empty() {
            self.check_end(run);
            self.finished += 1;
        }
        for channel in choices {
            let next = self.step(run.clone(), channel);
            self.explore(&next);
        }
    }

    fn step(&self, mut run: Run, channel: usize) -> Run {
        let message = self.scripts[channel][run.positions[channel]];
        run.positions[channel] += 1;
        let event = match message {
            Message::Data(()) => return run,
            Message::Barrier(barrier) => Event::Barrier { channel, barrier },
            Message::Cancelled(checkpoint) => Event::Cancelled { channel, checkpoint },
            Message::End => Event::Ended { channel },
        };
        for action in run.alignment.on(event) {
            match action {
                Action::Block { channel } => run.blocked[channel] = true,
                Action::UnblockAll => run.blocked = [false; 3],
                Action::Snapshot(barrier) => {
                    let number = barrier.checkpoint.get();
                    self.check_cut(&run, number);
                    run.snapshots[index_of(number)] += 1;
                }
                Action::Abort { checkpoint, .. } => {
                    run.aborts[index_of(checkpoint.get())] += 1;
                }
                Action::End => run.ended = true,
                other => panic!("{other:?}"),
            }
        }
        run
    }

    /// A consistent cut: every channel stands right behind its barrier, or has ended without one.
    fn check_cut(&self, run: &Run, number: u64) {
        for channel in 0..3 {
            let script = self.scripts[channel];
            let position = script.iter().position(|m| *m == Message::Barrier(barrier(number)));
            let expected = position.map_or(script.len(), |position| position + 1);
            assert_eq!(run.positions[channel], expected, "channel {channel}: {:?}", self.scripts);
        }
    }

    fn check_end(&self, run: &Run) {
        let lengths = self.scripts.map(<[_]>::len);
        assert_eq!(run.positions, lengths, "stuck: {:?}", self.scripts);
        assert!(run.ended && run.blocked == [false; 3]);
        for number in 1..=2 {
            let index = index_of(number);
            let expected = u8::from(self.can_complete(number));
            assert_eq!(run.snapshots[index], expected, "checkpoint {number}: {:?}", self.scripts);
            assert!(run.snapshots[index] + run.aborts[index] <= 1, "settled twice");
        }
    }

    /// By definition: somebody has the barrier, and whoever lacks it says nothing of it or of a
    /// newer checkpoint before it ends.
    fn can_complete(&self, number: u64) -> bool {
        let has = |script: &Script| script.contains(&Message::Barrier(barrier(number)));
        let silent = |script: &Script| {
            script.iter().all(|message| match message {
                Message::Barrier(barrier) => barrier.checkpoint.get() < number,
                Message::Cancelled(checkpoint) => checkpoint.get() < number,
                _ => true,
            })
        };
        self.scripts.iter().any(has) && self.scripts.iter().all(|s| has(s) || silent(s))
    }
}

#[test]
fn every_interleaving_of_every_script_keeps_the_cut() {
    let scripts: Vec<Script> = scripts().into_iter().map(|script| &*script.leak()).collect();
    let (mut runs, mut states) = (0, 0);
    for a in &scripts {
        for b in &scripts {
            for c in &scripts {
                let mut explorer =
                    Explorer { scripts: [a, b, c], seen: HashSet::new(), finished: 0 };
                explorer.explore(&Run {
                    positions: [0; 3],
                    blocked: [false; 3],
                    snapshots: [0; 2],
                    aborts: [0; 2],
                    ended: false,
                    alignment: Alignment::new(3, AlignmentMode::ExactlyOnce),
                });
                assert!(explorer.finished > 0);
                runs += 1;
                states += explorer.seen.len();
            }
        }
    }
    assert_eq!(runs, 729);
    assert!(states > 50_000, "only {states} states were visited");
}
