//! Text as it is cut: without what two writings of the same word differ by.

use unicode_normalization::UnicodeNormalization;

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
    let mut folded = Folded::default();
    if text.is_ascii() {
        folded.capitals = vec![0; text.len() / 64 + 1];
        for (at, byte) in text.bytes().enumerate() {
            folded.capitals[at / 64] |= u64::from(byte.is_ascii_uppercase()) << (at % 64);
            folded.has_small |= byte.is_ascii_lowercase();
        }
        folded.text = text.to_ascii_lowercase();
        return folded.finished();
    }
    let composed = composed(text);
    folded.text.reserve(composed.len());
    for (at, c) in composed.char_indices() {
        let rest = &composed[at + c.len_utf8()..];
        let before = || folded.text.chars().next_back();
        if is_dash(c) && before().is_some_and(is_katakana) && rest.chars().next().is_none_or(ends_katakana) {
            folded.push('ー');
        } else if !matches!(c, '\n' | '\r') || !before().is_some_and(is_japanese) || !goes_on(c, rest) {
            folded.push(c);
        }
    }
    folded.finished()
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
        let c = match c {
            // They would become a space and the mark.
            '\u{309b}' if is_hiragana(last) || is_katakana(last) => '\u{3099}',
            '\u{309c}' if is_hiragana(last) || is_katakana(last) => '\u{309a}',
            '♯' => '#',
            _ => unified(c),
        };
        last = c;
        c
    });
    seen.nfkc().collect()
}
