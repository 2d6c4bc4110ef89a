//! The bytes of a `tsvector`, as PostgreSQL's `tsearch/ts_type.h` lays them out behind the varlena header:
//!
//! ```text
//! int32      number of entries
//! uint32     entry: 1 bit has positions, 11 bits length of the lexeme, 20 bits its place behind the entries; sorted
//! …          lexemes; behind one with positions, at an even place: uint16 their number, then a uint16 for each
//! ```
//!
//! All numbers have the byte order of the machine, and the bit fields of an entry the order that its compilers give them.

const ENTRY_BYTES: usize = size_of::<u32>();
/// `MAXSTRPOS`.
const MAX_PLACE: u32 = (1 << 20) - 1;

/// A `tsvector` that is read in place.
///
/// Entries that point outside of the value, which PostgreSQL never writes, count as absent.
#[derive(Debug, Clone, Copy)]
pub struct TsVector<'a> {
    entries: &'a [u8],
    lexemes: &'a [u8],
}

#[derive(Clone, Copy)]
struct Entry {
    has_positions: bool,
    length: usize,
    place: usize,
}

impl<'a> TsVector<'a> {
    /// Takes the bytes behind the varlena header; `None` when they are too few for the entries that they announce.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_at_checked(size_of::<i32>())?;
        let count = usize::try_from(i32::from_ne_bytes(count.try_into().ok()?)).ok()?;
        let (entries, lexemes) = rest.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
        Some(Self { entries, lexemes })
    }

    /// How often the document has a lexeme: the number of its positions, of which PostgreSQL keeps 255 at most; 1 when
    /// they were stripped, 0 when it is not there.
    #[must_use]
    pub fn frequency(&self, lexeme: &[u8]) -> u32 {
        let (mut low, mut high) = (0, self.entries.len() / ENTRY_BYTES);
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.entry(middle);
            // Bytes first, then the shorter one: tsCompareString in tsvector_op.c orders as slices do.
            match self.lexeme(entry).cmp(lexeme) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.positions(entry),
            }
        }
        0
    }

    /// How many words the document has: the sum of the frequencies of its lexemes.
    #[must_use]
    pub fn length(&self) -> u64 {
        (0..self.entries.len() / ENTRY_BYTES).map(|n| u64::from(self.positions(self.entry(n)))).sum()
    }

    /// Its lexemes in the order of their bytes, each with its frequency.
    pub fn lexemes(&self) -> impl Iterator<Item = (&'a [u8], u32)> {
        (0..self.entries.len() / ENTRY_BYTES)
            .map(|n| self.entry(n))
            .map(|entry| (self.lexeme(entry), self.positions(entry)))
    }

    /// Its lexemes in the order in which they come first, those without positions before all others, and lexemes of one
    /// place by their bytes; each with its frequency.
    #[must_use]
    pub fn words(&self) -> Vec<(&'a [u8], u32)> {
        let entries = (0..self.entries.len() / ENTRY_BYTES).map(|n| self.entry(n));
        let mut words: Vec<_> =
            entries.map(|entry| (self.first_position(entry), self.lexeme(entry), self.positions(entry))).collect();
        words.sort_by_key(|(place, lexeme, _)| (*place, *lexeme));
        words.into_iter().map(|(_, lexeme, frequency)| (lexeme, frequency)).collect()
    }

    /// The place of the first occurrence, from 1; 0 where places are not kept.
    fn first_position(&self, entry: Entry) -> u16 {
        let at = (entry.place + entry.length).next_multiple_of(align_of::<u16>()) + size_of::<u16>();
        let position = self.lexemes.get(at..at + size_of::<u16>()).and_then(|bytes| bytes.try_into().ok());
        // The two upper bits are the weight: WEP_GETPOS.
        let position = position.map_or(0, |bytes| u16::from_ne_bytes(bytes) & 0x3fff);
        if entry.has_positions { position } else { 0 }
    }

    /// The positions of a lexeme as they stand there, behind their number; none where they are not kept.
    fn position_bytes(&self, entry: Entry) -> Option<&'a [u8]> {
        let at = (entry.place + entry.length).next_multiple_of(align_of::<u16>());
        let bytes = size_of::<u16>() * (1 + self.positions(entry) as usize);
        self.lexemes.get(at..at + bytes).filter(|_| entry.has_positions)
    }

    fn entry(&self, n: usize) -> Entry {
        let mut word = [0; ENTRY_BYTES];
        word.copy_from_slice(&self.entries[n * ENTRY_BYTES..][..ENTRY_BYTES]);
        let word = u32::from_ne_bytes(word);
        let [has_positions, length, place] = if cfg!(target_endian = "little") {
            [word & 1, word >> 1 & 0x7ff, word >> 12]
        } else {
            [word >> 31, word >> 20 & 0x7ff, word & 0xf_ffff]
        };
        Entry { has_positions: has_positions == 1, length: length as usize, place: place as usize }
    }

    fn lexeme(&self, entry: Entry) -> &'a [u8] {
        self.lexemes.get(entry.place..entry.place + entry.length).unwrap_or_default()
    }

    fn positions(&self, entry: Entry) -> u32 {
        if !entry.has_positions {
            return 1;
        }
        let at = (entry.place + entry.length).next_multiple_of(align_of::<u16>());
        let count = self.lexemes.get(at..at + size_of::<u16>()).and_then(|bytes| bytes.try_into().ok());
        count.map_or(0, |bytes| u32::from(u16::from_ne_bytes(bytes)))
    }
}

/// The bytes of a `tsvector` with the lexemes of another one and some more, which have no positions; `None` when they are
/// more than a `tsvector` holds: `MAXSTRPOS` of PostgreSQL's `tsearch/ts_type.h`.
#[must_use]
pub fn encode(document: &TsVector<'_>, more: &[Vec<u8>]) -> Option<Vec<u8>> {
    let known = (0..document.entries.len() / ENTRY_BYTES).map(|n| {
        let entry = document.entry(n);
        (document.lexeme(entry), document.position_bytes(entry))
    });
    let mut all: Vec<(&[u8], Option<&[u8]>)> =
        known.chain(more.iter().map(|lexeme| (lexeme.as_slice(), None))).collect();
    all.sort_by_key(|(lexeme, _)| *lexeme);
    // What a document has by itself comes first, with its positions.
    all.dedup_by_key(|(lexeme, _)| *lexeme);
    write(&all)
}

/// The bytes of a `tsvector` with these lexemes, in order, and the bytes of their positions behind their number.
fn write(all: &[(&[u8], Option<&[u8]>)]) -> Option<Vec<u8>> {
    let mut entries = Vec::with_capacity(all.len() * ENTRY_BYTES);
    let mut lexemes: Vec<u8> = Vec::new();
    for (lexeme, positions) in all {
        let place = u32::try_from(lexemes.len()).ok().filter(|place| *place <= MAX_PLACE)?;
        let length = u32::try_from(lexeme.len()).ok()?;
        let has_positions = u32::from(positions.is_some());
        let entry = if cfg!(target_endian = "little") {
            has_positions | length << 1 | place << 12
        } else {
            has_positions << 31 | length << 20 | place
        };
        entries.extend_from_slice(&entry.to_ne_bytes());
        lexemes.extend_from_slice(lexeme);
        if let Some(positions) = positions {
            lexemes.resize(lexemes.len().next_multiple_of(align_of::<u16>()), 0);
            lexemes.extend_from_slice(positions);
        }
    }
    if lexemes.len() > MAX_PLACE as usize {
        return None;
    }
    let count = i32::try_from(all.len()).ok()?;
    Some([&count.to_ne_bytes()[..], &entries, &lexemes].concat())
}

#[cfg(test)]
pub(in crate::search) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes of a `tsvector` with these lexemes, in order, and numbers of positions.
    pub(crate) fn encode(words: &[(&str, Option<u16>)]) -> Vec<u8> {
        let positions = |count: u16| (0..=count).flat_map(|n| if n == 0 { count } else { n }.to_ne_bytes()).collect();
        let all: Vec<(&[u8], Option<Vec<u8>>)> =
            words.iter().map(|(word, count)| (word.as_bytes(), count.map(positions))).collect();
        let all: Vec<(&[u8], Option<&[u8]>)> =
            all.iter().map(|(word, positions)| (*word, positions.as_deref())).collect();
        write(&all).unwrap()
    }

    #[test]
    fn frequencies_and_length_are_counts_of_positions() {
        let bytes = encode(&[("a", Some(2)), ("ab", Some(1)), ("b", None), ("検索", Some(255))]);
        let document = TsVector::new(&bytes).unwrap();
        let frequencies = ["a", "ab", "b", "検索", "", "aa", "z"].map(|word| document.frequency(word.as_bytes()));
        assert_eq!(frequencies, [2, 1, 1, 255, 0, 0, 0]);
        assert_eq!(document.length(), 259);
        let empty = encode(&[]);
        assert_eq!(TsVector::new(&empty).map(|document| document.length()), Some(0));
    }

    proptest! {
        #[test]
        fn every_lexeme_is_found(words in prop::collection::btree_map("[a-c検]{1,4}", prop::option::of(1u16..9), 0..40)) {
            let sorted: Vec<(&str, Option<u16>)> = words.iter().map(|(word, n)| (word.as_str(), *n)).collect();
            let bytes = encode(&sorted);
            let document = TsVector::new(&bytes).unwrap();
            for (word, positions) in &sorted {
                prop_assert_eq!(document.frequency(word.as_bytes()), positions.map_or(1, u32::from));
            }
            prop_assert_eq!(document.frequency(b"zz"), 0);
        }

        #[test]
        fn damaged_bytes_are_read_without_harm(
            words in prop::collection::btree_map("[a-c]{1,4}", prop::option::of(1u16..9), 0..9),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
            cut in any::<prop::sample::Index>(),
        ) {
            let sorted: Vec<(&str, Option<u16>)> = words.iter().map(|(word, n)| (word.as_str(), *n)).collect();
            let mut bytes = encode(&sorted);
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Some(document) = TsVector::new(&bytes) {
                prop_assert!(document.frequency(b"ab") <= u16::MAX.into());
                prop_assert!(document.length() <= 9 * u64::from(u16::MAX));
            }
        }
    }
}
