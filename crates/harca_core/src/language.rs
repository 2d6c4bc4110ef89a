//! The language a query seems to be in, judged by script and a few function words: cheap, and right where it matters
//! most, between Japanese and English. Words of the language's own (names, code) are common in queries of every
//! language, so the answer is a hint for reports and never changes a query's type.

/// What [`detect`] can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Japanese: any kana, or Han characters with none that only Chinese writes.
    Japanese,
    /// English, and any Latin text without function words of another language below.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Russian, and any other Cyrillic text.
    Russian,
    /// Korean.
    Korean,
    /// Chinese, where simplified characters show it.
    Chinese,
    /// No letters, or another script.
    Undetermined,
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
    // A bit for each word of a list that was seen.
    let mut votes = [0u32; FUNCTION_WORDS.len()];
    let mut words = 0u32;
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(i, _)| i);
    for word in text[..end].split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && w.len() <= 16) {
        words += 1;
        let lower = word.to_lowercase();
        for (vote, (_, list)) in votes.iter_mut().zip(FUNCTION_WORDS) {
            *vote |= list.iter().position(|known| *known == lower).map_or(0, |i| 1 << i);
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
    fn a_long_text_costs_no_more_than_its_beginning() {
        let text = "word ".repeat(1_000_000);
        assert_eq!(detect(&text), Language::English);
    }
}
