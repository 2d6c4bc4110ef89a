//! What a text shows of a query: a part of it with the words of the query marked.
//!
//! Each run that was searched is marked once: overlapping pairs of characters are one run, and so are a word and its parts.

use std::collections::HashSet;

/// How much is shown, as PostgreSQL's `ts_headline` has it; the length of words and pairs of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// All of the text, whatever the others say.
    pub all: bool,
    /// Words of a fragment at most; above `fewest`.
    pub most: usize,
    /// Words of a fragment at least, as far as the text has them; above 0.
    pub fewest: usize,
    /// Fragments at most; 0 for a single one, which is all of a short text.
    pub fragments: usize,
}

/// A word of a text: where it stands, in bytes, and which word of the query it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What tells the words of the query apart; none for any other word.
    pub wanted: Option<usize>,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Whether it is marked.
    pub marked: bool,
}

/// The fragments to show of a text of so many bytes, in order, each in its pieces.
#[must_use]
pub fn fragments(bytes: usize, words: &[Word], length: Length) -> Vec<Vec<Piece>> {
    let mut words = words.to_vec();
    words.sort_by_key(|word| (word.start, word.end));
    let marks = runs(words.iter().filter(|word| word.wanted.is_some()).map(|word| (word.start, word.end)));
    let places = places(&words);
    if length.all || length.fragments == 0 && places.len() <= length.most {
        return vec![pieces(0, bytes, &marks)];
    }
    let mut chosen = chosen(&places, length);
    if chosen.is_empty() {
        chosen.push((0, length.fewest.min(places.len())));
    }
    chosen.sort_unstable();
    let shown = chosen.into_iter().filter(|(from, to)| from < to).map(|(from, to)| {
        let end = places[from..to].iter().map(|place| place.end).max().unwrap_or(bytes);
        pieces(places[from].start, end, &marks)
    });
    shown.collect()
}

/// Words that begin at one place.
struct Place {
    start: usize,
    end: usize,
    wanted: Vec<usize>,
}

fn places(words: &[Word]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for word in words {
        match places.last_mut() {
            Some(place) if place.start == word.start => {
                place.end = place.end.max(word.end);
                place.wanted.extend(word.wanted);
            }
            _ => places.push(Place { start: word.start, end: word.end, wanted: word.wanted.into_iter().collect() }),
        }
    }
    places
}

/// Stretches that touch or overlap, as one; they come in order of their beginnings.
fn runs(stretches: impl Iterator<Item = (usize, usize)>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (start, end) in stretches {
        match runs.last_mut() {
            Some(run) if run.1 >= start => run.1 = run.1.max(end),
            _ => runs.push((start, end)),
        }
    }
    runs
}

/// The fragments with the most of the query, from place to place, none of which overlap.
fn chosen(places: &[Place], length: Length) -> Vec<(usize, usize)> {
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    while chosen.len() < length.fragments.max(1) {
        // What is free around a place.
        let free = |at: usize| {
            let from = chosen.iter().map(|(_, to)| *to).filter(|to| *to <= at).max().unwrap_or(0);
            let to = chosen.iter().map(|(from, _)| *from).filter(|from| *from > at).min().unwrap_or(places.len());
            let taken = chosen.iter().any(|(from, to)| (*from..*to).contains(&at));
            (!taken).then_some((from, to))
        };
        let candidates = (0..places.len()).filter(|at| !places[*at].wanted.is_empty()).filter_map(|at| {
            let (from, to) = free(at)?;
            let window = at..to.min(at + length.most);
            let last = window.clone().rfind(|at| !places[*at].wanted.is_empty())?;
            let wanted = || places[window.clone()].iter().flat_map(|place| &place.wanted);
            let distinct = wanted().collect::<HashSet<_>>().len();
            Some(((distinct, wanted().count()), (from, at, last + 1, to)))
        });
        // Of equal ones the first.
        let best = candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
        let Some((_, (from, first, end, to))) = best else { break };
        let more = length.fewest.saturating_sub(end - first);
        let after = (more - more / 2).min(to - end);
        let before = (more - after).min(first - from);
        let after = (more - before).min(to - end);
        chosen.push((first - before, end + after));
    }
    chosen
}

/// A part of the text, where marks begin and end.
fn pieces(start: usize, end: usize, marks: &[(usize, usize)]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = start;
    let mut push = |start: usize, end: usize, marked: bool| {
        if start < end {
            pieces.push(Piece { start, end, marked });
        }
    };
    for (from, to) in marks.iter().filter(|(from, to)| *to > start && *from < end) {
        let (from, to) = ((*from).max(start), (*to).min(end));
        push(at, from, false);
        push(from, to, true);
        at = to;
    }
    push(at, end, false);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Length = Length { all: false, most: 5, fewest: 3, fragments: 0 };

    /// Words of one byte and a blank behind each; those of the query are capitals.
    fn shown(text: &str, length: Length) -> String {
        let words: Vec<Word> = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| byte.is_ascii_alphabetic())
            .map(|(at, byte)| Word { start: at, end: at + 1, wanted: byte.is_ascii_uppercase().then_some(byte.into()) })
            .collect();
        let piece = |piece: &Piece| {
            let text = &text[piece.start..piece.end];
            if piece.marked { format!("<{text}>") } else { text.into() }
        };
        let fragments = fragments(text.len(), &words, length);
        fragments
            .iter()
            .map(|fragment| fragment.iter().map(piece).collect::<String>())
            .collect::<Vec<_>>()
            .join(" ... ")
    }

    #[test]
    fn a_short_text_is_all_shown() {
        assert_eq!(shown("a B c!", LENGTH), "a <B> c!");
        assert_eq!(shown("", LENGTH), "");
        assert_eq!(shown("a b c d e f g H", Length { all: true, ..LENGTH }), "a b c d e f g <H>");
    }

    #[test]
    fn of_a_long_text_the_best_part_is_shown() {
        assert_eq!(shown("a b c d e f g h", LENGTH), "a b c");
        assert_eq!(shown("a b c d E f g h i", LENGTH), "d <E> f");
        assert_eq!(shown("a B c d e f g B h C i", LENGTH), "<B> h <C>");
        assert_eq!(shown("a b c d e f g H", LENGTH), "f g <H>");
        assert_eq!(shown("A b c d e f g h", LENGTH), "<A> b c");
    }

    #[test]
    fn fragments_come_in_order_and_do_not_overlap() {
        let two = Length { fragments: 2, ..LENGTH };
        assert_eq!(shown("a B c d e f g h i j K L m", two), "a <B> c ... <K> <L> m");
        assert_eq!(shown("A b c", two), "<A> b c");
        assert_eq!(shown("a b c d e f", two), "a b c");
    }

    #[test]
    fn a_run_is_marked_once() {
        let word = |start, end, wanted| Word { start, end, wanted };
        let pairs = [word(0, 2, Some(0)), word(1, 3, Some(1)), word(2, 4, None), word(3, 5, Some(0))];
        let piece = |start, end, marked| Piece { start, end, marked };
        assert_eq!(fragments(6, &pairs, LENGTH), [[piece(0, 5, true), piece(5, 6, false)]]);
    }

    proptest! {
        #[test]
        fn fragments_are_parts_of_the_text(
            words in prop::collection::vec((0usize..80, 1usize..5, prop::option::of(0usize..4)), 0..60),
            most in 2usize..12,
            few in 1usize..12,
            fragments_at_most in 0usize..4,
            all in any::<bool>(),
        ) {
            let words: Vec<Word> = words.into_iter().map(|(start, length, wanted)| Word { start, end: start + length, wanted }).collect();
            let length = Length { all, most, fewest: few.min(most - 1), fragments: fragments_at_most };
            let shown = fragments(100, &words, length);
            prop_assert!(shown.len() <= fragments_at_most.max(1));
            let pieces: Vec<Piece> = shown.concat();
            prop_assert!(pieces.iter().all(|piece| piece.start < piece.end && piece.end <= 100));
            prop_assert!(shown.iter().flat_map(|fragment| fragment.windows(2)).all(|pair| pair[0].end == pair[1].start));
            if words.iter().any(|word| word.wanted.is_some()) {
                prop_assert!(pieces.iter().any(|piece| piece.marked));
            }
        }
    }
}
