//! Text as it is cut: without what two writings of the same word differ by.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::function_words::is_english_stop_word;
use super::radicals::unified;
use super::script::{is_dash, is_han, is_hiragana, is_ignorable, is_katakana, is_unspaced, is_word};

/// Bytes of a text that may be nothing but stop words.
const MOST_STOP_WORDS: usize = 64;

/// A folded text, and where it had capitals.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    text: String,
    /// A bit for each byte: whether a capital stood there.
    capitals: Vec<u64>,
    /// Whether there is a letter that is no capital.
    has_small: bool,
    only_stop_words: bool,
}

impl Folded {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a capital stood where a character begins.
    pub(super) fn is_capital(&self, at: usize) -> bool {
        self.capitals.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    /// Whether a capital stood anywhere from one place to another.
    pub(super) fn has_capital(&self, start: usize, end: usize) -> bool {
        let mut at = start;
        while at < end {
            let (word, bit) = (at / 64, at % 64);
            let bits = (end - at).min(64 - bit);
            let Some(capitals) = self.capitals.get(word) else { return false };
            if capitals >> bit & (u64::MAX >> (64 - bits)) != 0 {
                return true;
            }
            at += bits;
        }
        false
    }

    /// Whether capitals tell words from others: not all letters are capitals.
    pub(super) fn capitals_tell(&self) -> bool {
        self.has_small
    }

    /// Whether the text is nothing but English stop words.
    pub(super) fn is_only_stop_words(&self) -> bool {
        self.only_stop_words
    }

    fn push(&mut self, c: char) {
        if c.is_uppercase() {
            let at = self.text.len();
            self.capitals.resize(at / 64 + 1, 0);
            self.capitals[at / 64] |= 1 << (at % 64);
            self.text.extend(c.to_lowercase().map(inner_sigma));
        } else {
            self.has_small |= c.is_lowercase() || is_unspaced(c);
            self.text.push(inner_sigma(c));
        }
    }

    fn finished(mut self) -> Self {
        let mut words = self.text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).peekable();
        self.only_stop_words = self.text.len() <= MOST_STOP_WORDS
            && words.peek().is_some()
            && words.all(is_english_stop_word)
            && !self.text.contains(is_unspaced);
        self
    }
}

/// The sigma at the end of a Greek word is that inside of one.
fn inner_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

/// Folds a text:
///
/// - compatibility forms (NFKC), radicals of Han characters among them, and lower case;
/// - without what is not seen, such as soft hyphens and variation selectors;
/// - kana with the voiced marks that stand behind it, and hyphens and dashes that are written for its long vowel as such;
/// - without a line end between two Japanese characters, where a long line was broken.
///
/// Takes time and space in proportion to the text, at most 18 times its length (the largest NFKC expansion).
#[must_use]
pub fn fold(text: &str) -> Folded {
    fold_composed(text, composed)
}

/// The same, and marks of repetition become what they repeat: `時々` is `時時`.
#[must_use]
pub fn fold_repetitions(text: &str) -> Folded {
    fold_composed(text, |text| without_repetitions(&composed(text)))
}

fn fold_composed(text: &str, composed: impl FnOnce(&str) -> String) -> Folded {
    if !text.is_ascii() {
        return folded(&composed(text), |_, _| ());
    }
    let mut folded = Folded { capitals: vec![0; text.len() / 64 + 1], ..Folded::default() };
    for (at, byte) in text.bytes().enumerate() {
        folded.capitals[at / 64] |= u64::from(byte.is_ascii_uppercase()) << (at % 64);
        folded.has_small |= byte.is_ascii_lowercase();
    }
    folded.text = text.to_ascii_lowercase();
    folded.finished()
}

/// Folds what is composed already, and shows how long the folded text has become with the character at a place.
fn folded(composed: &str, mut reached: impl FnMut(usize, usize)) -> Folded {
    let mut folded = Folded::default();
    folded.text.reserve(composed.len());
    for (at, c) in composed.char_indices() {
        let rest = &composed[at + c.len_utf8()..];
        let before = || folded.text.chars().next_back();
        if is_dash(c) && before().is_some_and(is_katakana) && rest.chars().next().is_none_or(ends_katakana) {
            folded.push('ー');
        } else if !matches!(c, '\n' | '\r') || !before().is_some_and(is_japanese) || !goes_on(c, rest) {
            folded.push(c);
        }
        reached(at, folded.text.len());
    }
    folded.finished()
}

/// A folded text that knows where its characters stand in the text.
#[derive(Debug)]
pub struct Traced {
    folded: Folded,
    /// For each byte, and for the end.
    origins: Vec<usize>,
}

impl Traced {
    /// Folds a text as [`fold`] does or, with `repetitions`, as [`fold_repetitions`] does; none for a text that composes over
    /// characters that stand for themselves.
    #[must_use]
    pub fn of(text: &str, repetitions: bool) -> Option<Self> {
        let (mut pieces, mut places) = composed_in_pieces(text);
        if pieces != composed(text) {
            return None;
        }
        if repetitions {
            let without = without_repetitions(&pieces);
            // What is repeated may be longer than its mark.
            if without.len() != pieces.len() {
                return None;
            }
            pieces = without;
        }
        places.push(text.len());
        let mut origins = Vec::with_capacity(pieces.len() + 1);
        let folded = folded(&pieces, |at, length| origins.resize(length, places[at]));
        origins.push(text.len());
        Some(Self { folded, origins })
    }

    /// The folded text.
    #[must_use]
    pub fn folded(&self) -> &Folded {
        &self.folded
    }

    /// The piece of the text that a piece of the folded one was made of, in bytes; whole characters with their marks.
    #[must_use]
    pub fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let start = self.origins[start];
        let behind = self.origins[end..].iter().copied().find(|origin| *origin > start);
        (start, behind.unwrap_or(start))
    }
}

/// NFKC of what counts, and where in the text each of its bytes comes from: piece by piece, each from a character that does
/// not go with the one before to the next such one.
fn composed_in_pieces(text: &str) -> (String, Vec<usize>) {
    let (mut out, mut places) = (String::new(), Vec::new());
    let (mut piece, mut place, mut last) = (String::new(), 0, '\0');
    let mut end = |piece: &mut String, place: usize| {
        for c in piece.nfkc() {
            out.push(c);
            places.resize(out.len(), place);
        }
        piece.clear();
    };
    for (at, c) in text.char_indices().filter(|(_, c)| !is_ignorable(*c)) {
        let c = counted(c, last);
        last = c;
        if !goes_with_former(c) {
            end(&mut piece, place);
            place = at;
        }
        piece.push(c);
    }
    end(&mut piece, place);
    (out, places)
}

/// Whether a character may compose with the one before: a mark, a voiced mark of half width, a vowel or an end of Hangul.
fn goes_with_former(c: char) -> bool {
    canonical_combining_class(c) != 0 || matches!(c, '\u{ff9e}' | '\u{ff9f}' | '\u{1160}'..='\u{11ff}')
}

/// Whether a dash before a character ends a word of katakana or goes on with it.
fn ends_katakana(c: char) -> bool {
    !is_word(c) && !is_han(c)
}

/// Whether Japanese goes on behind one line end, which begins with `c`.
fn goes_on(c: char, rest: &str) -> bool {
    let rest = if c == '\r' { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
    rest.chars().next().is_some_and(is_japanese)
}

fn is_japanese(c: char) -> bool {
    is_han(c) || is_hiragana(c) || is_katakana(c)
}

/// NFKC of what counts.
fn composed(text: &str) -> String {
    let mut last = '\0';
    let seen = text.chars().filter(|c| !is_ignorable(*c)).map(|c| {
        last = counted(c, last);
        last
    });
    seen.nfkc().collect()
}

/// What a character counts as behind another one, before NFKC.
fn counted(c: char, former: char) -> char {
    match c {
        // They would become a space and the mark.
        '\u{309b}' if is_hiragana(former) || is_katakana(former) => '\u{3099}',
        '\u{309c}' if is_hiragana(former) || is_katakana(former) => '\u{309a}',
        '♯' => '#',
        _ => unified(c),
    }
}

/// Marks of repetition, in kana with a voiced mark or without, become what they repeat.
fn without_repetitions(text: &str) -> String {
    let mut last = None;
    let repeated = text.chars().map(|c| {
        let voiced = |c: char| unicode_normalization::char::compose(c, '\u{3099}').unwrap_or(c);
        let unvoiced = |c: char| {
            let mut base = c;
            unicode_normalization::char::decompose_canonical(c, |part| {
                if part != '\u{3099}' {
                    base = part;
                }
            });
            base
        };
        let repeated = match (c, last) {
            ('々' | '〻', Some(last)) if is_han(last) => last,
            ('ゝ', Some(last)) if is_hiragana(last) => unvoiced(last),
            ('ヽ', Some(last)) if is_katakana(last) => unvoiced(last),
            ('ゞ', Some(last)) if is_hiragana(last) => voiced(unvoiced(last)),
            ('ヾ', Some(last)) if is_katakana(last) => voiced(unvoiced(last)),
            (c, _) => c,
        };
        last = Some(repeated);
        repeated
    });
    repeated.collect()
}

/// Hiragana as katakana.
pub fn katakana(text: &str) -> String {
    const DISTANCE: u32 = 0x60;
    let folded = |c: char| match c {
        '\u{3041}'..='\u{3096}' | 'ゝ' | 'ゞ' => char::from_u32(c as u32 + DISTANCE).unwrap_or(c),
        c => c,
    };
    text.chars().map(folded).collect()
}
