//! Every row of the tables in `docs/alignment.md`, played against the code.

use tidegate_align::{Action, Alignment, AlignmentMode, Event};
use tidegate_types::CheckpointId;

use crate::barrier;

const DOCUMENT: &str = include_str!("../../../../docs/alignment.md");

fn event(text: &str) -> Event {
    let channel = usize::from(text.as_bytes()[0] - b'a');
    match &text[1..] {
        "." => Event::Ended { channel },
        rest => match rest.strip_prefix('!') {
            Some(number) => {
                let checkpoint = CheckpointId::new(number.parse().unwrap()).unwrap();
                Event::Cancelled { channel, checkpoint }
            }
            None => Event::Barrier { channel, barrier: barrier(rest.parse().unwrap()) },
        },
    }
}

fn describe(action: Action) -> String {
    match action {
        Action::Block { channel } => format!("block {}", ["a", "b", "c"][channel]),
        Action::UnblockAll => "unblock".to_owned(),
        Action::Snapshot(barrier) => format!("snapshot {}", barrier.checkpoint),
        Action::Abort { checkpoint, cause } => format!("abort {checkpoint} {cause}"),
        Action::End => "end".to_owned(),
        other => panic!("{other:?} is not in the document"),
    }
}

#[test]
fn the_code_does_what_the_document_says() {
    let mut rows = 0;
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| ") && !line.contains("after")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [after, what, expected] = cells[..] else { panic!("not three cells: {line}") };
        let mut alignment = Alignment::new(3, AlignmentMode::ExactlyOnce);
        for earlier in after.split_whitespace() {
            alignment.on(event(earlier));
        }
        let actions: Vec<String> = alignment.on(event(what)).map(describe).collect();
        let actions = if actions.is_empty() { "nothing".to_owned() } else { actions.join(", ") };
        assert_eq!(actions, expected, "row: {line}");
        rows += 1;
    }
    assert!(rows > 30, "only {rows} rows were found");
}

#[test]
fn one_channel_never_blocks() {
    let mut alignment = Alignment::new(1, AlignmentMode::ExactlyOnce);
    let actions: Vec<_> = alignment.on(event("a5")).collect();
    assert_eq!(actions, [Action::Snapshot(barrier(5))]);
}
