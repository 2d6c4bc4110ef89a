//! How much of a text fits into a `tsvector`.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Kind;

/// Bytes of lexemes and positions that a `tsvector` of PostgreSQL's has at most (`MAXSTRPOS` in `tsearch/ts_type.h`), less some
/// for what a configuration may make of a unit.
const MOST_BYTES: usize = 1_000_000;
/// Units of which a position is kept (`MAXENTRYPOS`): one that comes later adds none to a lexeme that is there.
const MOST_POSITIONS: usize = 1 << 14;
/// Bytes of a position, and of the number of positions of a lexeme.
const POSITION: usize = 2;

/// The unit that a text ends with of which units were left out; it has no place in the text, and no text has it.
pub const CUT: &str = "*cut";

/// Bytes of a text whose units always fit, however few of them come twice.
pub const FITS: usize = 1 << 16;

/// Which units of a long text are given: all, until they fill a `tsvector`; from then on those that were there before, which
/// count once more. So a text of any length is stored, and found by its beginning. [`CUT`] tells it from others.
#[derive(Debug, Default)]
pub struct Room {
    units: HashSet<u64>,
    bytes: usize,
    given: usize,
    left_out: usize,
}

impl Room {
    /// Whether the next unit of the text is to be given.
    pub fn takes(&mut self, unit: &str, kind: Kind) -> bool {
        let hash = xxh3_64_with_seed(unit.as_bytes(), kind as u64);
        let position = if self.given < MOST_POSITIONS { POSITION } else { 0 };
        if self.units.contains(&hash) {
            self.bytes += position;
        } else {
            // Positions are aligned to two bytes.
            let bytes = self.bytes + unit.len().next_multiple_of(POSITION) + 2 * POSITION;
            if bytes > MOST_BYTES {
                self.left_out += 1;
                return false;
            }
            self.bytes = bytes;
            self.units.insert(hash);
        }
        self.given += 1;
        true
    }

    /// How many units were left out.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut room = Room::default();
        let unit = |n: usize| format!("unit{n:06}");
        let taken = (0..200_000).filter(|n| room.takes(&unit(*n), Kind::Word)).count();
        assert!((70_000..72_000).contains(&taken), "{taken}");
        assert_eq!(room.left_out(), 200_000 - taken);
        assert!(room.takes(&unit(0), Kind::Word) && !room.takes("another", Kind::Word));
        assert!(!room.takes(&unit(0), Kind::Code), "what another kind makes another lexeme");
    }

    #[test]
    fn the_same_again_takes_no_room() {
        let mut room = Room::default();
        assert!((0..2_000_000).all(|n| room.takes(["one", "two"][n % 2], Kind::Word)));
    }
}
