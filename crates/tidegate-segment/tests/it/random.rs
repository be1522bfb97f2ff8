//! Random segments, read back.

use proptest::prelude::*;
use tidegate_segment::{Lookup, Segment};
use tidegate_types::{KeyGroup, KeyHash};

use crate::model::{Bytes, Layer, Map, open, origin};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

fn value() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        6 => bytes().prop_map(Some),
        // Beyond a chunk.
        1 => (0_usize..40_000, any::<u8>()).prop_map(|(n, byte)| Some(vec![byte; n])),
        2 => Just(None),
    ]
}

fn map() -> impl Strategy<Value = Map> {
    let few = prop::collection::btree_map(bytes(), value(), 0..5);
    let many = prop::collection::btree_map(
        bytes(),
        prop_oneof![4 => bytes().prop_map(Some), 1 => Just(None)],
        10..60,
    );
    let entries = prop_oneof![4 => few, 1 => many];
    (any::<bool>(), entries)
        .prop_map(|(is_deleted, entries)| Map { is_deleted, entries })
        .prop_filter("says something", |map| map.is_deleted || !map.entries.is_empty())
}

pub(crate) fn layer() -> impl Strategy<Value = Layer> {
    let time = prop_oneof![0..20_i64, any::<i64>()];
    (
        prop::collection::btree_map(bytes(), value(), 0..80),
        prop::collection::btree_map(bytes(), map(), 0..12),
        prop::collection::btree_map((time, bytes()), any::<bool>(), 0..120),
    )
        .prop_map(|(values, maps, timers)| Layer { values, maps, timers })
}

fn max() -> impl Strategy<Value = u16> {
    prop_oneof![Just(1), Just(2), Just(128), 1..=300_u16]
}

fn whole(segment: &Segment) -> tidegate_types::KeyGroupRange {
    segment.origin().key_groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_says_what_was_written_and_nothing_else(
        layer in layer(),
        max in max(),
        strangers in prop::collection::vec(bytes(), 0..40),
    ) {
        let segment = open(&layer.write(max)).unwrap();
        prop_assert_eq!(segment.origin(), &origin(max));
        layer.check(&segment);
        segment.verify(whole(&segment)).unwrap();
        let number = |name| segment.state(name).unwrap();
        for key in strangers {
            let hash = KeyHash::of_bytes(&key);
            if !layer.values.contains_key(&key) {
                let found = segment.get(number("values"), hash, &key).unwrap();
                prop_assert_eq!(found, Lookup::Absent);
            }
            if !layer.maps.contains_key(&key) {
                let found = segment.get_entry(number("maps"), hash, &key, b"").unwrap();
                prop_assert_eq!(found, Lookup::Absent);
                let mut entries = segment.entries_of_key(number("maps"), hash, &key).unwrap();
                prop_assert!(entries.next().is_none());
            }
            if !layer.timers.contains_key(&(7, key.clone())) {
                let found = segment.timer(number("timers"), 7, hash, &key).unwrap();
                prop_assert_eq!(found, Lookup::Absent);
            }
        }
    }

    #[test]
    fn timers_begin_where_they_are_asked_to(layer in layer(), from in -1..22_i64) {
        let segment = open(&layer.write(2)).unwrap();
        let max = segment.origin().max_parallelism;
        for group in [0, 1].map(KeyGroup::new) {
            let all = layer.timer_entries(max);
            let expected: Vec<_> = all
                .into_iter()
                .filter(|timer| timer.key_group(max) == group && timer.time_ms >= from)
                .collect();
            let timers = segment.timers(segment.state("timers").unwrap(), group, from);
            prop_assert_eq!(timers.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
    }
}
