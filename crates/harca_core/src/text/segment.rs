//! Cuts text into the lexical units that the text search configuration `harca` indexes and looks up.
//!
//! PostgreSQL's default parser takes a run of Japanese text for one word, so nothing but the whole sentence matches.
//! Here Han, kana and Hangul runs become overlapping pairs of characters (bigrams: no dictionary, nothing is missed,
//! the classic choice for CJK full-text search), and everything else is cut into words at white space and
//! punctuation. Case and width are folded first (NFKC), so `ＮＡＴＯ` meets `nato`.

use unicode_normalization::UnicodeNormalization;

/// What a unit is; a text search configuration maps each kind to its dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A run of letters, which may hold digits.
    Word,
    /// A run of digits, with decimal points or commas between them.
    Number,
    /// Two neighbouring characters of a script without spaces, or a single one standing alone.
    Bigram,
    /// The same of hiragana alone: mostly particles and endings, which say little of what a text is about.
    Kana,
    /// An identifier or code as typed, such as `ef_search` or `E-1042`; its parts follow as units of their own.
    Code,
}

/// A piece of the folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Where it starts in the folded text, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
}

/// Folds case and width: compatibility forms (NFKC) in lower case.
///
/// Takes time and space in proportion to the text, at most 18 times its length (the largest NFKC expansion).
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Whether a text may be cut behind `c` without cutting a unit: no part of a word, of a run of bigrams or of a code.
#[must_use]
pub fn is_separator(c: char) -> bool {
    !is_word(c) && !is_unspaced(c) && !is_code_sign(c)
}

/// The units of a folded text, in reading order.
pub fn units(folded: &str) -> impl Iterator<Item = Unit> {
    let mut cursor = Cursor::default();
    std::iter::from_fn(move || cursor.next(folded))
}

/// The units of a text but for those of hiragana alone, with a space between them, so that it is cut into the same units
/// again; `None` when there are no such, and the text can stay as it is.
#[must_use]
pub fn without_kana(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let folded = fold(text);
    let mut kept = String::with_capacity(2 * folded.len());
    let (mut without, mut code_end) = (true, 0);
    for unit in units(&folded) {
        without &= unit.kind != Kind::Kana;
        // The parts of a code come with the code.
        if unit.kind == Kind::Kana || unit.start < code_end {
            continue;
        }
        if unit.kind == Kind::Code {
            code_end = unit.end;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(&folded[unit.start..unit.end]);
    }
    (!without).then_some(kept)
}

/// A place in a folded text, for callers that cannot keep a borrow of it from unit to unit.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    at: usize,
    /// End of the code whose parts are being given.
    code_end: usize,
    /// Whether the character at `at` has already been half of a bigram.
    in_run: bool,
}

impl Cursor {
    /// The next unit of `text`, which must be the same text at every call.
    pub fn next(&mut self, text: &str) -> Option<Unit> {
        loop {
            let c = char_at(text, self.at)?;
            if is_unspaced(c) {
                match self.bigram(text, c) {
                    Some(unit) => return Some(unit),
                    None => continue,
                }
            }
            if !is_word(c) {
                self.at += c.len_utf8();
                continue;
            }
            let start = self.at;
            if start >= self.code_end
                && let Some(end) = code_end(text, start)
            {
                self.code_end = end;
                if text[start..end].chars().all(|c| c.is_numeric() || c == '.') {
                    self.at = end;
                    return Some(Unit { start, end, kind: Kind::Number });
                }
                return Some(Unit { start, end, kind: Kind::Code });
            }
            let end = word_end(text, start);
            self.at = end;
            let number = text[start..end].chars().all(char::is_numeric);
            return Some(Unit { start, end, kind: if number { Kind::Number } else { Kind::Word } });
        }
    }

    fn bigram(&mut self, text: &str, first: char) -> Option<Unit> {
        let start = self.at;
        let middle = start + first.len_utf8();
        let second = char_at(text, middle).filter(|c| is_unspaced(*c));
        let was_in_run = std::mem::replace(&mut self.in_run, second.is_some());
        self.at = middle;
        // The last character of a run has been in a bigram already.
        if second.is_none() && was_in_run {
            return None;
        }
        let kana = is_hiragana(first) && second.is_none_or(is_hiragana);
        let end = middle + second.map_or(0, char::len_utf8);
        Some(Unit { start, end, kind: if kana { Kind::Kana } else { Kind::Bigram } })
    }
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|rest| rest.chars().next())
}

fn word_end(text: &str, start: usize) -> usize {
    text[start..].find(|c| !is_word(c)).map_or(text.len(), |i| start + i)
}

/// A code is letters or digits joined by single signs; `None` when what starts here is a plain word.
fn code_end(text: &str, start: usize) -> Option<usize> {
    let mut end = word_end(text, start);
    let mut signs = 0;
    while let Some(sign) = char_at(text, end).filter(|c| is_code_sign(*c)) {
        let after = end + sign.len_utf8();
        if !char_at(text, after).is_some_and(is_word) {
            break;
        }
        end = word_end(text, after);
        signs += 1;
    }
    (signs > 0).then_some(end)
}

/// Scripts written without spaces between words, and Hangul, whose particles stick to the words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '\u{e00}'..='\u{e7f}')
}

/// Signs that join the parts of a code.
fn is_code_sign(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '#' | '+')
}

fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

fn is_word(c: char) -> bool {
    (c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)) && !is_unspaced(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let folded = fold(text);
        units(&folded).map(|u| folded[u.start..u.end].to_string()).collect()
    }

    #[test]
    fn mixed_text_is_cut_where_scripts_change() {
        assert_eq!(cut("PostgreSQLの全文検索"), ["postgresql", "の全", "全文", "文検", "検索"]);
        assert_eq!(cut("ＮＡＴＯ　加盟"), ["nato", "加盟"]);
        assert_eq!(cut("牛"), ["牛"]);
        assert_eq!(cut("牛 と 馬"), ["牛", "と", "馬"]);
        assert_eq!(cut("ﾃﾞｰﾀ"), ["デー", "ータ"]);
    }

    #[test]
    fn hiragana_alone_has_a_kind_of_its_own() {
        let kinds: Vec<Kind> = units("食べたいです").map(|u| u.kind).collect();
        assert_eq!(kinds, [Kind::Bigram, Kind::Kana, Kind::Kana, Kind::Kana, Kind::Kana]);
    }

    #[test]
    fn a_text_goes_without_hiragana_alone() {
        assert_eq!(without_kana("検索する ef_search の設定").as_deref(), Some("検索 索す ef_search の設 設定"));
        assert_eq!(without_kana("設定の値 XY-1234"), None);
        assert_eq!(without_kana("how to"), None);
        assert_eq!(without_kana("どうする").as_deref(), Some(""));
    }

    #[test]
    fn codes_are_kept_whole_and_in_parts() {
        assert_eq!(cut("set ef_search = 40"), ["set", "ef_search", "ef", "search", "40"]);
        assert_eq!(cut("E-1042, v1.2.3"), ["e-1042", "e", "1042", "v1.2.3", "v1", "2", "3"]);
        assert_eq!(cut("3.14 is pi."), ["3.14", "is", "pi"]);
        assert_eq!(cut("end. Next"), ["end", "next"]);
    }

    #[test]
    fn a_flood_of_characters_is_linear() {
        let text = "あ".repeat(200_000) + &"a-".repeat(200_000) + &"\u{301}".repeat(200_000);
        assert!(units(&fold(&text)).count() > 200_000);
    }

    proptest! {
        #[test]
        fn what_is_left_without_hiragana_is_cut_as_before(text in "[a-c0-2ぁ-う一-七 、。_.-]{0,30}") {
            let left: Vec<String> = {
                let folded = fold(&text);
                units(&folded).filter(|u| u.kind != Kind::Kana).map(|u| folded[u.start..u.end].to_owned()).collect()
            };
            if let Some(without) = without_kana(&text) {
                prop_assert_eq!(cut(&without), left);
            }
        }

        #[test]
        fn a_text_cut_behind_a_separator_has_the_same_units(text in "[a-c0-2ぁ-う一-七 、。_.-]{0,30}") {
            let whole: Vec<String> = cut(&text);
            for (i, c) in text.char_indices().filter(|(_, c)| is_separator(*c)) {
                let (left, right) = text.split_at(i + c.len_utf8());
                prop_assert_eq!(&[cut(left), cut(right)].concat(), &whole);
            }
        }

        #[test]
        fn units_are_slices_in_order(text in any::<String>()) {
            let folded = fold(&text);
            let mut last = 0;
            for unit in units(&folded) {
                prop_assert!(unit.start >= last && unit.end > unit.start);
                prop_assert!(folded.get(unit.start..unit.end).is_some());
                last = unit.start;
            }
        }

        #[test]
        fn nothing_that_can_be_searched_is_lost(text in "[a-z0-9ぁ-んァ-ン一-龠 ._-]{0,40}") {
            let folded = fold(&text);
            let mut covered = vec![false; folded.len()];
            units(&folded).for_each(|u| covered[u.start..u.end].fill(true));
            for (i, c) in folded.char_indices() {
                prop_assert!(!c.is_alphanumeric() || covered[i], "{c} of {folded}");
            }
        }
    }
}
