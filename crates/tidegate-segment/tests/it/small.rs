//! Every small layer of a few kinds, tried one by one.

use tidegate_segment::Tombstones;

use crate::model::{Layer, Map, merged_entries, merged_timers, open, origin};

/// What may be said of one key: nothing, or a value, or a deletion.
const CHANGES: [&[Option<&[u8]>]; 3] = [&[], &[Some(b"v")], &[None]];

/// Every layer over three keys, two of which are in one bucket or not.
fn value_layers() -> Vec<Layer> {
    let mut layers = vec![Layer::default()];
    for key in 0..3_u8 {
        layers = layers
            .into_iter()
            .flat_map(|layer| {
                CHANGES.map(|change| {
                    let mut layer = layer.clone();
                    for change in change {
                        layer.values.insert(vec![key], change.map(<[u8]>::to_vec));
                    }
                    layer
                })
            })
            .collect();
    }
    layers
}

/// Every layer over one map of two entries and two timers.
fn map_layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    for is_deleted in [false, true] {
        for first in CHANGES {
            for second in CHANGES {
                let mut map = Map { is_deleted, ..Map::default() };
                for (name, change) in [(b"a", first), (b"b", second)] {
                    for change in change {
                        map.entries.insert(name.to_vec(), change.map(<[u8]>::to_vec));
                    }
                }
                let mut layer = Layer::default();
                for (time, change) in [(1, first), (2, second)] {
                    for change in change {
                        layer.timers.insert((time, b"t".to_vec()), change.is_none());
                    }
                }
                if is_deleted || !map.entries.is_empty() {
                    layer.maps.insert(b"m".to_vec(), map);
                }
                layers.push(layer);
            }
        }
    }
    layers
}

#[test]
fn every_small_layer_is_read_back() {
    for layer in value_layers().iter().chain(&map_layers()) {
        for max in 1..=4 {
            let segment = open(&layer.write(max)).unwrap();
            layer.check(&segment);
            segment.verify(origin(max).key_groups).unwrap();
        }
    }
}

fn every_merge_of(layers: &[Layer], depth: usize) {
    let segments: Vec<_> = layers.iter().map(|layer| layer.write(2)).collect();
    let mut choice = vec![0; depth];
    loop {
        for tombstones in [Tombstones::Keep, Tombstones::Drop] {
            let mut oldest_first = choice.iter().rev().map(|index| &layers[*index]);
            let oldest = oldest_first.next().unwrap().clone();
            let kept = oldest_first.fold(oldest, |older, l| l.over(&older, Tombstones::Keep));
            let expected = kept.over(&Layer::default(), tombstones);
            let opened: Vec<_> = choice.iter().map(|i| open(&segments[*i]).unwrap()).collect();
            let values = merged_entries(&opened, "values", tombstones);
            assert_eq!(values, expected.value_entries(), "{choice:?} {tombstones:?}");
            let maps = merged_entries(&opened, "maps", tombstones);
            assert_eq!(maps, expected.map_entries(), "{choice:?} {tombstones:?}");
            let timers = merged_timers(&opened, tombstones);
            assert_eq!(timers, expected.timer_entries(origin(2).max_parallelism));
        }
        // The next choice, as one counts.
        let Some(digit) = choice.iter().position(|index| index + 1 < layers.len()) else {
            break;
        };
        choice[..digit].fill(0);
        choice[digit] += 1;
    }
}

#[test]
fn every_merge_of_three_small_maps_is_right() {
    every_merge_of(&map_layers(), 3);
}

#[test]
fn every_merge_of_two_small_layers_is_right() {
    every_merge_of(&value_layers(), 2);
}
