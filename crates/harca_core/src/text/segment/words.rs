//! Words, numbers and codes: what is written with spaces around it.

use std::collections::VecDeque;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::fold::Folded;
use super::function_words::is_english_stop_word;
use super::script::{is_code_sign, is_pictograph, is_regional_indicator, is_unspaced, is_word, loses_accents};
use super::{Kind, Text, Unit, char_at};

/// Bytes of a code that is looked for as a whole, and of what is joined.
const LONGEST_CODE: usize = 256;
/// Parts of a word whose letters and digits or whose case tells them apart.
const MOST_PARTS: usize = 8;

/// What stands at a place of a text.
pub struct Found {
    /// Where it ends.
    pub end: usize,
    /// What of it a kanji before it is joined to.
    pub first: Text,
    /// What of it a kanji behind it is joined to.
    pub last: Text,
}

/// Gives the units of the word, number, code or sign that begins at a place where none has begun before; none where there is
/// no such.
pub fn take(folded: &Folded, start: usize, units: &mut VecDeque<Unit>) -> Option<Found> {
    let text = folded.as_str();
    let c = char_at(text, start)?;
    if is_pictograph(c) {
        return Some(pictograph(text, start, c, units));
    }
    let before = text[..start].chars().next_back();
    if is_word(c) {
        if c.is_ascii_digit()
            && let Some(found) = grouped_number(text, start, before, units)
        {
            return Some(found);
        }
        return Some(code_or_word(folded, start, start, units));
    }
    let begins_name = matches!(c, '.' | '#' | '@')
        && !before.is_some_and(|c| is_word(c) || is_code_sign(c))
        && char_at(text, start + 1)
            .is_some_and(|c| is_word(c) && (c.is_alphabetic() || text[start..].starts_with('#')));
    begins_name.then(|| code_or_word(folded, start, start + 1, units))
}

fn slice(start: usize, end: usize, kind: Kind) -> Unit {
    Unit { text: Text::slice(start, end), kind }
}

fn made(start: usize, end: usize, text: String, kind: Kind) -> Unit {
    Unit { text: Text::made(start, end, text), kind }
}

/// One pictograph, or the two letters of a flag.
fn pictograph(text: &str, start: usize, c: char, units: &mut VecDeque<Unit>) -> Found {
    let mut end = start + c.len_utf8();
    if is_regional_indicator(c)
        && let Some(second) = char_at(text, end).filter(|c| is_regional_indicator(*c))
    {
        end += second.len_utf8();
    }
    units.push_back(slice(start, end, Kind::Code));
    Found { end, first: Text::slice(start, end), last: Text::slice(start, end) }
}

/// `1,000` is 1000, and `1,000.5` is 1000.5, which has 1000 as a part.
fn grouped_number(text: &str, start: usize, before: Option<char>, units: &mut VecDeque<Unit>) -> Option<Found> {
    if matches!(before, Some(',' | '.')) && text[..start - 1].ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = &text.as_bytes()[start..];
    let digits = |at: usize| rest[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    if length > 3 {
        return None;
    }
    let first = length;
    while rest.get(length) == Some(&b',') && digits(length + 1) == 3 {
        length += 4;
    }
    if length == first {
        return None;
    }
    let whole = length;
    if rest.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    let end = start + length;
    let mut behind = text[end..].chars();
    let (next, after) = (behind.next(), behind.next());
    let goes_on =
        next.is_some_and(is_word) || matches!(next, Some(',' | '.')) && after.is_some_and(|c| c.is_ascii_digit());
    if goes_on {
        return None;
    }
    let number = text[start..end].replace(',', "");
    units.push_back(made(start, end, number.clone(), Kind::Number));
    if whole < length {
        let whole = start + whole;
        units.push_back(made(start, whole, text[start..whole].replace(',', ""), Kind::Number));
    }
    let joined = || Text::made(start, end, number.clone());
    Some(Found { end, first: joined(), last: joined() })
}

pub fn word_end(text: &str, start: usize) -> usize {
    text[start..].find(|c| !is_word(c)).map_or(text.len(), |i| start + i)
}

/// Letters or digits that single signs join, from a first one behind a sign that may begin a name: as a whole, in their parts,
/// and joined where a hyphen stands; words with nothing but hyphens between them are joined instead of whole.
fn code_or_word(folded: &Folded, start: usize, first: usize, units: &mut VecDeque<Unit>) -> Found {
    let text = folded.as_str();
    let mut last = first;
    let mut end = word_end(text, first);
    while let Some(sign) = char_at(text, end).filter(|c| is_code_sign(*c)) {
        let after = end + sign.len_utf8();
        if !char_at(text, after).is_some_and(is_word) {
            break;
        }
        last = after;
        end = word_end(text, after);
    }
    let signs = closing_signs(text, last, end);
    let whole = end + signs;
    let numbers = version_end(text, first);
    let found = |from: usize, to: usize| Found {
        end: whole,
        first: Text::slice(first, if numbers > first { numbers } else { from }),
        last: Text::slice(to, end),
    };
    if start == first && last == first && signs == 0 {
        word(folded, first, end, units);
        return found(end, first);
    }
    if start == first && signs == 0 && numbers == end {
        version(text, first, end, units);
        return found(end, first);
    }
    // Those of words alone are one word to many writers: wi-fi and wifi.
    let compound = text[start..whole].chars().all(|c| c == '-' || c.is_alphabetic());
    if compound {
        joined(text, first, end, units);
    } else if whole - start <= LONGEST_CODE {
        units.push_back(slice(start, whole, Kind::Code));
    }
    let mut at = first;
    while at < end {
        let numbers = version_end(text, at);
        let part = if numbers > at { numbers } else { word_end(text, at) };
        let closing = if part == end { signs } else { 0 };
        if closing > 0 && at > start {
            units.push_back(slice(at, part + closing, Kind::Code));
        }
        if numbers > at && text[at..numbers].contains('.') {
            version(text, at, numbers, units);
        } else {
            word(folded, at, part, units);
            // The numbers of v1.2.3 stand behind a letter.
            let digits = at + text[at..part].find(|c: char| c.is_ascii_digit()).unwrap_or(part - at);
            let behind = version_end(text, digits);
            if behind > part {
                version(text, digits, behind, units);
                at = behind + 1;
                continue;
            }
        }
        at = part + 1;
    }
    if !compound {
        joined(text, first, end, units);
    }
    found(word_end(text, first), last)
}

/// Bytes of the signs that belong to a name: `c++`, `c#`.
fn closing_signs(text: &str, start: usize, end: usize) -> usize {
    if !text[start..end].chars().any(char::is_alphabetic) {
        return 0;
    }
    let rest = &text[end..];
    if rest.starts_with("++") {
        return 2;
    }
    let ends = || !rest[1..].starts_with(|c: char| is_word(c) || is_code_sign(c));
    usize::from(rest.starts_with(['+', '#']) && ends())
}

/// Where numbers end that points join, such as `16.4`; the place itself where there is none, or a letter belongs to them.
fn version_end(text: &str, start: usize) -> usize {
    let mut end = start;
    loop {
        let digits = text[end..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |i| end + i);
        if digits == end || char_at(text, digits).is_some_and(is_word) {
            return end.saturating_sub(1).max(start);
        }
        end = digits;
        let follows = text[end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if !follows {
            return end;
        }
        end += 1;
    }
}

/// A number as a whole and each of its beginnings: 1.2.3, 1.2 and 1.
fn version(text: &str, start: usize, end: usize, units: &mut VecDeque<Unit>) {
    units.push_back(slice(start, end, Kind::Number));
    let points = text[start..end].rmatch_indices('.').take(MOST_PARTS);
    units.extend(points.map(|(point, _)| slice(start, start + point, Kind::Number)));
}

/// The parts of a code that hyphens stand between, joined.
fn joined(text: &str, first: usize, end: usize, units: &mut VecDeque<Unit>) {
    let mut start = first;
    for group in text[first..end].split(|c| is_code_sign(c) && c != '-') {
        let place = start;
        // The signs have one byte each.
        start += group.len() + 1;
        if group.len() <= LONGEST_CODE && group.contains('-') {
            let joined = group.replace('-', "");
            let kind = if joined.chars().all(char::is_numeric) { Kind::Number } else { Kind::Word };
            units.push_back(made(place, place + group.len(), joined, kind));
        }
    }
}

/// A run of letters and digits: as it is, without accents, and in its parts.
fn word(folded: &Folded, start: usize, end: usize, units: &mut VecDeque<Unit>) {
    let run = &folded.as_str()[start..end];
    if run.chars().all(char::is_numeric) {
        units.push_back(slice(start, end, Kind::Number));
        return;
    }
    let kind = if is_meant(folded, start, end) && is_english_stop_word(run) { Kind::Code } else { Kind::Word };
    units.push_back(slice(start, end, kind));
    if !run.is_ascii()
        && let Some(plain) = unaccented(run)
    {
        units.push_back(made(start, end, plain, Kind::Word));
    }
    parts(folded, start, end, units);
}

/// Whether a stop word is a word here: in capitals among other letters, beside a script without spaces, or all that there is.
fn is_meant(folded: &Folded, start: usize, end: usize) -> bool {
    let text = folded.as_str();
    let in_capitals = || {
        folded.is_capital(start)
            && end - start > 1
            && folded.capitals_tell()
            && (start..end).all(|at| folded.is_capital(at))
    };
    folded.is_only_stop_words()
        || in_capitals()
        || text[..start].ends_with(is_unspaced)
        || text[end..].starts_with(is_unspaced)
}

/// A word without the accents of its letters, where it has any.
fn unaccented(word: &str) -> Option<String> {
    let mut plain = String::with_capacity(word.len());
    let mut base = '\0';
    for c in word.nfd() {
        if is_combining_mark(c) && loses_accents(base) {
            continue;
        }
        base = c;
        match c {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            _ => plain.push(c),
        }
    }
    let plain: String = plain.nfc().collect();
    (plain != word && !plain.is_empty()).then_some(plain)
}

/// What a character is to the parts of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Small,
    Capital,
    Digit,
}

/// The parts of a word at changes of case and between letters and digits: `getUserById` and `windows11` have such, `v1` and
/// the digits of a hash have not.
fn parts(folded: &Folded, start: usize, end: usize, units: &mut VecDeque<Unit>) {
    let run = &folded.as_str()[start..end];
    if run.len() < 3 || !folded.has_capital(start + 1, end) && !run.bytes().any(|byte| byte.is_ascii_digit()) {
        return;
    }
    let class = |at: usize, c: char| match () {
        () if folded.is_capital(at) => Class::Capital,
        () if c.is_numeric() => Class::Digit,
        () => Class::Small,
    };
    let mut bounds = [start; MOST_PARTS + 1];
    let mut count = 0;
    let mut case_tells = false;
    let mut last = None;
    let mut chars = run.char_indices().map(|(at, c)| (start + at, class(start + at, c))).peekable();
    while let Some((at, class)) = chars.next() {
        let begins = match (last, class) {
            (None, _) => false,
            (Some(Class::Digit), Class::Digit) | (Some(_), Class::Small) => {
                last == Some(Class::Digit) && class != Class::Digit
            }
            (Some(Class::Small), Class::Capital) => {
                case_tells = true;
                true
            }
            // The last capital before two small letters begins a word: XMLHttp.
            (Some(Class::Capital), Class::Capital) => {
                let mut ahead = chars.clone().map(|(_, class)| class);
                let begins = ahead.next() == Some(Class::Small) && ahead.next() == Some(Class::Small);
                case_tells |= begins;
                begins
            }
            (Some(_), _) => true,
        };
        if begins {
            count += 1;
            if count >= MOST_PARTS {
                return;
            }
            bounds[count] = at;
        }
        last = Some(class);
    }
    if count == 0 {
        return;
    }
    bounds[count + 1] = end;
    let text = folded.as_str();
    let pieces = || bounds[..count + 2].windows(2).map(|bounds| (bounds[0], bounds[1]));
    let is_number = |(from, to): (usize, usize)| text[from..to].chars().all(char::is_numeric);
    let is_letter = |(from, to): (usize, usize)| char_at(text, from).is_some_and(|c| from + c.len_utf8() == to);
    if !case_tells && pieces().any(|piece| is_letter(piece) && !is_number(piece)) {
        return;
    }
    for piece in pieces().filter(|piece| is_number(*piece) || !is_letter(*piece)) {
        units.push_back(slice(piece.0, piece.1, if is_number(piece) { Kind::Number } else { Kind::Word }));
    }
}
