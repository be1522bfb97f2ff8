//! Events in any order, and what must hold of the actions whatever the events are.

mod outcomes;

use tidegate_align::{Alignment, AlignmentMode, Event};
use tidegate_fuzz::Choices;
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use outcomes::Outcomes;

/// Checkpoints that are given up or cancelled: of 64 the alignment remembers that they are over.
const REMEMBERED: usize = 60;

/// Any events of so many channels.
pub(crate) fn anything(channels: usize, mode: AlignmentMode, choices: &mut Choices<'_>) {
    let mut alignment = Alignment::new(channels, mode);
    let mut outcomes = Outcomes::new(channels, mode);
    let (mut base, mut remembered) = (1, 0);
    while !choices.are_over() {
        let channel = choices.below(channels);
        let checkpoint = base + choices.below(8) as u64;
        let event = match choices.below(16) {
            0..8 => Event::Barrier { channel, barrier: barrier(checkpoint) },
            8..11 => Event::Announced { channel, barrier: barrier(checkpoint) },
            11 => Event::TimedOut { checkpoint: id(checkpoint) },
            12 => Event::Ended { channel },
            13 => {
                // Far more under way than can be.
                for number in checkpoint..checkpoint + 60 {
                    let event = Event::Barrier { channel, barrier: barrier(number) };
                    outcomes.hear(event, &mut alignment);
                }
                base = checkpoint + choices.below(60) as u64;
                continue;
            }
            _ if remembered == REMEMBERED => continue,
            choice => {
                remembered += 1;
                let checkpoint = id(checkpoint);
                if choice == 14 {
                    Event::Cancelled { channel, checkpoint }
                } else {
                    Event::GivenUp { checkpoint }
                }
            }
        };
        outcomes.hear(event, &mut alignment);
        base += u64::from(choices.below(8) == 7);
    }
}

fn id(number: u64) -> CheckpointId {
    CheckpointId::new(number).expect("numbered from 1")
}

/// Every fifth is a savepoint.
fn barrier(number: u64) -> Barrier {
    let kinds = [SnapshotKind::Checkpoint, SnapshotKind::Savepoint];
    let kind = kinds[usize::from(number.is_multiple_of(5))];
    Barrier { checkpoint: id(number), kind, triggered_at_ms: 0 }
}
