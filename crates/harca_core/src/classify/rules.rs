//! The classifier that answers when no model can: surface signs of the labelling guide, no weights, no files.
//!
//! It is right for most questions and most bare terms, and knows little of what lies between. Its confidence says so:
//! no answer but `unknown` is given more than 0.7.

use unicode_normalization::UnicodeNormalization;

use crate::classify::classification::{Classification, Scores};
use crate::model::manifest::UNKNOWN;
use crate::text::language::{self, Language};

/// The labels of [`classify`], in the order of its scores.
pub const LABELS: [&str; 4] = ["keyword", "semantic", "hybrid", UNKNOWN];

/// The name under which answers of the rules are shown in the `model` column.
pub const NAME: &str = "rules";

const KEYWORD: usize = 0;
const SEMANTIC: usize = 1;
const HYBRID: usize = 2;

/// Most characters that are looked at; a longer text is a sentence in all likelihood.
const MAX_CHARS: usize = 512;

const OPENERS: &[&str] = &[
    "how", "what", "whats", "what's", "why", "who", "whom", "whose", "when", "where", "which", "is", "are", "am",
    "was", "were", "do", "does", "did", "can", "could", "should", "would", "will", "has", "have", "had", "may", "tell",
    "show", "explain", "find", "give", "list", "describe", "i", "we", "wie", "wer", "wann", "warum", "welche", "qui",
    "quel", "quelle", "comment", "pourquoi", "cómo", "qué", "quién", "cuál", "cuándo", "dónde",
];

const RELATIONS: &[&str] = &[
    "of",
    "for",
    "in",
    "on",
    "with",
    "without",
    "between",
    "vs",
    "versus",
    "near",
    "from",
    "to",
    "by",
    "about",
    "against",
    "using",
    "at",
    "best",
    "top",
    "comparison",
    "difference",
    "tutorial",
];

const JA_SENTENCE_ENDS: &[&str] = &[
    "か",
    "は",
    "とは",
    "ですか",
    "ますか",
    "する",
    "したい",
    "ください",
    "て",
    "ない",
    "た",
    "です",
    "ます",
    "だ",
    "れる",
    "できる",
    "なの",
    "何",
    "誰",
    "どこ",
    "いつ",
];

const JA_RELATIONS: &[&str] = &["の", "での", "への", "から", "による", "における", "と", "で"];

/// Whether `text` holds anything to search for: two letters or digits, or one character that is a word by itself, as
/// Han characters and some programming languages are.
#[must_use]
pub fn is_searchable(text: &str) -> bool {
    let mut seen = 0;
    for c in text.chars().filter(|c| c.is_alphanumeric()) {
        seen += 1;
        if seen == 2 || is_han(c) {
            return true;
        }
    }
    seen == 1 && is_programming_language(text)
}

/// Whether a text of one letter is the name of a programming language: `C`, `R`, `C++`, `F#`.
fn is_programming_language(text: &str) -> bool {
    let name: String = text.nfkc().filter(|c| !c.is_whitespace()).take(4).collect();
    let name = name.trim_end_matches(['?', '!', '.', '。']).to_ascii_lowercase();
    matches!(name.as_str(), "c" | "r" | "c++" | "g++" | "c#" | "f#" | "j#" | "q#")
}

/// Classifies by surface signs; never fails, and reads at most the first 512 characters.
#[must_use]
pub fn classify(text: &str) -> Classification {
    let language = language::detect(text);
    if !is_searchable(text) {
        return Classification::unsearchable(&LABELS.map(String::from), language);
    }
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(i, _)| i);
    let label = match language {
        Language::Japanese => japanese(text[..end].trim()),
        _ => spaced(text[..end].trim()),
    };
    let mut scores = [0.145, 0.145, 0.145, 0.01];
    scores[label] = 0.7;
    Classification::from_scores(Scores::new(&scores), language)
}

/// Languages with spaces between words.
fn spaced(text: &str) -> usize {
    if text.ends_with('?') || text.ends_with('？') {
        return SEMANTIC;
    }
    let words: Vec<String> =
        text.split_whitespace().map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()).collect();
    let has = |list: &[&str], word: &String| list.contains(&word.as_str());
    if words.len() > 1 && words.first().is_some_and(|w| has(OPENERS, w)) || words.len() > 12 {
        SEMANTIC
    } else if words.len() > 2 && words.iter().any(|w| has(RELATIONS, w)) {
        HYBRID
    } else {
        KEYWORD
    }
}

fn japanese(text: &str) -> usize {
    if text.ends_with(['?', '？', '。']) {
        return SEMANTIC;
    }
    let last_word = text.split_whitespace().next_back().unwrap_or(text);
    let hiragana = text.chars().filter(|c| is_hiragana(*c)).count();
    // A name may end in any of these; a sentence also has particles before its end.
    if hiragana > 1 && JA_SENTENCE_ENDS.iter().any(|end| last_word.ends_with(end)) {
        return SEMANTIC;
    }
    let inner = text.char_indices().nth(1).map_or("", |(i, _)| &text[i..]);
    if hiragana > 0 && JA_RELATIONS.iter().any(|r| inner.contains(r) && !inner.ends_with(r)) { HYBRID } else { KEYWORD }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3005}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
        || matches!(c, '\u{20000}'..='\u{3ffff}')
}

fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(text: &str) -> &'static str {
        LABELS[usize::from(classify(text).label.unwrap())]
    }

    #[test]
    fn nothing_to_search_for_is_unknown() {
        for text in
            ["", " \t\n", "?!…", "。。。", "a", "あ", "7", "👍", "\u{3000}", "\u{200b}", "a++", "x#", "C+", "c/"]
        {
            assert_eq!(label(text), "unknown", "{text:?}");
            assert_eq!(classify(text).confidence, 1.0);
        }
        for text in ["牛", "C7", "a b", "go", "C", " r ", "C++", "c#", "Ｆ＃", "R?", "C ++", "g++"] {
            assert_ne!(label(text), "unknown", "{text:?}");
        }
    }

    #[test]
    fn surface_signs_decide() {
        for (text, expected) in [
            ("hnsw ef_search", "keyword"),
            ("how do backends share memory", "semantic"),
            ("restaurants near the old harbour", "hybrid"),
            ("ベクトル 索引 設定", "keyword"),
            ("索引はどう作りますか", "semantic"),
            ("バックアップから復元する", "semantic"),
            ("配列の並べ替え", "hybrid"),
        ] {
            assert_eq!(label(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_a_distribution(text in any::<String>()) {
            let answer = classify(&text);
            let sum: f32 = answer.scores.as_slice().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
            prop_assert_eq!(answer.scores.as_slice().len(), LABELS.len());
        }
    }
}
