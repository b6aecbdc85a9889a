//! Where a module's data lies in its memory.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The addresses that a module's active data segments fill, as far as they are known before it runs:
/// in order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Constants(Vec<Range<u64>>);

impl FromIterator<Range<u64>> for Constants {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(segments: I) -> Self {
        let mut segments: Vec<_> = segments.into_iter().filter(|range| !range.is_empty()).collect();
        segments.sort_unstable_by_key(|range| range.start);
        segments.dedup_by(|next, range| {
            let touches = next.start <= range.end;
            if touches {
                range.end = range.end.max(next.end);
            }
            touches
        });
        Self(segments)
    }
}

impl Constants {
    pub(crate) fn contain(&self, address: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= address);
        self.0[..after].last().is_some_and(|range| range.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_in_there_if_a_segment_has_it(
            segments in prop::collection::vec((0_u64..60, 0_u64..9), 0..12)
        ) {
            let segments: Vec<_> = segments.into_iter().map(|(at, len)| at..at + len).collect();
            let constants: Constants = segments.iter().cloned().collect();
            for address in 0..80 {
                let expected = segments.iter().any(|range| range.contains(&address));
                prop_assert_eq!(constants.contain(address), expected);
            }
            prop_assert!(constants.0.array_windows().all(|[one, next]| one.end < next.start));
        }
    }
}
