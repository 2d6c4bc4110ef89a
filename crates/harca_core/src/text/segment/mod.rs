//! Cuts text into the lexical units that the text search configuration `harca` indexes and looks up.
//!
//! PostgreSQL's default parser takes a run of Japanese text for one word, so nothing but the whole sentence matches.
//! Here Han, kana and Hangul runs become overlapping pairs of characters (bigrams: no dictionary, nothing is missed,
//! the classic choice for CJK full-text search), and everything else is cut into words at white space and
//! punctuation. What two writings of one word differ by is folded first: `ＮＡＴＯ` meets `nato`.
//!
//! A word, number or code that has parts, or that others write in another way, gives several units, as it is and beside that
//! in its parts or joined, so that each writing finds the others and the same one is found best.
//!
//! - [`fold`]: what is folded. `words`: words, numbers and codes. `script`: what characters are. `function_words`: words that
//!   say little. `radicals`: a table.
//! - [`Room`]: how much of a long text is given.

use std::collections::VecDeque;

mod fold;
mod function_words;
mod radicals;
mod room;
mod script;
mod words;

pub use fold::{Folded, Traced, fold, fold_repetitions};
pub use room::{CUT, FITS, Room};
use script::{is_code_sign, is_han, is_hiragana, is_unspaced, is_word};

/// How text is cut, as a number that changes whenever it is cut in another way: a stored `tsvector` of another version has
/// other lexemes.
pub const VERSION: i32 = 2;

/// Bytes of a unit that PostgreSQL can store (`MAXSTRLEN` in `tsearch/ts_type.h`); a longer one is left out.
const LONGEST: usize = 2046;

/// What a unit is; a text search configuration maps each kind to its dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A run of letters, which may hold digits.
    Word,
    /// A run of digits, with decimal points between them.
    Number,
    /// Two neighbouring characters of a script without spaces, a single one standing alone, or a kanji and the word or number
    /// beside it.
    Bigram,
    /// Two hiragana, which may be part of a word.
    Kana,
    /// Two hiragana, or one alone, that say little of what a text is about: parts of particles and endings.
    Particle,
    /// An identifier or code as typed, such as `ef_search` or `E-1042`, whose parts follow as units of their own; a name with
    /// its signs, such as `c++`; a pictograph; an English stop word that is meant.
    Code,
}

/// The text of a unit: a piece of the folded text, or what is made of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where the piece begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What is made of it, where that does not stand there as it is.
    pub made: Option<Box<str>>,
}

/// What is indexed and looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// How it is written.
    pub text: Text,
    /// What it is.
    pub kind: Kind,
}

impl Text {
    fn slice(start: usize, end: usize) -> Self {
        Self { start, end, made: None }
    }

    fn made(start: usize, end: usize, text: String) -> Self {
        Self { start, end, made: Some(text.into()) }
    }

    /// The characters, of the folded text that it was cut from.
    #[must_use]
    pub fn of<'a>(&'a self, folded: &'a Folded) -> &'a str {
        self.made.as_deref().unwrap_or(&folded.as_str()[self.start..self.end])
    }
}

/// Whether a text may be cut behind `c` without cutting a unit: no part of a word, of a run of bigrams or of a code, nor what
/// its neighbours are read by.
#[must_use]
pub fn is_separator(c: char) -> bool {
    !is_word(c)
        && !is_unspaced(c)
        && !is_code_sign(c)
        && !script::is_dash(c)
        && !script::is_regional_indicator(c)
        && !script::is_ignorable(c)
        && !matches!(c, ',' | '\n' | '\r' | '♯' | '\u{309b}' | '\u{309c}' | '\u{2e80}'..='\u{2eff}')
}

/// The units of a folded text, in reading order.
pub fn units(folded: &Folded) -> impl Iterator<Item = Unit> {
    let mut cursor = Cursor::default();
    std::iter::from_fn(move || cursor.next(folded))
}

/// A text without the particles in it, with a space where one has been, so that it is cut into the other units again; `None`
/// when there are no such, and the text can stay as it is.
#[must_use]
pub fn without_particles(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let folded = fold(text);
    let text = folded.as_str();
    let mut kept = String::with_capacity(2 * text.len());
    let mut any = false;
    // Whether the character at hand is in a run, and whether it has been written as the second one of a pair.
    let (mut in_run, mut written) = (false, false);
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if !is_unspaced(c) {
            match folded.is_capital(at) {
                true => kept.extend(c.to_uppercase()),
                false => kept.push(c),
            }
            (in_run, written) = (false, false);
            continue;
        }
        let second = char_at(text, end).filter(|c| is_unspaced(*c));
        let is_pair_of_particle = |second: char| {
            is_hiragana(c) && is_hiragana(second) && function_words::is_particle(&text[at..end + second.len_utf8()])
        };
        let leaves = match second {
            Some(second) => is_pair_of_particle(second),
            None => is_hiragana(c) && !in_run,
        };
        any |= leaves;
        if leaves {
            if !kept.ends_with(' ') {
                kept.push(' ');
            }
        } else if !written && (second.is_some() || !in_run) {
            kept.push(c);
        }
        written = second.is_some() && !leaves;
        if let Some(second) = second.filter(|_| written) {
            kept.push(second);
        }
        in_run = second.is_some();
    }
    any.then(|| kept.trim().to_owned())
}

/// A place in a folded text, for callers that cannot keep a borrow of it from unit to unit.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    at: usize,
    /// Whether the character at `at` has already been half of a bigram.
    in_run: bool,
    /// Where the last word or number ended, and what a kanji there is joined to.
    beside: Option<(usize, Text)>,
    /// Units of what has been read.
    read: VecDeque<Unit>,
    /// Whether hiragana are given as katakana, but for particles.
    folds_kana: bool,
}

impl Cursor {
    /// The beginning of a text whose hiragana are given as katakana, but for particles, which would be parts of many words.
    #[must_use]
    pub fn folding_kana() -> Self {
        Self { folds_kana: true, ..Self::default() }
    }

    /// The next unit of a text, which must be the same text at every call.
    pub fn next(&mut self, folded: &Folded) -> Option<Unit> {
        loop {
            while let Some(unit) = self.read.pop_front() {
                let text = unit.text.of(folded);
                if text.len() > LONGEST {
                    continue;
                }
                if self.folds_kana && matches!(unit.kind, Kind::Bigram | Kind::Kana) && text.contains(is_hiragana) {
                    let made = fold::katakana(text);
                    return Some(Unit { text: Text::made(unit.text.start, unit.text.end, made), kind: unit.kind });
                }
                return Some(unit);
            }
            let c = char_at(folded.as_str(), self.at)?;
            if is_unspaced(c) {
                self.bigram(folded, c);
            } else if let Some(found) = words::take(folded, self.at, &mut self.read) {
                self.at = found.end;
                self.beside = Some((found.end, found.last));
            } else {
                self.at += c.len_utf8();
            }
        }
    }

    /// Reads one character of a script without spaces, and what it makes with the next one.
    fn bigram(&mut self, folded: &Folded, first: char) {
        let text = folded.as_str();
        let start = self.at;
        let middle = start + first.len_utf8();
        let second = char_at(text, middle).filter(|c| is_unspaced(*c));
        let was_in_run = std::mem::replace(&mut self.in_run, second.is_some());
        self.at = middle;
        let mut joined = false;
        let mut join = |read: &mut VecDeque<Unit>, left: &Text, right: &Text| {
            joined = true;
            let made = [left.of(folded), right.of(folded)].concat();
            read.push_back(Unit { text: Text::made(left.start, right.end, made), kind: Kind::Bigram });
        };
        let character = Text::slice(start, middle);
        if let Some((_, word)) = self.beside.take().filter(|(end, _)| *end == start && is_han(first)) {
            join(&mut self.read, &word, &character);
        }
        if let Some(second) = second {
            let end = middle + second.len_utf8();
            let kind = match () {
                () if !is_hiragana(first) || !is_hiragana(second) => Kind::Bigram,
                () if function_words::is_particle(&text[start..end]) => Kind::Particle,
                () => Kind::Kana,
            };
            self.read.push_back(Unit { text: Text::slice(start, end), kind });
            return;
        }
        let behind = char_at(text, middle).filter(|c| is_han(first) && is_word(*c));
        if let Some(found) = behind.and_then(|_| words::take(folded, middle, &mut VecDeque::new())) {
            join(&mut self.read, &character, &found.first);
        }
        // The last character of a run has been in a bigram already, and so has one beside a word.
        if !was_in_run && !joined {
            let kind = if is_hiragana(first) { Kind::Particle } else { Kind::Bigram };
            self.read.push_back(Unit { text: character, kind });
        }
    }
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|rest| rest.chars().next())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let folded = fold(text);
        units(&folded).map(|unit| unit.text.of(&folded).to_owned()).collect()
    }

    fn kinds(text: &str) -> Vec<(String, Kind)> {
        let folded = fold(text);
        units(&folded).map(|unit| (unit.text.of(&folded).to_owned(), unit.kind)).collect()
    }

    fn kind(text: &str, of: &str) -> Option<Kind> {
        kinds(text).into_iter().find(|(unit, _)| unit == of).map(|(_, kind)| kind)
    }

    /// Whether a text has all units of a query that are looked for, which are some.
    fn finds(query: &str, text: &str) -> bool {
        let has = cut(text);
        let asked: Vec<String> =
            kinds(query).into_iter().filter(|(_, kind)| *kind != Kind::Particle).map(|(unit, _)| unit).collect();
        !asked.is_empty() && asked.iter().all(|unit| has.contains(unit))
    }

    #[test]
    fn mixed_text_is_cut_where_scripts_change() {
        assert_eq!(cut("PostgreSQLの全文検索"), ["postgresql", "postgre", "sql", "の全", "全文", "文検", "検索"]);
        assert_eq!(cut("ＮＡＴＯ　加盟"), ["nato", "加盟"]);
        assert_eq!(cut("牛"), ["牛"]);
        assert_eq!(cut("牛 と 馬"), ["牛", "と", "馬"]);
        assert_eq!(cut("ﾃﾞｰﾀ"), ["デー", "ータ"]);
    }

    #[test]
    fn a_kanji_beside_a_word_or_number_counts() {
        assert_eq!(cut("X線検査の予約"), ["x", "x線", "線検", "検査", "査の", "の予", "予約"]);
        assert_eq!(cut("X線"), ["x", "x線"]);
        assert_eq!(cut("第12回"), ["第12", "12", "12回"]);
        assert_eq!(cut("約1,000.5人"), ["約1000.5", "1000.5", "1000", "1000.5人"]);
        assert_eq!(cut("ver.2版"), ["ver.2", "ver", "2", "2版"]);
        assert!(finds("X線", "X線検査の予約") && !finds("X線", "X 検査"));
        assert!(finds("12月", "12月の売上") && !finds("12月", "12日の売上"));
        assert!(finds("B型肝炎", "慢性B型肝炎の治療"));
    }

    #[test]
    fn hiragana_is_told_from_particles() {
        let kinds: Vec<Kind> = kinds("食べたいです").into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, [Kind::Bigram, Kind::Kana, Kind::Particle, Kind::Particle, Kind::Particle]);
        assert_eq!(kind("さくらの開花", "さく"), Some(Kind::Kana));
        assert_eq!(kind("が", "が"), Some(Kind::Particle));
    }

    #[test]
    fn a_text_goes_without_particles() {
        assert_eq!(without_particles("検索した ef_search の設定を").as_deref(), Some("検索し  ef_search の設定を"));
        assert_eq!(without_particles("設定の値 XY-1234"), None);
        assert_eq!(without_particles("how to"), None);
        assert_eq!(without_particles("です").as_deref(), Some(""));
        assert_eq!(without_particles("ITです、GetUserが").as_deref(), Some("IT 、GetUser"));
    }

    #[test]
    fn japanese_is_found_as_others_write_it() {
        for (query, text) in [
            ("検索", "全文検\n索エンジン"),
            ("検索", "全文検\r\n索エンジン"),
            ("葛飾区", "\u{845b}\u{e0100}飾区"),
            ("\u{845b}\u{e0100}飾区", "葛飾区"),
            ("サーバー", "サ－バ－"),
            ("サーバー", "サ―バ―の設定"),
            ("サーバー", "ｻｰﾊﾞｰ"),
            ("ガイド", "カ゛イト゛"),
            ("パン", "ハ゜ン"),
            ("西", "\u{2ec4}"),
            ("母国", "\u{2e9f}国"),
            ("IT", "IT導入補助金"),
            ("IT導入補助金", "IT導入補助金の申請"),
        ] {
            assert!(finds(query, text), "{query} in {text}: {:?} and {:?}", cut(query), cut(text));
        }
        assert!(!finds("検索", "全文検 索エンジン") && !finds("検索", "全文検\n\n索エンジン"));
        assert_eq!(cut("トヨタ-日産"), ["トヨ", "ヨタ", "日産"]);
        assert_eq!(cut("データ - 分析"), ["デー", "ータ", "分析"]);
    }

    #[test]
    fn kana_and_repetitions_are_folded_where_that_is_asked_for() {
        let cut = |text: &str| -> Vec<String> {
            let folded = fold_repetitions(text);
            let mut cursor = Cursor::folding_kana();
            let units = std::iter::from_fn(|| cursor.next(&folded));
            units.filter(|unit| unit.kind != Kind::Particle).map(|unit| unit.text.of(&folded).to_owned()).collect()
        };
        assert_eq!(cut("時々"), cut("時時"));
        assert_eq!(cut("みすゞ飴"), cut("みすず飴"));
        assert_eq!(cut("いすゞ"), cut("イスズ"));
        assert_eq!(cut("金子みすゞ"), cut("金子みすず"));
        assert_eq!(cut("バナヽ"), cut("バナナ"));
        assert!(cut("がっこう").iter().all(|unit| cut("ガッコウ").contains(unit)) && !cut("がっこう").is_empty());
        assert_eq!(cut("です"), [""; 0]);
        assert_eq!(cut("デスク"), ["デス", "スク"]);
    }

    #[test]
    fn stop_words_that_are_meant_are_words() {
        for text in ["IT導入補助金", "the IT department", "IT", "AT&T and others", "to be or not to be", "of"] {
            let word = text.split([' ', '導', '&']).find(|word| *word != "the").unwrap().to_lowercase();
            assert_eq!(kind(text, &word), Some(Kind::Code), "{word} in {text}");
        }
        assert_eq!(kind("what is it", "it"), Some(Kind::Code), "nothing but stop words");
        assert_eq!(kind("Is it raining", "it"), Some(Kind::Word));
        assert_eq!(kind("HOW DO I INSTALL IT", "it"), Some(Kind::Word), "capitals everywhere tell nothing");
        assert_eq!(kind("AT&T and others", "at&t"), Some(Kind::Code));
    }

    #[test]
    fn codes_are_kept_whole_and_in_parts() {
        assert_eq!(cut("set ef_search = 40"), ["set", "ef_search", "ef", "search", "40"]);
        assert_eq!(cut("E-1042, end"), ["e-1042", "e", "1042", "e1042", "end"]);
        assert_eq!(cut("AX-1200/B"), ["ax-1200/b", "ax", "1200", "b", "ax1200"]);
        assert_eq!(cut("Wi-Fi"), ["wifi", "wi", "fi"]);
        assert_eq!(cut("end. Next"), ["end", "next"]);
        assert_eq!(cut("a@example.com"), ["a@example.com", "a", "example", "com"]);
        assert!(finds("AX1200", "AX-1200/B") && finds("wifi", "Wi-Fi"));
    }

    #[test]
    fn names_keep_their_signs() {
        assert_eq!(cut("C++ and C#, F#; .NET!"), ["c++", "c", "and", "c#", "c", "f#", "f", ".net", "net"]);
        assert_eq!(cut("C/C++"), ["c/c++", "c", "c++", "c"]);
        assert_eq!(cut("C++11"), ["c++", "c", "11"]);
        assert_eq!(cut("C♯"), ["c#", "c"]);
        assert_eq!(cut("ASP.NET"), ["asp.net", "asp", "net"]);
        assert_eq!(cut("#42 @user"), ["#42", "42", "@user", "user"]);
        assert_eq!(cut("1+1=2, 50+"), ["1+1", "1", "1", "2", "50"]);
        assert_eq!(cut("..."), [""; 0]);
    }

    #[test]
    fn words_have_parts_where_case_changes_or_digits_begin() {
        assert_eq!(cut("getUserById"), ["getuserbyid", "get", "user", "by", "id"]);
        assert_eq!(cut("XMLHttpRequest"), ["xmlhttprequest", "xml", "http", "request"]);
        assert_eq!(cut("Windows11の設定"), ["windows11", "windows", "11", "の設", "設定"]);
        assert_eq!(cut("iPhone15Pro"), ["iphone15pro", "phone", "15", "pro"]);
        assert_eq!(cut("16GB"), ["16gb", "16", "gb"]);
        for whole in ["v1", "b2b", "APIs", "IDs", "Hello", "HELLO", "9f86d081884c7d659a2feaa0c55ad015"] {
            assert_eq!(cut(whole), [whole.to_lowercase()]);
        }
        assert!(finds("Windows 11", "Windows11の設定") && !finds("Windows 11", "Windows 10"));
    }

    #[test]
    fn numbers_are_found_by_their_beginnings() {
        assert_eq!(cut("3.14 is pi."), ["3.14", "3", "is", "pi"]);
        assert_eq!(cut("1.2.3"), ["1.2.3", "1.2", "1"]);
        assert_eq!(cut("v1.2.3"), ["v1.2.3", "v1", "1.2.3", "1.2", "1"]);
        assert_eq!(cut("16.4-beta2"), ["16.4-beta2", "16.4", "16", "beta2", "beta", "2", "4beta2"]);
        assert_eq!(cut("1,000 or 12,345,678.90"), ["1000", "or", "12345678.90", "12345678"]);
        assert_eq!(cut("1,00 and 1,0000"), ["1", "00", "and", "1", "0000"]);
        assert_eq!(cut("03-1234-5678"), ["03-1234-5678", "03", "1234", "5678", "0312345678"]);
        assert_eq!(cut("12:30"), ["12:30", "12", "30"]);
    }

    #[test]
    fn accents_are_folded_beside_the_word() {
        assert_eq!(cut("Café"), ["café", "cafe"]);
        assert_eq!(cut("cafe\u{301}"), ["café", "cafe"]);
        assert_eq!(cut("Straße Łódź"), ["straße", "strasse", "łódź", "lodz"]);
        assert_eq!(cut("Ὀδυσσεύς ЁЛКА"), ["ὀδυσσεύσ", "οδυσσευσ", "ёлка", "елка"]);
        assert_eq!(cut("हिन्दी"), ["हिन्दी"]);
    }

    #[test]
    fn what_is_not_seen_is_no_matter() {
        assert_eq!(cut("soft\u{ad}ware zero\u{200b}width"), ["software", "zerowidth"]);
        assert_eq!(cut("❤\u{fe0f} 👍🏽 👩\u{200d}💻"), ["❤", "👍", "👩", "💻"]);
        assert_eq!(cut("1\u{fe0f}\u{20e3} Harca™"), ["1", "harca"]);
        assert_eq!(cut("🇯🇵🇫🇷"), ["🇯🇵", "🇫🇷"]);
        assert!(!finds("❤\u{fe0f}", "✂\u{fe0f}"));
    }

    #[test]
    fn a_traced_text_knows_where_its_characters_stand() {
        let text = "Ｘ線のﾃﾞｰﾀ cafe\u{301} soft\u{ad}ware 検\n索";
        let traced = Traced::of(text, false).unwrap();
        let place = |written: &str| {
            let unit = units(traced.folded()).find(|unit| unit.text.of(traced.folded()) == written).unwrap();
            let (start, end) = traced.origin(unit.text.start, unit.text.end);
            &text[start..end]
        };
        assert_eq!((place("x"), place("x線")), ("Ｘ", "Ｘ線"));
        assert_eq!((place("デー"), place("ータ")), ("ﾃﾞｰ", "ｰﾀ"));
        assert_eq!((place("café"), place("cafe")), ("cafe\u{301}", "cafe\u{301}"));
        assert_eq!((place("software"), place("検索")), ("soft\u{ad}ware", "検\n索"));
        let repeated = Traced::of("時々", true).unwrap();
        assert_eq!((repeated.folded().as_str(), repeated.origin(0, 6)), ("時時", (0, 6)));
    }

    #[test]
    fn a_flood_of_characters_is_linear() {
        let parts = ["あ", "a-", "\u{301}", "1.", "1,", "1,111,", "aB", "c++", "🇯", "検\n", "é", "バ-"];
        for part in parts {
            let text = part.repeat(100_000);
            units(&fold(&text)).for_each(drop);
        }
    }

    proptest! {
        #[test]
        fn what_is_left_without_particles_is_cut_as_before(text in "[a-cA-C0-2ぁ-ん一-七ア-ウ 、。,_.+#-]{0,30}") {
            let left: Vec<String> =
                kinds(&text).into_iter().filter(|(_, kind)| *kind != Kind::Particle).map(|(unit, _)| unit).collect();
            if let Some(without) = without_particles(&text) {
                prop_assert_eq!(cut(&without), left);
            } else {
                prop_assert_eq!(cut(&text), left);
            }
        }

        #[test]
        fn a_text_cut_behind_a_separator_has_the_same_units(text in "[a-cA-C0-2ぁ-う一-七ア 、。,_.+#\n-]{0,30}") {
            let whole: Vec<String> = cut(&text);
            for (i, c) in text.char_indices().filter(|(_, c)| is_separator(*c)) {
                let (left, right) = text.split_at(i + c.len_utf8());
                prop_assert_eq!(&[cut(left), cut(right)].concat(), &whole);
            }
        }

        #[test]
        fn units_of_any_text_are_pieces_of_it_or_made(text in any::<String>()) {
            let folded = fold(&text);
            let mut count = 0;
            for unit in units(&folded) {
                prop_assert!(!unit.text.of(&folded).is_empty());
                count += 1;
            }
            prop_assert!(count <= 4 * folded.as_str().len());
        }

        #[test]
        fn a_traced_text_is_folded_as_any(text in any::<String>(), more in "[ぁ-んｦ-ﾟ\u{300}-\u{303}가-힣ᄀ-ᇿ a-c-]{0,20}") {
            for text in [text, more] {
                if let Some(traced) = Traced::of(&text, false) {
                    let folded = fold(&text);
                    prop_assert_eq!(traced.folded().as_str(), folded.as_str());
                    for unit in units(&folded) {
                        let (start, end) = traced.origin(unit.text.start, unit.text.end);
                        prop_assert!(start < end && text.get(start..end).is_some());
                    }
                }
            }
        }

        #[test]
        fn folding_again_changes_nothing(text in any::<String>()) {
            let once = fold(&text);
            let twice = fold(once.as_str());
            prop_assert_eq!(twice.as_str(), once.as_str());
        }

        #[test]
        fn nothing_that_can_be_searched_is_lost(text in "[a-zA-Z0-9ぁ-んァ-ン一-龠 ,._-]{0,40}") {
            let folded = fold(&text);
            let all: String = cut(&text).concat();
            for c in folded.as_str().chars() {
                prop_assert!(!c.is_alphanumeric() || all.contains(c), "{c} of {}", folded.as_str());
            }
        }
    }
}
