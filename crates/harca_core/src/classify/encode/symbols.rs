//! What a template is made of: classes, shapes and characters, and the hash that makes ids of them.

/// Families of features; part of every hash, so that equal n-grams of two templates keep apart.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum Kind {
    Bias = 1,
    Length,
    Counts,
    Case,
    Final,
    Noise,
    LastVerb,
    Whole,
    Start,
    End,
    Pair,
    Has,
    LastKana,
    Fine,
    Coarse,
    Flat,
    Word,
    WordPair,
    HanPair,
    Trigram,
    TokenWord,
    TokenEnding,
    TokenShape,
}

/// Classes of the template; every symbol is either one of these or the hash of something kept as written.
pub(super) mod class {
    pub(in crate::classify::encode) const BEGIN: u64 = 1;
    pub(in crate::classify::encode) const END: u64 = 2;
    pub(in crate::classify::encode) const NOUN: u64 = 3;
    pub(in crate::classify::encode) const NUMBER: u64 = 4;
    pub(in crate::classify::encode) const SPACE: u64 = 5;
    pub(in crate::classify::encode) const CODE: u64 = 6;
    pub(in crate::classify::encode) const HANGUL: u64 = 7;
    pub(in crate::classify::encode) const ING: u64 = 8;
    pub(in crate::classify::encode) const ED: u64 = 9;
    pub(in crate::classify::encode) const LY: u64 = 10;
    pub(in crate::classify::encode) const INTENT: u64 = 11;
    pub(in crate::classify::encode) const GERUND: u64 = 12;
    /// Added to a [`super::Role`] to make it a class.
    pub(in crate::classify::encode) const ROLE: u64 = 32;
    /// Added to a shape of content words.
    pub(in crate::classify::encode) const SHAPE: u64 = 64;
    /// Added to a character kept as written.
    pub(in crate::classify::encode) const CHAR: u64 = 1 << 32;
    /// Set on a character between two others, as in `food/drug`.
    pub(in crate::classify::encode) const GLUED: u64 = 1 << 40;
}

/// Script families that the scanner tells apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Space,
    Letter,
    Digit,
    Hiragana,
    Katakana,
    Han,
    Hangul,
    Punctuation,
}

/// Shape class of a content word by its ending, and the coarser class.
pub(super) fn suffix_class(last: [u8; 3], long: usize, hyphen: bool) -> (u64, u64) {
    let shape = |n: u64| (class::SHAPE + n, class::NOUN);
    if long <= 3 {
        return shape(20 + long as u64);
    }
    match &last {
        b"ing" if long > 4 => (class::ING, class::ING),
        [_, b'e', b'd'] => (class::ED, class::ED),
        [_, b'l', b'y'] => (class::LY, class::LY),
        [_, b'e', b'r'] | [_, b'o', b'r'] => shape(30),
        b"est" | b"ist" => shape(31),
        b"ion" => shape(32),
        b"ent" | b"ant" => shape(33),
        b"ess" | b"ity" | b"nce" | b"ism" | b"acy" => shape(34),
        b"ble" | b"ive" | b"ous" | b"ful" | b"ial" | b"nal" | b"ral" | b"cal" => shape(35),
        [_, _, b'c'] => shape(36),
        b"ses" | b"ies" | b"hes" | b"xes" => shape(37),
        b"ers" | b"ors" | b"ons" => shape(38),
        [_, b's' | b'u' | b'i', b's'] => shape(39),
        [_, _, b's'] => shape(40),
        [_, b't' | b'z', b'e'] => shape(41),
        [_, _, b'a' | b'o' | b'i'] => shape(42),
        [_, _, b'y'] => shape(43),
        _ if hyphen => shape(44),
        [_, _, 0x80..=0xff] => shape(45),
        _ => shape(46),
    }
}

/// Logarithmic bucket of a length: exact up to 4, then two steps for each doubling.
pub(super) fn bucket(n: usize) -> u64 {
    if n <= 4 {
        return n as u64;
    }
    let log = u64::from(usize::BITS - 1 - n.leading_zeros());
    2 * log + (n as u64 >> (log - 1) & 1)
}

/// Whether two lower-case letters lie within two keys of each other on one row of a QWERTY keyboard.
pub(super) fn on_one_row(a: char, b: char) -> bool {
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    let place = |c: char| {
        ROWS.iter()
            .enumerate()
            .find_map(|(row, keys)| keys.iter().position(|&key| char::from(key) == c).map(|column| (row, column)))
    };
    matches!((place(a), place(b)), (Some(x), Some(y)) if x.0 == y.0 && x.1.abs_diff(y.1) <= 2)
}

pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

/// The one form of marks that differ only in how they are typeset.
pub(super) fn fold_mark(c: char) -> char {
    match c {
        '“' | '”' | '„' | '«' | '»' => '"',
        '–' | '—' | '―' => '-',
        c => c,
    }
}

pub(super) fn is_cjk(c: char) -> bool {
    matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)
}

/// Script family of a character after NFKC.
#[inline]
pub(super) fn script(c: char) -> Script {
    if c.is_ascii() {
        return match c {
            'a'..='z' | 'A'..='Z' => Script::Letter,
            '0'..='9' => Script::Digit,
            ' ' | '\t'..='\r' => Script::Space,
            _ => Script::Punctuation,
        };
    }
    match c {
        '\u{3041}'..='\u{309f}' => Script::Hiragana,
        '\u{30a0}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => Script::Katakana,
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '々' | '〆' | '〇' => {
            Script::Han
        }
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        _ if c.is_alphabetic() => Script::Letter,
        _ if c.is_numeric() => Script::Digit,
        _ if c.is_whitespace() || c.is_control() => Script::Space,
        // Combining marks that NFKC could not compose stay with their word.
        '\u{0300}'..='\u{036f}' => Script::Letter,
        _ => Script::Punctuation,
    }
}

/// One round of a multiplicative hash; enough to spread n-gram keys over the buckets.
#[inline]
pub(super) fn mix(value: u64, salt: u64) -> u64 {
    let x = (value ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 29
}

/// Maps a hash to `0..size`.
#[inline]
pub(super) fn reduce(hash: u64, size: u64) -> u64 {
    ((hash >> 32) * size) >> 32
}
