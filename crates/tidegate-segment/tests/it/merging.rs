//! Merges and compactions, judged by the model.

use std::ops::ControlFlow;

use proptest::prelude::*;
use tidegate_segment::{
    Change, KeyedEntry, Likeness, MergedEntries, Segment, SegmentError, SegmentWriter, Tombstones,
    compact,
};
use tidegate_types::StateKind;

use crate::model::{Layer, keyed, merged_entries, merged_timers, open, origin, state};
use crate::random::layer;

fn segments(layers: &[Layer], max: u16) -> Vec<Segment> {
    layers.iter().map(|layer| open(&layer.write(max)).unwrap()).collect()
}

fn model(newest_first: &[Layer], tombstones: Tombstones) -> Layer {
    let mut layers = newest_first.iter().rev();
    let oldest = layers.next().cloned().unwrap_or_default();
    let kept = layers.fold(oldest, |older, layer| layer.over(&older, Tombstones::Keep));
    kept.over(&Layer::default(), tombstones)
}

fn compacted(segments: &[Segment], max: u16, tombstones: Tombstones) -> Segment {
    let inputs: Vec<&Segment> = segments.iter().collect();
    let mut writer = SegmentWriter::new(Vec::new(), origin(max)).unwrap();
    let range = origin(max).key_groups;
    let mut go_on = |_| ControlFlow::Continue(());
    compact(&inputs, range, tombstones, &mut writer, &mut go_on).unwrap();
    open(&writer.finish().unwrap().0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_wins(
        newest_first in prop::collection::vec(layer(), 1..5),
        max in prop_oneof![Just(1_u16), Just(4)],
        drops: bool,
    ) {
        let tombstones = if drops { Tombstones::Drop } else { Tombstones::Keep };
        let expected = model(&newest_first, tombstones);
        let segments = segments(&newest_first, max);
        prop_assert_eq!(merged_entries(&segments, "values", tombstones), expected.value_entries());
        prop_assert_eq!(merged_entries(&segments, "maps", tombstones), expected.map_entries());
        let max_parallelism = origin(max).max_parallelism;
        prop_assert_eq!(
            merged_timers(&segments, tombstones),
            expected.timer_entries(max_parallelism)
        );
        let compacted = compacted(&segments, max, tombstones);
        expected.check(&compacted);
        compacted.verify(origin(max).key_groups).unwrap();
    }

    // Compacting some neighbours first never changes what one sees.
    #[test]
    fn compaction_may_stop_anywhere(
        newest_first in prop::collection::vec(layer(), 3..6),
        cut in 0_usize..4,
    ) {
        let segments = segments(&newest_first, 2);
        let cut = cut.min(segments.len() - 2);
        let two = compacted(&segments[cut..cut + 2], 2, Tombstones::Keep);
        let mut fewer: Vec<Segment> = segments[..cut].iter().map(copy).collect();
        fewer.push(two);
        fewer.extend(segments[cut + 2..].iter().map(copy));
        for name in ["values", "maps"] {
            prop_assert_eq!(
                merged_entries(&segments, name, Tombstones::Drop),
                merged_entries(&fewer, name, Tombstones::Drop)
            );
        }
    }
}

fn copy(segment: &Segment) -> Segment {
    compacted(&[compacted_alone(segment)], segment.origin().max_parallelism.get(), Tombstones::Keep)
}

fn compacted_alone(segment: &Segment) -> Segment {
    let range = segment.origin().key_groups;
    let mut writer = SegmentWriter::new(Vec::new(), *segment.origin()).unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    compact(&[segment], range, Tombstones::Keep, &mut writer, &mut go_on).unwrap();
    open(&writer.finish().unwrap().0).unwrap()
}

type Stream<'a> = Box<dyn Iterator<Item = Result<KeyedEntry<'a>, SegmentError>> + 'a>;

#[test]
fn an_overlay_merges_with_segments() {
    let put = |map_key, value| Change::PutEntry { map_key, value };
    let mut below = Layer::default();
    let map = below.maps.entry(b"key".to_vec()).or_default();
    map.entries.insert(b"a".to_vec(), Some(b"old".to_vec()));
    map.entries.insert(b"b".to_vec(), Some(b"old".to_vec()));
    let segment = open(&below.write(1)).unwrap();
    let (maps, key) = (segment.state("maps").unwrap(), keyed(b"key", Change::Delete));
    let overlay: Vec<KeyedEntry<'_>> =
        vec![keyed(b"key", put(b"b", b"new")), keyed(b"key", put(b"c", b"new"))];
    let entries = segment.entries_of_key(maps, key.hash, key.key).unwrap();
    let streams: [Stream<'_>; 2] = [Box::new(overlay.into_iter().map(Ok)), Box::new(entries)];
    let merged: Vec<_> =
        MergedEntries::new(streams, Tombstones::Drop).map(|entry| entry.unwrap().change).collect();
    assert_eq!(merged, [put(b"a", b"old"), put(b"b", b"new"), put(b"c", b"new")]);
}

#[test]
fn a_compaction_can_be_cancelled_at_any_question() {
    let mut layer = Layer::default();
    for number in 0..5000_u32 {
        layer.values.insert(number.to_le_bytes().to_vec(), Some(vec![1]));
    }
    let segment = open(&layer.write(4)).unwrap();
    let mut questions = 0;
    let ask = |limit: Option<u32>| {
        let mut asked = 0;
        let mut writer = SegmentWriter::new(Vec::new(), origin(4)).unwrap();
        let mut last = 0;
        let mut go_on = |progress: tidegate_segment::Progress| {
            assert!(progress.written >= last && progress.length >= 64);
            last = progress.written;
            asked += 1;
            if limit == Some(asked) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let range = origin(4).key_groups;
        let done = compact(&[&segment], range, Tombstones::Drop, &mut writer, &mut go_on);
        (done, asked)
    };
    let (done, asked) = ask(None);
    assert_eq!(done.unwrap().written, 5000);
    questions += asked;
    assert!(questions >= 12 + 4, "for each key group of each state and every 1,024 entries");
    for limit in 1..=questions {
        assert!(matches!(ask(Some(limit)).0, Err(SegmentError::Cancelled)), "question {limit}");
    }
}

#[test]
fn what_does_not_belong_together_is_not_merged() {
    let write = |max, schema_version, kind| {
        let mut writer = SegmentWriter::new(Vec::new(), origin(max)).unwrap();
        let state = state("counts", kind);
        writer.begin_state(&tidegate_types::RegisteredState { schema_version, ..state }).unwrap();
        open(&writer.finish().unwrap().0).unwrap()
    };
    let base = write(4, 1, StateKind::Value);
    for other in
        [write(8, 1, StateKind::Value), write(4, 2, StateKind::Value), write(4, 1, StateKind::Map)]
    {
        let mut writer = SegmentWriter::new(Vec::new(), origin(4)).unwrap();
        let range = origin(4).key_groups;
        let mut go_on = |_| ControlFlow::Continue(());
        let error = compact(&[&base, &other], range, Tombstones::Keep, &mut writer, &mut go_on);
        let error = error.unwrap_err();
        assert!(
            matches!(&error, SegmentError::Unlike { expected, found, .. } if expected != found)
        );
        if let SegmentError::Unlike { found: Likeness::Schema { state, .. }, .. } = &error {
            assert_eq!(&**state, "counts");
        }
        assert!(error.to_string().contains("the test's segment"), "{error}");
    }
}
