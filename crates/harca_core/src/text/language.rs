//! The language a query seems to be in, judged by script and a few function words: cheap, and right where it matters
//! most, between Japanese and English. Words of the language's own (names, code) are common in queries of every
//! language, so the answer is a hint for reports and never changes a query's type.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What [`detect`] can tell apart.
///
/// The numbers stand in the shared cache and in its dumps: one that has been given away never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Language {
    /// Japanese: any kana, or Han characters with none that only Chinese writes.
    Japanese = 1,
    /// English, and any Latin text without function words of another language below.
    English = 2,
    /// German.
    German = 3,
    /// French.
    French = 4,
    /// Spanish.
    Spanish = 5,
    /// Russian, and any other Cyrillic text.
    Russian = 6,
    /// Korean.
    Korean = 7,
    /// Chinese, where simplified characters show it.
    Chinese = 8,
    /// No letters, or another script.
    Undetermined = 9,
}

impl Language {
    /// The ISO 639 code: two letters, or `und`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Russian => "ru",
            Self::Korean => "ko",
            Self::Chinese => "zh",
            Self::Undetermined => "und",
        }
    }

    /// The number that stands for the language where it is stored; never 0.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The language that a number stands for; `None` for a number that [`Self::number`] never gives.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Japanese,
            2 => Self::English,
            3 => Self::German,
            4 => Self::French,
            5 => Self::Spanish,
            6 => Self::Russian,
            7 => Self::Korean,
            8 => Self::Chinese,
            9 => Self::Undetermined,
            _ => return None,
        })
    }
}

/// Most characters that are looked at.
const MAX_CHARS: usize = 256;

/// Function words that English lacks, for the three languages that are told from it.
const FUNCTION_WORDS: [(Language, &[&str]); 3] = [
    (
        Language::German,
        &[
            "der", "die", "das", "und", "ist", "wie", "wer", "wann", "wo", "warum", "welche", "welcher", "ein", "eine",
            "einen", "mit", "für", "auf", "nicht", "von", "zu", "ich", "im", "wurde", "hat",
        ],
    ),
    (
        Language::French,
        &[
            "le", "la", "les", "des", "une", "est", "qui", "que", "quel", "quelle", "où", "comment", "pourquoi", "du",
            "dans", "pour", "avec", "sur", "et", "quand", "au", "aux", "je", "ne", "pas",
        ],
    ),
    (
        Language::Spanish,
        &[
            "el", "los", "las", "una", "es", "qué", "que", "quién", "cuál", "cómo", "dónde", "cuándo", "por", "para",
            "con", "del", "en", "y", "fue", "un", "se", "cuántos", "está", "mi", "sin",
        ],
    ),
];

/// For each language of [`FUNCTION_WORDS`] a bit per word of its list.
type Places = [u32; FUNCTION_WORDS.len()];

/// The function words, packed and in order, each with its places in the lists: [`detect`] takes half as long as with a
/// comparison of every word of a text with all of them.
static PLACES: LazyLock<Vec<(u64, Places)>> = LazyLock::new(|| {
    let mut places = BTreeMap::<u64, Places>::new();
    for (language, (_, list)) in FUNCTION_WORDS.iter().enumerate() {
        for (i, word) in list.iter().enumerate() {
            if let Some(packed) = pack(word.bytes()) {
                places.entry(packed).or_default()[language] |= 1 << i;
            }
        }
    }
    places.into_iter().collect()
});

/// A word of at most 8 bytes as a number, ASCII letters as small ones; no function word is longer.
fn pack(word: impl ExactSizeIterator<Item = u8>) -> Option<u64> {
    (word.len() <= 8).then(|| word.fold(0, |packed, byte| packed << 8 | u64::from(byte.to_ascii_lowercase())))
}

/// Common characters that only simplified Chinese writes.
const SIMPLIFIED: &str =
    "们这说时为问么吗谁怎对过还开关东车长门间见让给种样书买卖语话请谢难电脑网络图视频软应该际报战爱";

/// Judges the first 256 characters of `text`.
#[must_use]
pub fn detect(text: &str) -> Language {
    let (mut latin, mut cyrillic, mut han, mut hangul, mut simplified) = (0, 0, 0, 0, false);
    for c in text.chars().take(MAX_CHARS) {
        match c {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | 'ａ'..='ｚ' | 'Ａ'..='Ｚ' => latin += 1,
            '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}' => return Language::Japanese,
            '\u{3005}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => {
                han += 1;
                simplified |= SIMPLIFIED.contains(c);
            }
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => hangul += 1,
            '\u{400}'..='\u{52f}' => cyrillic += 1,
            _ => {}
        }
    }
    if hangul > 0 {
        Language::Korean
    } else if han > 0 {
        if simplified { Language::Chinese } else { Language::Japanese }
    } else if cyrillic > latin {
        Language::Russian
    } else if latin > 0 {
        latin_language(text)
    } else {
        Language::Undetermined
    }
}

fn latin_language(text: &str) -> Language {
    let mut votes = Places::default();
    let mut words = 0u32;
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(i, _)| i);
    for word in text[..end].split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && w.len() <= 16) {
        words += 1;
        let packed = if word.is_ascii() { pack(word.bytes()) } else { pack(word.to_lowercase().bytes()) };
        if let Some(packed) = packed
            && let Ok(known) = PLACES.binary_search_by_key(&packed, |(known, _)| *known)
        {
            votes.iter_mut().zip(PLACES[known].1).for_each(|(vote, place)| *vote |= place);
        }
    }
    // "la" and "die" also stand in English names: one word, or one in six, is no proof.
    let seen = votes.map(u32::count_ones);
    let best = (0..seen.len()).rev().max_by_key(|i| seen[*i]).unwrap_or(0);
    if seen[best] >= 2 && seen[best] * 6 >= words { FUNCTION_WORDS[best].0 } else { Language::English }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_function_words_decide() {
        for (text, code) in [
            ("", "und"),
            ("123 ???", "und"),
            ("東京タワーの高さ", "ja"),
            ("全文検索", "ja"),
            ("PostgreSQL ベクトル検索", "ja"),
            ("如何为这个表建立索引", "zh"),
            ("한국어 검색", "ko"),
            ("кто изобрёл радио", "ru"),
            ("vector index", "en"),
            ("die hard", "en"),
            ("la la land soundtrack", "en"),
            ("wer hat das Telefon erfunden", "de"),
            ("qui est le maire de la ville", "fr"),
            ("cuál es el río más largo del mundo", "es"),
        ] {
            assert_eq!(detect(text).code(), code, "{text}");
        }
    }

    #[test]
    fn a_number_stands_for_one_language_for_ever() {
        let known = ["ja", "en", "de", "fr", "es", "ru", "ko", "zh", "und"];
        for number in 0..=u8::MAX {
            let language = Language::from_number(number);
            let expected = usize::from(number).checked_sub(1).and_then(|i| known.get(i).copied());
            assert_eq!(language.map(Language::code), expected);
            assert!(language.is_none_or(|l| l.number() == number));
        }
    }

    #[test]
    fn every_function_word_counts_in_any_case() {
        for (language, list) in FUNCTION_WORDS {
            for word in list {
                // Two words are a proof: this one, and another that no other language of the three has.
                let own = |other: &&&str| {
                    *other != word && FUNCTION_WORDS.iter().filter(|(_, list)| list.contains(other)).count() == 1
                };
                let text = format!("{} {}", word.to_uppercase(), list.iter().find(own).unwrap());
                assert_eq!(detect(&text), language, "{text}");
            }
        }
    }

    #[test]
    fn a_long_text_costs_no_more_than_its_beginning() {
        let text = "word ".repeat(1_000_000);
        assert_eq!(detect(&text), Language::English);
    }
}
