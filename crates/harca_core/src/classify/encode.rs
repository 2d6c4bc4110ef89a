//! Text to feature ids and tokens: what a model sees of a query.
//!
//! The type of a query lies in how it is built, far more than in what it is about. The encoder therefore reads a text
//! as a *template*: function words (and Japanese kana) stay as written, content words shrink to a shape class
//! (`-ing`, `-ed`, a number, a run of kanji), and n-grams over that template become features. Three templates of
//! rising abstraction are read side by side:
//!
//! | template | `causes of the french revolution` | `Vue の使い方` |
//! |---|---|---|
//! | fine | `causes of the Nh Ntion` | `N _ の 使 い 方` |
//! | coarse | `INTENT PREP DET N N` | `N _ の N い N` |
//! | flat | `INTENT PREP DET N` | `N _ の N い N` |
//!
//! The words themselves are features too, hashed into a bank of ids of their own, so that training can mask them and
//! keep a model from learning the vocabulary of one collection.
//!
//! Ids run from 1 to `buckets`: the lower half holds structure, the upper half words. Final punctuation is taken off
//! before the templates are read and comes back as one feature, and so does letter case: a query means the same
//! without them.
//!
//! Features are a bag: they know nothing of the order of words beyond an n-gram, and little of a single word. A
//! manifest may ask for the *tokens* of a text besides, for the part of a model that reads it as a sequence. Each
//! token is three ids: its word, its ending (what inflection and derivation show in) and its shape (script, letter
//! case, place in a run of kanji). Of their `buckets` words have the lower three quarters.
//!
//! All work is bounded by `max_chars`, `max_features` and `max_tokens`, whatever the text.

mod features;
mod lexicon;
mod reading;
mod symbols;
mod template;
mod tokens;
mod word;

use std::cell::Cell;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::model::manifest::EncoderSpec;
use lexicon::Lexicon;
use reading::{Counts, Reading, Scratch};
use symbols::{Kind, Script, mix, reduce, script};
use tokens::{Sizes, folded};

/// The feature scheme of this build; any change to the ids of any text gives it a new number.
pub const ENCODER_ID: &str = "harca-template-1";

/// Fewest buckets that leave room for both banks.
const MIN_BUCKETS: u32 = 256;
/// Most buckets a manifest may ask for: 16 million ids are already a 2 GB table of 32 floats.
const MAX_BUCKETS: u32 = 1 << 24;
/// Most features or characters a manifest may ask for.
const MAX_LENGTH: u32 = 1 << 16;
/// Most tokens a manifest may ask for: what reads a sequence may take time that grows with its square.
const MAX_TOKENS: u32 = 1 << 10;

/// What a model sees of one text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Feature ids, in an order without meaning to the model.
    pub features: Vec<i32>,
    /// [`TOKEN_IDS`](crate::model::manifest::TOKEN_IDS) ids per token in reading order; empty without
    /// [`EncoderSpec::tokens`].
    pub tokens: Vec<i32>,
}

impl Encoded {
    /// Bytes that the ids take, room for more included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<i32>() * (self.features.capacity() + self.tokens.capacity())
    }
}

/// Turns text into feature ids and tokens; see the [module documentation](self).
pub struct Encoder {
    lexicon: Lexicon,
    structure_buckets: u64,
    lexical_buckets: u64,
    max_features: usize,
    max_chars: usize,
    tokens: Option<Sizes>,
    identity: u64,
    scratch: Cell<Scratch>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("structure_buckets", &self.structure_buckets)
            .field("lexical_buckets", &self.lexical_buckets)
            .field("max_features", &self.max_features)
            .field("max_chars", &self.max_chars)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder for the scheme and sizes that a manifest names.
    pub fn new(spec: &EncoderSpec) -> Result<Self> {
        if spec.id != ENCODER_ID {
            return Err(Error::Manifest(format!("encoder \"{}\" is not known, expected \"{ENCODER_ID}\"", spec.id)));
        }
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                Ok(value)
            } else {
                Err(Error::Manifest(format!("encoder {name} is {value}, expected {least} to {most}")))
            }
        };
        let buckets = u64::from(within("buckets", spec.buckets, MIN_BUCKETS, MAX_BUCKETS)?);
        let tokens = match &spec.tokens {
            Some(tokens) => Some(Sizes::new(
                within("tokens.buckets", tokens.buckets, MIN_BUCKETS, MAX_BUCKETS)?,
                within("tokens.max_tokens", tokens.max_tokens, 2, MAX_TOKENS)?,
            )),
            None => None,
        };
        Ok(Self {
            lexicon: Lexicon::new(),
            structure_buckets: buckets / 2,
            lexical_buckets: buckets - buckets / 2,
            max_features: within("max_features", spec.max_features, 1, MAX_LENGTH)? as usize,
            max_chars: within("max_chars", spec.max_chars, 1, MAX_LENGTH)? as usize,
            tokens,
            identity: xxh3_64(format!("{spec:?}").as_bytes()),
            scratch: Cell::new(Scratch::default()),
        })
    }

    /// A number that encoders have in common when they make the same of every text.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Replaces `out` by what the model sees of `text`: between one and `max_features` ids of `1..=buckets` and, where
    /// the specification asks for tokens, between one and `max_tokens` of them.
    pub fn encode(&self, text: &str, out: &mut Encoded) {
        out.features.clear();
        out.tokens.clear();
        let mut scratch = self.scratch.take();
        self.read(text, &mut scratch, &mut out.features).emit();
        out.features.truncate(self.max_features);
        if let Some(sizes) = &self.tokens {
            sizes.kept(&scratch.tokens).for_each(|token| out.tokens.extend(sizes.ids(token)));
        }
        self.scratch.set(scratch);
    }

    /// Replaces `out` by the words behind the tokens of `text`, one per token: normalised, in lower case, and empty for
    /// the token of an empty text. None without tokens in the specification.
    pub fn words(&self, text: &str, out: &mut Vec<String>) {
        out.clear();
        let Some(sizes) = &self.tokens else { return };
        let mut scratch = self.scratch.take();
        self.read(text, &mut scratch, &mut Vec::new());
        out.extend(
            sizes.kept(&scratch.tokens).map(|token| folded(&scratch.chars[token.chars.clone()]).collect::<String>()),
        );
        self.scratch.set(scratch);
    }

    /// The one reading of a text that features, tokens and words come from.
    fn read<'a>(&'a self, text: &str, s: &'a mut Scratch, out: &'a mut Vec<i32>) -> Reading<'a> {
        s.chars.clear();
        s.chars.extend(text.chars().take(self.max_chars).nfkc().take(self.max_chars));
        let chinese = !s.chars.iter().any(|&c| matches!(script(c), Script::Hiragana | Script::Katakana));
        let mut reading = Reading { encoder: self, s, out, counts: Counts::default(), chinese, ending: 0 };
        reading.read();
        reading
    }

    #[inline]
    fn structure_id(&self, kind: Kind, value: u64) -> i32 {
        1 + reduce(mix(value, kind as u64), self.structure_buckets) as i32
    }

    #[inline]
    fn lexical_id(&self, kind: Kind, value: u64) -> i32 {
        1 + (self.structure_buckets + reduce(mix(value, kind as u64), self.lexical_buckets)) as i32
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::symbols::on_one_row;
    use super::*;

    const GOLDEN: &str = include_str!("../../../../tests/data/encoder_golden.tsv");

    fn spec() -> EncoderSpec {
        EncoderSpec { id: ENCODER_ID.into(), buckets: 16384, max_features: 512, max_chars: 512, tokens: None }
    }

    fn ids(text: &str) -> Vec<i32> {
        let mut out = Encoded { features: vec![7; 3], tokens: vec![7; 3] };
        Encoder::new(&spec()).unwrap().encode(text, &mut out);
        assert!(out.tokens.is_empty());
        out.features
    }

    /// Share of the structure ids of `a` that `b` has too.
    fn overlap(a: &str, b: &str) -> f64 {
        let structure = |text| ids(text).into_iter().filter(|&id| id <= 8192).collect::<Vec<_>>();
        let (a, b) = (structure(a), structure(b));
        a.iter().filter(|id| b.contains(id)).count() as f64 / a.len() as f64
    }

    #[test]
    fn the_golden_vectors_hold() {
        let encoder = Encoder::new(&spec()).unwrap();
        let mut out = Encoded::default();
        let mut seen = 0;
        for line in GOLDEN.lines().skip(1) {
            let (query, expected) = line.split_once('\t').unwrap();
            let expected: Vec<i32> = expected.split(' ').map(|id| id.parse().unwrap()).collect();
            encoder.encode(query, &mut out);
            assert_eq!(out.features, expected, "{query}");
            seen += 1;
        }
        assert!(seen >= 30, "{seen} golden vectors");
    }

    #[test]
    fn sizes_are_checked() {
        let refused = |change: fn(&mut EncoderSpec), word: &str| {
            let mut spec = spec();
            change(&mut spec);
            let error = Encoder::new(&spec).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(|s| s.id = "other".into(), "other");
        refused(|s| s.buckets = 0, "buckets");
        refused(|s| s.buckets = u32::MAX, "buckets");
        refused(|s| s.max_features = 0, "max_features");
        refused(|s| s.max_features = u32::MAX, "max_features");
        refused(|s| s.max_chars = 0, "max_chars");
        refused(|s| s.max_chars = u32::MAX, "max_chars");
    }

    #[test]
    fn every_text_has_a_feature() {
        for text in ["", " ", "\u{3000}", "?!", "\0", "\u{200b}", "a", "、", "🦀", "\u{301}"] {
            assert!(!ids(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn width_and_composition_do_not_matter() {
        assert_eq!(ids("ＰｏｓｔｇｒｅＳＱＬ　ﾃﾞｰﾀﾍﾞｰｽ"), ids("PostgreSQL データベース"));
        assert_eq!(ids("cafe\u{301} près d'ici"), ids("caf\u{e9} pre\u{300}s d'ici"));
        assert_eq!(ids("what’s new"), ids("what's new"));
    }

    #[test]
    fn case_and_final_punctuation_are_few_features() {
        for (a, b) in [
            ("how do i reset the router", "How do I reset the router?"),
            ("causes of the french revolution", "Causes of the French Revolution."),
            ("索引を作るには", "索引を作るには？"),
        ] {
            assert!(overlap(a, b) > 0.9, "{a}: {}", overlap(a, b));
        }
    }

    #[test]
    fn the_template_forgets_the_topic() {
        // Same build, other words: most of the structure is shared. Other build, same words: less of it.
        let same_build = overlap("walls of the roman camp", "gates of the damp barn");
        let same_words = overlap("walls of the roman camp", "roman camp walls");
        assert!(same_build > 0.4 && same_build > same_words, "{same_build} {same_words}");
        let japanese = overlap("写真の変更", "画像の保存");
        assert!(japanese > 0.5, "{japanese}");
    }

    #[test]
    fn floods_stay_bounded() {
        // U+FDFA expands eighteenfold under NFKC; combining marks pile up on one letter.
        for text in ["\u{fdfa}".repeat(100_000), format!("a{}", "\u{301}".repeat(200_000)), "の".repeat(300_000)] {
            let found = ids(&text);
            assert!(!found.is_empty() && found.len() <= 512);
        }
    }

    #[test]
    fn one_encoder_serves_many_texts() {
        let encoder = Encoder::new(&spec()).unwrap();
        let mut out = Encoded::default();
        for text in ["東京 天気", "", "how to tie a tie", "git log", "東京 天気"] {
            encoder.encode(text, &mut out);
            assert_eq!(out.features, ids(text), "{text}");
        }
    }

    #[test]
    fn the_smallest_sizes_work() {
        let spec = EncoderSpec { buckets: MIN_BUCKETS, max_features: 1, max_chars: 1, ..spec() };
        let mut out = Encoded::default();
        Encoder::new(&spec).unwrap().encode("what is this", &mut out);
        assert_eq!(out.features.len(), 1);
    }

    #[test]
    fn keys_on_one_row_are_neighbours() {
        assert!(on_one_row('a', 's') && on_one_row('d', 'a') && on_one_row('n', 'm'));
        assert!(!on_one_row('a', 'f') && !on_one_row('a', 'q') && !on_one_row('é', 'a'));
    }

    proptest! {
        #[test]
        fn ids_are_within_bounds(text in "\\PC*", buckets in MIN_BUCKETS..40_000, max_features in 1u32..700, max_chars in 1u32..700) {
            let spec = EncoderSpec { buckets, max_features, max_chars, ..spec() };
            let encoder = Encoder::new(&spec).unwrap();
            let (mut out, mut again) = (Encoded::default(), Encoded::default());
            encoder.encode(&text, &mut out);
            encoder.encode(&text, &mut again);
            prop_assert_eq!(&out, &again);
            prop_assert!((1..=max_features as usize).contains(&out.features.len()));
            prop_assert!(out.features.iter().all(|&id| id >= 1 && id <= buckets as i32));
        }

        #[test]
        fn any_characters_are_read(text in proptest::collection::vec(any::<char>(), 0..200)) {
            let text: String = text.into_iter().collect();
            prop_assert!(!ids(&text).is_empty());
        }

        #[test]
        fn mixtures_of_words_and_marks_are_read(text in "([a-zA-Z0-9ぁ-んァ-ヶ一-龠가-힣 '’_.,:;/?！-]|of|what|の|です){0,60}") {
            prop_assert!(ids(&text).iter().all(|&id| id >= 1));
        }
    }
}
