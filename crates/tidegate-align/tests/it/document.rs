//! Every row of the tables in `docs/alignment.md`, played against the code.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_align::{Action, Alignment, AlignmentMode, Event, Progress};
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use crate::barrier;

const DOCUMENT: &str = include_str!("../../../../docs/alignment.md");

const TIMED: AlignmentMode = AlignmentMode::AlignedWithTimeout { timeout: Duration::ZERO };

fn number(text: &str) -> CheckpointId {
    CheckpointId::new(text.parse().unwrap()).unwrap()
}

/// What a word of the tables means, and the checkpoint that it is about, if any.
fn event(text: &str) -> (Event, Option<CheckpointId>) {
    if let Some(rest) = text.strip_prefix('t') {
        let checkpoint = number(rest);
        return (Event::TimedOut { checkpoint }, Some(checkpoint));
    }
    if let Some(rest) = text.strip_prefix('!') {
        let checkpoint = number(rest);
        return (Event::GivenUp { checkpoint }, Some(checkpoint));
    }
    let channel = usize::from(text.as_bytes()[0] - b'a');
    let rest = &text[1..];
    if rest == "." {
        return (Event::Ended { channel }, None);
    }
    if let Some(rest) = rest.strip_prefix('!') {
        let checkpoint = number(rest);
        return (Event::Cancelled { channel, checkpoint }, Some(checkpoint));
    }
    if let Some(rest) = rest.strip_prefix('>') {
        let barrier = barrier(rest.parse().unwrap());
        return (Event::Announced { channel, barrier }, Some(barrier.checkpoint));
    }
    let (digits, kind) = match rest.strip_suffix('s') {
        Some(digits) => (digits, SnapshotKind::Savepoint),
        None => (rest, SnapshotKind::Checkpoint),
    };
    let barrier = Barrier { kind, ..barrier(digits.parse().unwrap()) };
    (Event::Barrier { channel, barrier }, Some(barrier.checkpoint))
}

fn describe(action: Action) -> String {
    let name = |channel: usize| ["a", "b", "c"][channel];
    match action {
        Action::Block { channel } => format!("block {}", name(channel)),
        Action::UnblockAll => "unblock".to_owned(),
        Action::Snapshot(barrier) => format!("snapshot {}", barrier.checkpoint),
        Action::Overtake(barrier) => format!("overtake {}", barrier.checkpoint),
        Action::Capture { channel } => format!("capture {}", name(channel)),
        Action::Drain { channel } => format!("drain {}", name(channel)),
        Action::StopCapture { channel } => format!("stop {}", name(channel)),
        Action::Captured { checkpoint } => format!("captured {checkpoint}"),
        Action::StartTimer(barrier) => format!("timer {}", barrier.checkpoint),
        Action::Abort { checkpoint, cause } => format!("abort {checkpoint} {cause}"),
        Action::End => "end".to_owned(),
        other => panic!("{other:?} is not in the document"),
    }
}

fn mode_of(heading: &str) -> Option<AlignmentMode> {
    let modes = [
        ("Exactly once", AlignmentMode::ExactlyOnce),
        ("At least once", AlignmentMode::AtLeastOnce),
        ("Unaligned", AlignmentMode::Unaligned),
        ("Aligned with timeout", TIMED),
    ];
    modes.into_iter().find(|(name, _)| heading.starts_with(name)).map(|(_, mode)| mode)
}

#[test]
fn the_code_does_what_the_document_says() {
    let (mut mode, mut rows, mut transitions) = (None, 0, BTreeSet::new());
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            mode = mode_of(heading);
        }
        let (Some(mode), true) = (mode, line.starts_with("| ") && !line.contains("after")) else {
            continue;
        };
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [after, what, expected, then] = cells[..] else { panic!("not four cells: {line}") };
        let mut alignment = Alignment::new(3, mode);
        for earlier in after.split_whitespace() {
            let _ = alignment.on(event(earlier).0);
        }
        let (what, about) = event(what);
        let subject = about.or(alignment.aligning());
        let before = subject.map(|id| alignment.progress(id));
        let actions: Vec<String> = alignment.on(what).map(describe).collect();
        let actions = if actions.is_empty() { "nothing".to_owned() } else { actions.join(", ") };
        assert_eq!(actions, expected, "row: {line}");
        let now = subject.map(|id| alignment.progress(id));
        let shown = now.map_or("-".to_owned(), |progress| progress.to_string());
        assert_eq!(shown, then, "row: {line}");
        let kind = std::mem::discriminant(&what);
        transitions.insert(format!("{mode:?} {before:?} {kind:?}"));
        rows += 1;
    }
    assert!(rows > 80, "only {rows} rows were found");
    for (mode, state, event) in table() {
        let kind = std::mem::discriminant(&event);
        let found = transitions.contains(&format!("{mode:?} {:?} {kind:?}", Some(state)));
        assert!(found, "no row for {mode:?}, a checkpoint that is {state}, {event:?}");
    }
}

/// Every state that a checkpoint can be in, in each mode, with every event.
fn table() -> Vec<(AlignmentMode, Progress, Event)> {
    use AlignmentMode::{AtLeastOnce, ExactlyOnce, Unaligned};
    use Progress::{Aligning, Capturing, Counting, Over, Unknown};
    let states: [(AlignmentMode, &[Progress]); 4] = [
        (ExactlyOnce, &[Unknown, Aligning, Over]),
        (AtLeastOnce, &[Unknown, Counting, Over]),
        (Unaligned, &[Unknown, Capturing, Over]),
        (TIMED, &[Unknown, Aligning, Capturing, Over]),
    ];
    let mut all = Vec::new();
    for (mode, states) in states {
        for state in states {
            for word in ["a5", "a>5", "a!5", "t5", "!5", "a."] {
                let (event, about) = event(word);
                let announced = mode.announces() || !word.contains('>');
                let timed = mode == TIMED || !word.starts_with('t');
                // An end concerns what is pending.
                let concerns = about.is_some() || !matches!(state, Unknown | Over);
                if announced && timed && concerns {
                    all.push((mode, *state, event));
                }
            }
        }
    }
    all
}

#[test]
fn one_channel_never_blocks() {
    for mode in [AlignmentMode::ExactlyOnce, AlignmentMode::AtLeastOnce, TIMED] {
        let mut alignment = Alignment::new(1, mode);
        let actions: Vec<_> = alignment.on(event("a5").0).collect();
        assert_eq!(actions, [Action::Snapshot(barrier(5))], "{mode:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut alignment = Alignment::new(2, AlignmentMode::AtLeastOnce);
    let mut aborted = 0;
    for id in 1..=1_000 {
        let _ =
            alignment.on(Event::GivenUp { checkpoint: CheckpointId::new(10_000 + id).unwrap() });
        let actions = alignment.on(Event::Barrier { channel: 0, barrier: barrier(id) });
        aborted += actions.filter(|action| matches!(action, Action::Abort { .. })).count();
    }
    assert_eq!(aborted, 950, "all but the newest fifty");
    assert!(format!("{alignment:?}").len() < 20_000);
}
