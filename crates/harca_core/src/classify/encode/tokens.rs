//! The tokens of a text in reading order, each a word with its ending and its shape.
//!
//! Scripts that write words apart give a token per word; kanji and hiragana give one per character. Spaces give none.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::reading::{Reading, Token};
use super::symbols::{Kind, Script, class, fold_mark, mix, reduce, script};
use crate::model::manifest::TOKEN_IDS;

/// Classes of shapes; what varies within a class is in the bits below.
mod shape {
    pub(super) const WORD: u64 = 1 << 8;
    pub(super) const HIRAGANA: u64 = 2 << 8;
    pub(super) const KATAKANA: u64 = 3 << 8;
    pub(super) const HAN: u64 = 4 << 8;
    pub(super) const HANGUL: u64 = 5 << 8;
    pub(super) const MARK: u64 = 6 << 8;
    pub(super) const END: u64 = 7 << 8;
}

/// Letter case of a word.
#[derive(Clone, Copy)]
pub(super) enum Case {
    Lower,
    Title,
    Upper,
    Mixed,
}

impl Case {
    /// Of a word with so many letters, so many of them upper-case; `camel` if one of those follows a lower-case one.
    pub(super) fn of(letters: u32, upper: u32, first_upper: bool, camel: bool) -> Self {
        match upper {
            0 => Self::Lower,
            _ if letters > 1 && upper == letters => Self::Upper,
            _ if first_upper && !camel => Self::Title,
            _ => Self::Mixed,
        }
    }
}

/// What the shape of a word of letters and digits is made of.
pub(super) struct WordShape {
    pub(super) case: Case,
    pub(super) digits: bool,
    pub(super) letters: bool,
    pub(super) code: bool,
    /// A long run of consonants, as keyboard noise has.
    pub(super) consonants: bool,
    /// One letter several times in a row.
    pub(super) repeat: bool,
}

/// What joins the parts of a word.
fn is_joiner(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | ',' | '\u{2010}' | '\u{2011}')
}

/// The characters of a token as its word has them: in lower case, and of a plain number only how many digits it has.
pub(super) fn folded(chars: &[char]) -> impl Iterator<Item = char> {
    let number = chars.iter().all(|&c| script(c) == Script::Digit);
    chars.iter().flat_map(move |&c| if number { '0' } else { fold_mark(c) }.to_lowercase())
}

/// The banks of token ids, and how many tokens a text may have.
#[derive(Debug)]
pub(super) struct Sizes {
    words: u64,
    others: u64,
    max: usize,
}

impl Sizes {
    pub(super) fn new(buckets: u32, max: u32) -> Self {
        let buckets = u64::from(buckets);
        let words = buckets * 3 / 4;
        Self { words, others: buckets - words, max: max as usize }
    }

    /// The tokens that a model gets to see: a long text keeps both its ends, which say most about its build.
    pub(super) fn kept<'a>(&self, tokens: &'a [Token]) -> impl Iterator<Item = &'a Token> {
        let (head, tail) = if tokens.len() > self.max {
            let half = self.max / 2;
            (&tokens[..half], &tokens[tokens.len() - (self.max - half)..])
        } else {
            (tokens, &[][..])
        };
        head.iter().chain(tail)
    }

    pub(super) fn ids(&self, token: &Token) -> [i32; TOKEN_IDS] {
        let other = |kind: Kind, value: u64| 1 + (self.words + reduce(mix(value, kind as u64), self.others)) as i32;
        [
            1 + reduce(mix(token.word, Kind::TokenWord as u64), self.words) as i32,
            if token.ending == 0 { 0 } else { other(Kind::TokenEnding, token.ending) },
            other(Kind::TokenShape, token.shape),
        ]
    }
}

impl Reading<'_> {
    fn has_tokens(&self) -> bool {
        self.encoder.tokens.is_some()
    }

    fn token(&mut self, chars: Range<usize>, word: u64, ending: u64, shape: u64) {
        if self.has_tokens() {
            self.s.tokens.push(Token { chars, word, ending, shape });
        }
    }

    /// The word of letters and digits at `start..end`, one token for each of its parts: what is joined by hyphens and
    /// dots is often a new word of known ones.
    pub(super) fn token_word(&mut self, start: usize, end: usize, shape: WordShape) {
        if !self.has_tokens() {
            return;
        }
        let shape = shape::WORD
            | shape.case as u64
            | u64::from(shape.digits) << 2
            | u64::from(shape.letters) << 3
            | u64::from(shape.code) << 4
            | u64::from(shape.consonants) << 5
            | u64::from(shape.repeat) << 6;
        let mut from = start;
        for at in start..=end {
            if at < end && !is_joiner(self.s.chars[at]) {
                continue;
            }
            let mut word = std::mem::take(&mut self.s.part);
            word.clear();
            word.extend(folded(&self.s.chars[from..at]));
            let ending =
                word.as_bytes().iter().rev().take(3).rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
            self.token(from..at, xxh3_64(word.as_bytes()), ending, shape | u64::from(from > start) << 7);
            self.s.part = word;
            from = at + 1;
        }
    }

    pub(super) fn token_hiragana(&mut self, at: usize) {
        self.token(at..at + 1, self.s.chars[at] as u64, 0, shape::HIRAGANA);
    }

    pub(super) fn token_katakana(&mut self, start: usize, end: usize) {
        self.token_run(start, end, shape::KATAKANA);
    }

    pub(super) fn token_hangul(&mut self, start: usize, end: usize) {
        self.token_run(start, end, shape::HANGUL);
    }

    fn token_run(&mut self, start: usize, end: usize, shape: u64) {
        if self.has_tokens() {
            let run = &self.s.chars[start..end];
            let word = run.iter().fold(shape, |hash, &c| mix(hash ^ c as u64, 14));
            let ending = run.iter().rev().take(2).rev().fold(0, |value, &c| value << 32 | c as u64);
            self.token(start..end, word, ending, shape);
        }
    }

    /// One token per character of a run of kanji, whose shape is the place in the run.
    pub(super) fn token_han(&mut self, start: usize, end: usize) {
        if self.has_tokens() {
            for at in start..end {
                let place = u64::from(at > start) << 1 | u64::from(at + 1 < end);
                self.token(at..at + 1, self.s.chars[at] as u64, 0, shape::HAN | place);
            }
        }
    }

    pub(super) fn token_mark(&mut self, at: usize, folded: char, glued: bool) {
        self.token(at..at + 1, folded as u64, 0, shape::MARK | u64::from(glued));
    }

    /// A text without tokens gets one: a graph is never run on a sequence of length 0.
    pub(super) fn end_tokens(&mut self) {
        if self.s.tokens.is_empty() {
            self.token(0..0, class::END, 0, shape::END);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::classify::encode::{ENCODER_ID, Encoded, Encoder, MIN_BUCKETS};
    use crate::model::manifest::{EncoderSpec, TokenSpec};

    const GOLDEN: &str = include_str!("../../../../../tests/data/token_golden.tsv");

    fn spec(buckets: u32, max_tokens: u32) -> EncoderSpec {
        let tokens = Some(TokenSpec { buckets, max_tokens });
        EncoderSpec { id: ENCODER_ID.into(), buckets: 16384, max_features: 512, max_chars: 512, tokens }
    }

    fn encoded(spec: &EncoderSpec, text: &str) -> Encoded {
        let mut out = Encoded { features: vec![7], tokens: vec![7] };
        Encoder::new(spec).unwrap().encode(text, &mut out);
        out
    }

    fn tokens(text: &str) -> Vec<[i32; 3]> {
        let out = encoded(&spec(24576, 64), text).tokens;
        let (tokens, rest) = out.as_chunks();
        assert!(rest.is_empty());
        tokens.to_vec()
    }

    fn words(max_tokens: u32, text: &str) -> Vec<String> {
        let mut out = vec!["stale".into()];
        Encoder::new(&spec(24576, max_tokens)).unwrap().words(text, &mut out);
        out
    }

    /// The shape of a text of one token.
    fn shape(text: &str) -> i32 {
        let tokens = tokens(text);
        assert_eq!(tokens.len(), 1, "{text}");
        tokens[0][2]
    }

    #[test]
    fn the_golden_vectors_hold() {
        let mut seen = 0;
        for line in GOLDEN.lines().skip(1) {
            let (query, expected) = line.split_once('\t').unwrap();
            let expected: Vec<i32> = expected.split(' ').map(|id| id.parse().unwrap()).collect();
            assert_eq!(encoded(&spec(24576, 64), query).tokens, expected, "{query}");
            seen += 1;
        }
        assert!(seen >= 25, "{seen} golden vectors");
    }

    #[test]
    fn sizes_are_checked() {
        for (buckets, max_tokens, word) in [
            (0, 64, "tokens.buckets is 0"),
            (u32::MAX, 64, "tokens.buckets"),
            (24576, 1, "tokens.max_tokens is 1"),
            (24576, u32::MAX, "tokens.max_tokens"),
        ] {
            let error = Encoder::new(&spec(buckets, max_tokens)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn scripts_are_cut_into_their_tokens() {
        for (text, expected) in [
            ("How do I undo a merge?", "how do i undo a merge"),
            ("git rebase --onto, then foo_bar", "git rebase - - onto , then foo bar"),
            ("what’s “new” – vue.js", "what s \" new \" - vue js"),
            ("COVID-19 of 2007, 1,000.5", "covid 00 of 0000 , 0 000 0"),
            ("データベースの選び方は？", "データベース の 選 び 方 は"),
            ("東京都 何時", "東 京 都 何 時"),
            ("데이터베이스 최적화", "데이터베이스 최적화"),
            ("ÉCOLE Straße", "école straße"),
        ] {
            assert_eq!(words(64, text).join(" "), expected);
        }
    }

    #[test]
    fn a_text_without_tokens_gives_one() {
        for text in ["", " ", "\u{3000}", "?!", "。"] {
            assert_eq!(words(64, text), [""], "{text:?}");
            assert_eq!(tokens(text), tokens(""), "{text:?}");
        }
        assert_eq!(words(64, &"'".repeat(3)).len(), 2);
    }

    #[test]
    fn width_composition_and_typesetting_do_not_matter() {
        assert_eq!(tokens("ＰｏｓｔｇｒｅＳＱＬ　ﾃﾞｰﾀﾍﾞｰｽ"), tokens("PostgreSQL データベース"));
        assert_eq!(tokens("cafe\u{301} près d'ici"), tokens("caf\u{e9} pre\u{300}s d’ici"));
        assert_eq!(tokens("“a” — b?"), tokens("\"a\" - b"));
    }

    #[test]
    fn letter_case_is_in_the_shape_alone() {
        let shapes = ["merge", "Merge", "MERGE", "mErge"].map(|word| {
            assert_eq!(tokens(word)[0][..2], tokens("merge")[0][..2], "{word}");
            shape(word)
        });
        for (i, a) in shapes.iter().enumerate() {
            assert!(!shapes[..i].contains(a), "{shapes:?}");
        }
        assert_eq!(shape("McDonald"), shape("openAI"));
        assert_eq!(shape("A"), shape("Undo"));
    }

    #[test]
    fn what_sets_a_word_apart_is_in_its_shape() {
        let plain = shape("merge");
        for word in ["404", "x86", "sdfghjk", "aaargh"] {
            assert_ne!(shape(word), plain, "{word}");
        }
        // The parts of a word share its shape, but for being the first.
        for word in ["foo_bar", "vue.js"] {
            let parts = tokens(word);
            assert!(parts.len() == 2 && parts.iter().all(|part| part[2] != plain), "{word}");
            assert_ne!(parts[0][2], parts[1][2]);
        }
        // Runs end with their word, and digits repeat in plain numbers.
        assert!(tokens("sdf ghj").iter().all(|token| token[2] == plain));
        assert_eq!(shape("1000"), shape("404"));
    }

    #[test]
    fn endings_are_shared() {
        let ending = |text| tokens(text).last().map(|token| token[1]);
        assert_eq!(ending("running"), ending("ING"));
        assert_ne!(ending("running"), ending("runs"));
        assert_eq!(ending("マネージャー"), ending("ャー"));
        assert_eq!(ending("좋습니다"), ending("갑니다"));
        for text in ["の", "東", "/ -"] {
            assert_eq!(ending(text), Some(0), "{text}");
        }
    }

    #[test]
    fn kanji_know_their_place_and_marks_what_they_touch() {
        let run = tokens("東東東東 東 何何");
        assert!(run[..5].iter().all(|token| token[0] == run[0][0]));
        assert_ne!(run[0], run[1]);
        assert_eq!(run[1], run[2]);
        assert_ne!(run[3], run[1]);
        assert!(run[..4].iter().all(|token| *token != run[4]));
        assert_eq!((run[5][2], run[6][2]), (run[0][2], run[3][2]));
        let marks = tokens("a/b c / d");
        assert_eq!(marks[1][..2], marks[4][..2]);
        assert_ne!(marks[1][2], marks[4][2]);
    }

    #[test]
    fn of_a_long_text_the_middle_is_left_out() {
        let text = "a b c d e f g";
        assert_eq!(words(7, text).len(), 7);
        assert_eq!(words(6, text), ["a", "b", "c", "e", "f", "g"]);
        assert_eq!(words(5, text), ["a", "b", "e", "f", "g"]);
        assert_eq!(words(2, text), ["a", "g"]);
        assert_eq!(encoded(&spec(24576, 2), text).tokens, encoded(&spec(24576, 2), "a g").tokens);
        for text in ["\u{fdfa}".repeat(100_000), "の".repeat(300_000), "- ".repeat(300_000)] {
            assert!(tokens(&text).len() <= 64);
        }
    }

    #[test]
    fn an_encoder_without_tokens_gives_none() {
        let encoder = Encoder::new(&EncoderSpec { tokens: None, ..spec(24576, 64) }).unwrap();
        let (mut out, mut words) = (Encoded { features: vec![], tokens: vec![7] }, vec!["stale".into()]);
        encoder.encode("what is this", &mut out);
        encoder.words("what is this", &mut words);
        assert!(out.tokens.is_empty() && words.is_empty());
    }

    proptest! {
        #[test]
        fn tokens_are_within_bounds(
            text in "(\\PC|[a-zA-Z0-9ぁ-んァ-ヶ一-龠가-힣 '’_.,:;/?！-]|of|何){0,80}",
            buckets in MIN_BUCKETS..40_000,
            max_tokens in 2u32..70,
        ) {
            let spec = spec(buckets, max_tokens);
            let out = encoded(&spec, &text);
            prop_assert_eq!(&out, &encoded(&spec, &text));
            prop_assert_eq!(&out.features, &encoded(&EncoderSpec { tokens: None, ..spec.clone() }, &text).features);
            let (tokens, rest) = out.tokens.as_chunks::<3>();
            prop_assert!(rest.is_empty() && (1..=max_tokens as usize).contains(&tokens.len()));
            let most = buckets as i32;
            for [word, ending, shape] in tokens {
                prop_assert!((1..=most * 3 / 4).contains(word));
                prop_assert!(*ending == 0 || (most * 3 / 4 + 1..=most).contains(ending));
                prop_assert!((most * 3 / 4 + 1..=most).contains(shape));
            }
            let mut words = Vec::new();
            Encoder::new(&spec).unwrap().words(&text, &mut words);
            prop_assert_eq!(words.len(), tokens.len());
            prop_assert!(words.iter().all(|word| !word.contains(['\t', '\n', '\r', ' '])));
        }

        #[test]
        fn a_word_has_one_id(text in "([a-cA-C0-9_.'-]|[ぁ-う]|[ア-ウ]|[一-三]|[가-각]| ){0,40}") {
            let mut words = Vec::new();
            Encoder::new(&spec(24576, 64)).unwrap().words(&text, &mut words);
            let out = encoded(&spec(24576, 64), &text);
            let ids = out.tokens.as_chunks::<3>().0;
            for (word, id) in words.iter().zip(ids) {
                for (_, other) in words.iter().zip(ids).filter(|(other, _)| *other == word) {
                    prop_assert_eq!(id[0], other[0], "{}", word);
                }
            }
        }
    }
}
