//! Long texts as passages: what a model reads at once, cut where sentences end, each with a little of the one before.
//!
//! # How long a passage is
//!
//! Nobody here has the tokenizer of the model: it lies in the engine, and can take hundreds of megabytes. So tokens are
//! [estimated](tokens), by what tokenizers of the usual kinds make of letters, digits, Japanese and signs, on the careful side:
//! a passage seldom has more tokens than it may, and mostly has fewer. What a model does not read of one that is too long all
//! the same is the end of it, which the next one may begin with.
//!
//! # Where it is cut
//!
//! At the ends of sentences, as Unicode describes them (UAX #29), but for some that are none: behind `Dr.` or an initial, and
//! behind a quotation that a Japanese sentence goes on from. A sentence that is longer than a passage may be is cut between its
//! words; Japanese, which has no spaces between them, anywhere; and so is a word that is too long.
//!
//! Passages cover the whole text, in order. Each but the first begins with what fits into the overlap of the end of the one
//! before, in whole sentences, or whole words of a sentence that had to be cut.

use unicode_segmentation::UnicodeSegmentation;

/// How long passages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// Tokens of a passage at most, at least 1.
    pub tokens: usize,
    /// Tokens of the one before that a passage begins with at most.
    pub overlap: usize,
}

/// A passage of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage<'t> {
    /// Characters before it.
    pub start: usize,
    /// Its characters.
    pub chars: usize,
    /// Itself.
    pub text: &'t str,
}

/// What passages are made of: a sentence, or a part of one that is too long.
struct Unit {
    /// Where it begins, in bytes and characters.
    byte: usize,
    char: usize,
    tokens: usize,
}

/// Cuts a text into passages, at least one.
#[must_use]
pub fn cut(text: &str, chunking: Chunking) -> Vec<Passage<'_>> {
    let most = chunking.tokens.max(1);
    let (units, chars) = units(text, most);
    let ends = |unit: usize| units.get(unit).map_or((text.len(), chars), |unit| (unit.byte, unit.char));
    let mut passages = Vec::new();
    let mut first = 0;
    loop {
        let (mut end, mut sum) = (first, 0);
        while let Some(unit) = units.get(end).filter(|unit| end == first || sum + unit.tokens <= most) {
            sum += unit.tokens;
            end += 1;
        }
        let ((byte, start), (last_byte, last)) = (ends(first), ends(end));
        passages.push(Passage { start, chars: last - start, text: &text[byte..last_byte] });
        let Some(next) = units.get(end) else { return passages };
        // Both what comes again and something new have to fit into the next one.
        let room = chunking.overlap.min(most.saturating_sub(next.tokens));
        let mut again = 0;
        let former = std::mem::replace(&mut first, end);
        while first > former + 1 && again + units[first - 1].tokens <= room {
            first -= 1;
            again += units[first].tokens;
        }
    }
}

/// The tokens that a text is estimated to have.
///
/// A word of Latin letters has one for every four of its letters, begun ones too; other letters, and digits, one for every two;
/// Chinese, Japanese and Korean characters, and signs, one each; spaces none. No part of a text has more than the text, and
/// several parts have at least as many as the text.
#[must_use]
pub fn tokens(text: &str) -> usize {
    let (mut sum, mut former, mut length) = (0, Kind::Space, 0_usize);
    for char in text.chars() {
        let kind = Kind::of(char);
        if kind != former {
            sum += former.tokens(length);
            (former, length) = (kind, 0);
        }
        length += 1;
    }
    sum + former.tokens(length)
}

/// What tokenizers treat alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Latin,
    Letter,
    Digit,
    Sign,
    Space,
}

impl Kind {
    fn of(char: char) -> Self {
        match char {
            'a'..='z' | 'A'..='Z' => Self::Latin,
            '0'..='9' => Self::Digit,
            // From the radicals of Chinese to its compatibility forms, Hangul between them; half width kana; rare characters.
            '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' => {
                if char == '\u{3000}' {
                    Self::Space
                } else {
                    Self::Sign
                }
            }
            '\u{20000}'..='\u{3ffff}' => Self::Sign,
            _ if char.is_whitespace() => Self::Space,
            _ if char.is_alphanumeric() => Self::Letter,
            _ => Self::Sign,
        }
    }

    fn tokens(self, length: usize) -> usize {
        match self {
            Self::Latin => length.div_ceil(4),
            Self::Letter | Self::Digit => length.div_ceil(2),
            Self::Sign => length,
            Self::Space => 0,
        }
    }
}

/// The sentences of a text, those that are too long in parts, and how many characters it has.
fn units(text: &str, most: usize) -> (Vec<Unit>, usize) {
    let mut units = Units { found: Vec::new(), byte: 0, char: 0 };
    for sentence in sentences(text) {
        let count = tokens(sentence);
        if count <= most {
            units.add(sentence, count);
            continue;
        }
        for word in sentence.split_word_bounds() {
            let count = tokens(word);
            if count <= most {
                units.add(word, count);
            } else {
                word.graphemes(true).for_each(|part| units.add(part, tokens(part).min(most)));
            }
        }
    }
    (units.found, units.char)
}

struct Units {
    found: Vec<Unit>,
    byte: usize,
    char: usize,
}

impl Units {
    fn add(&mut self, part: &str, tokens: usize) {
        // Spaces belong to what they follow.
        if tokens > 0 || self.found.is_empty() {
            self.found.push(Unit { byte: self.byte, char: self.char, tokens });
        }
        self.byte += part.len();
        self.char += part.chars().count();
    }
}

/// The sentences of a text, which together are the text.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut ends = text.split_sentence_bound_indices().map(|(start, sentence)| start + sentence.len());
    let mut start = 0;
    std::iter::from_fn(move || {
        loop {
            let mut end = ends.next()?;
            if end < text.len() {
                // Unicode takes brackets of either side for the end of what is before them.
                end = start + text[start..end].trim_end_matches(OPENING).len();
                if end == start || goes_on(&text[start..end], &text[end..]) {
                    continue;
                }
            }
            return Some(&text[std::mem::replace(&mut start, end)..end]);
        }
    })
}

/// What begins a quotation or an aside.
const OPENING: [char; 14] = ['「', '『', '（', '【', '〈', '《', '［', '｛', '〔', '“', '‘', '(', '[', '{'];

/// Words with a full stop that ends no sentence.
const ABBREVIATIONS: [&str; 24] = [
    "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr", "Gen", "Sen", "Rev", "Capt", "Fig", "No", "Nos", "Vol", "pp",
    "Ch", "Sec", "Eq", "vs", "cf", "approx", "al",
];

/// Whether what Unicode takes for the end of a sentence is none.
fn goes_on(sentence: &str, next: &str) -> bool {
    let said = sentence.trim_end();
    // The end of a line is the end of a sentence, and so is one that nothing but spaces follow.
    if sentence.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) || next.trim_start().is_empty() {
        return false;
    }
    if let Some(said) = said.strip_suffix('.') {
        let word = said.rsplit(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
        let mut letters = word.chars();
        let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
        return initial || ABBREVIATIONS.contains(&word);
    }
    // 「はい。」と答えた。
    said.ends_with(['」', '』', '”', '）']) && next.starts_with(['と', 'っ'])
}

/// The embedding of a text by those of its passages, one after the other, each so wide: it points to their mean, and is as long as
/// they are on average.
#[must_use]
pub fn mean(vectors: &[f32], width: usize) -> Vec<f32> {
    if width == 0 || vectors.len() <= width {
        return vectors.to_vec();
    }
    let length = |vector: &mut dyn Iterator<Item = f64>| vector.map(|number| number * number).sum::<f64>().sqrt();
    let (mut sum, mut lengths) = (vec![0.0_f64; width], 0.0);
    for vector in vectors.chunks_exact(width) {
        lengths += length(&mut vector.iter().copied().map(f64::from));
        sum.iter_mut().zip(vector).for_each(|(sum, number)| *sum += f64::from(*number));
    }
    let count = (vectors.len() / width) as f64;
    let whole = length(&mut sum.iter().copied());
    // Those that cancel each other out have no direction: then it is their mean, next to nothing.
    let factor = if whole > 1e-9 * lengths { lengths / count / whole } else { 1.0 / count };
    sum.into_iter().map(|number| (number * factor) as f32).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str, tokens: usize, overlap: usize) -> Vec<&str> {
        cut(text, Chunking { tokens, overlap }).into_iter().map(|passage| passage.text).collect()
    }

    #[test]
    fn english_is_cut_behind_sentences() {
        let text =
            "The harbour is closed on Sunday. Dr. Smith knows why! Ask J. Jones, e.g. tomorrow. It costs 3.50 euros.";
        assert_eq!(
            sentences(text).collect::<Vec<_>>(),
            [
                "The harbour is closed on Sunday. ",
                "Dr. Smith knows why! ",
                "Ask J. Jones, e.g. tomorrow. ",
                "It costs 3.50 euros.",
            ]
        );
        assert_eq!(texts(text, 22, 0), [&text[..54], &text[54..]]);
        assert_eq!(texts("One.\nTwo without a stop\nThree", 5, 0), ["One.\n", "Two without a stop\n", "Three"]);
    }

    #[test]
    fn japanese_is_cut_behind_sentences() {
        let text = "港は日曜日に閉まる。理由は？「知らない。」と彼は言った。『終わり！』";
        let found: Vec<_> = sentences(text).collect();
        assert_eq!(found, ["港は日曜日に閉まる。", "理由は？", "「知らない。」と彼は言った。", "『終わり！』"]);
        assert_eq!(
            texts(text, 14, 0),
            ["港は日曜日に閉まる。理由は？", "「知らない。」と彼は言った。", "『終わり！』"]
        );
        assert_eq!(texts("会議。Notes in English. 終了。", 7, 0), ["会議。", "Notes in English. ", "終了。"]);
    }

    #[test]
    fn passages_begin_with_whole_sentences_of_the_one_before() {
        let text = "Aaaa. Bbbb. Cccc. Dddd. Eeee. ";
        assert_eq!(texts(text, 6, 2), ["Aaaa. Bbbb. Cccc. ", "Cccc. Dddd. Eeee. "]);
        assert_eq!(texts(text, 6, 3), ["Aaaa. Bbbb. Cccc. ", "Cccc. Dddd. Eeee. "]);
        assert_eq!(texts(text, 4, 2), ["Aaaa. Bbbb. ", "Bbbb. Cccc. ", "Cccc. Dddd. ", "Dddd. Eeee. "]);
        assert_eq!(texts(text, 2, 2), ["Aaaa. ", "Bbbb. ", "Cccc. ", "Dddd. ", "Eeee. "]);
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_between_words_and_japanese_anywhere() {
        assert_eq!(texts("one two three four five", 3, 0), ["one two ", "three four ", "five"]);
        assert_eq!(texts("長い文には区切りがない", 4, 1), ["長い文に", "には区切", "切りがな", "ない"]);
        assert_eq!(texts("abcdefghij", 2, 0), ["ab", "cd", "ef", "gh", "ij"]);
    }

    #[test]
    fn there_is_always_a_passage() {
        assert_eq!(cut("", Chunking { tokens: 8, overlap: 2 }), [Passage { start: 0, chars: 0, text: "" }]);
        assert_eq!(texts(" \n\n ", 8, 2), [" \n\n "]);
        assert_eq!(texts("short 文", 8, 2), ["short 文"]);
    }

    #[test]
    fn tokens_are_estimated_by_what_they_are_made_of() {
        for (text, expected) in [
            ("", 0),
            ("a an the", 3),
            ("timeout", 2),
            ("internationalization", 5),
            ("2026-11-30", 6),
            ("東京の天気", 5),
            ("　 \n", 0),
            ("привет", 3),
            ("wait…", 2),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn the_mean_of_passages_has_their_length() {
        let near = |found: &[f32], expected: &[f32]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
        };
        assert_eq!(mean(&[0.6, 0.8], 2), [0.6, 0.8]);
        assert!(near(&mean(&[1.0, 0.0, 0.0, 1.0], 2), &[0.5_f32.sqrt(), 0.5_f32.sqrt()]));
        assert!(near(&mean(&[3.0, 0.0, 1.0, 0.0], 2), &[2.0, 0.0]));
        assert!(near(&mean(&[1.0, 0.0, -1.0, 0.0], 2), &[0.0, 0.0]));
        assert!(mean(&[], 0).is_empty());
    }

    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[a-zA-Z]{1,12}( [a-z]{1,9}){0,12}[.!?,] ?",
            "[ぁ-んァ-ヶ一-龠]{1,30}[。！？、」]{0,2}",
            "[0-9]{1,8}",
            "\\PC{0,20}",
            "[ \\n\\r\\t\u{3000}]{1,3}",
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn passages_cover_the_text_in_order_and_keep_their_bounds(text in text(), tokens_ in 1usize..60, share in 0usize..60) {
            let chunking = Chunking { tokens: tokens_, overlap: share };
            let chars: Vec<char> = text.chars().collect();
            let passages = cut(&text, chunking);
            let mut covered = 0;
            let mut former = None;
            for passage in &passages {
                prop_assert!(passage.start <= covered);
                prop_assert!(former.is_none_or(|former| former < passage.start));
                let end = passage.start + passage.chars;
                let span: String = chars[passage.start..end].iter().collect();
                prop_assert_eq!(span.as_str(), passage.text);
                // A single character of more tokens than a passage may have is one all the same.
                let one = passage.text.trim().graphemes(true).count() == 1;
                prop_assert!(one || tokens(passage.text) <= tokens_, "{:?}", passage);
                let again: String = chars[passage.start..covered].iter().collect();
                prop_assert!(tokens(&again) <= share);
                prop_assert!(end > covered || text.is_empty());
                covered = end;
                former = Some(passage.start);
            }
            prop_assert_eq!(covered, chars.len());
        }

        #[test]
        fn cuts_are_at_ends_of_sentences_that_fit(text in text()) {
            let most = sentences(&text).map(tokens).max().unwrap_or(0).max(1);
            let mut ends = vec![0];
            for sentence in sentences(&text) {
                ends.push(ends[ends.len() - 1] + sentence.chars().count());
            }
            for passage in cut(&text, Chunking { tokens: most, overlap: most / 3 }) {
                prop_assert!(ends.contains(&passage.start) && ends.contains(&(passage.start + passage.chars)));
            }
        }

        #[test]
        fn parts_have_no_fewer_tokens_than_the_whole(a in text(), b in text()) {
            let whole = tokens(&(a.clone() + &b));
            prop_assert!(whole <= tokens(&a) + tokens(&b));
            prop_assert!(whole >= tokens(&a).max(tokens(&b)));
        }
    }
}
