//! Text to feature ids: what a model sees of a query.
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
//! without them. All work is bounded by `max_chars` and `max_features`, whatever the text.

mod lexicon;

use std::cell::Cell;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::manifest::EncoderSpec;
use lexicon::{Lexicon, Role, is_grammar_han, is_intent_han, is_quantity_han, is_question_han};

/// The feature scheme of this build; any change to the ids of any text gives it a new number.
pub const ENCODER_ID: &str = "harca-template-1";

/// Fewest buckets that leave room for both banks.
const MIN_BUCKETS: u32 = 256;
/// Most buckets a manifest may ask for: 16 million ids are already a 2 GB table of 32 floats.
const MAX_BUCKETS: u32 = 1 << 24;
/// Most features or characters a manifest may ask for.
const MAX_LENGTH: u32 = 1 << 16;
/// Function words that enter the "A somewhere before B" pairs.
const MAX_MARKERS: usize = 8;
/// Longest run of kana that counts as one marker.
const MAX_KANA_MARKER: usize = 6;

/// Roles whose words may be the topic of a query.
const NOMINAL_ROLES: u32 = 1 << Role::Intent as u32
    | 1 << Role::Verb as u32
    | 1 << Role::Either as u32
    | 1 << Role::Third as u32
    | 1 << Role::Gerund as u32
    | 1 << Role::Office as u32;

/// Families of features; part of every hash, so that equal n-grams of two templates keep apart.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Kind {
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
}

/// Classes of the template; every symbol is either one of these or the hash of something kept as written.
mod class {
    pub const BEGIN: u64 = 1;
    pub const END: u64 = 2;
    pub const NOUN: u64 = 3;
    pub const NUMBER: u64 = 4;
    pub const SPACE: u64 = 5;
    pub const CODE: u64 = 6;
    pub const HANGUL: u64 = 7;
    pub const ING: u64 = 8;
    pub const ED: u64 = 9;
    pub const LY: u64 = 10;
    pub const INTENT: u64 = 11;
    pub const GERUND: u64 = 12;
    /// Added to a [`super::Role`] to make it a class.
    pub const ROLE: u64 = 32;
    /// Added to a shape of content words.
    pub const SHAPE: u64 = 64;
    /// Added to a character kept as written.
    pub const CHAR: u64 = 1 << 32;
    /// Set on a character between two others, as in `food/drug`.
    pub const GLUED: u64 = 1 << 40;
}

/// Script families that the scanner tells apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Space,
    Letter,
    Digit,
    Hiragana,
    Katakana,
    Han,
    Hangul,
    Punctuation,
}

/// Everything that is reused from one text to the next.
#[derive(Default)]
struct Scratch {
    chars: Vec<char>,
    word: Vec<u8>,
    fine: Vec<u64>,
    coarse: Vec<u64>,
    flat: Vec<u64>,
    words: Vec<u64>,
    markers: Vec<u64>,
    lexical: Vec<i32>,
}

/// Counts that the whole-text features are made of.
#[derive(Default)]
struct Counts {
    content: u32,
    function: u32,
    terms: u32,
    kana: u32,
    han: u32,
    katakana: u32,
    latin: u32,
    hangul: u32,
    numbers: u32,
    upper_start: u32,
    all_upper: u32,
    camel: u32,
    first_upper: bool,
    roles: u32,
    first_role: u8,
    inner_wh: bool,
    inner_verb: bool,
    intent: u32,
    longest_consonants: u32,
    longest_repeat: u32,
    row_neighbours: u32,
    letter_pairs: u32,
}

/// Turns text into feature ids; see the [module documentation](self).
pub struct Encoder {
    lexicon: Lexicon,
    structure_buckets: u64,
    lexical_buckets: u64,
    max_features: usize,
    max_chars: usize,
    scratch: Cell<Scratch>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("structure_buckets", &self.structure_buckets)
            .field("lexical_buckets", &self.lexical_buckets)
            .field("max_features", &self.max_features)
            .field("max_chars", &self.max_chars)
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
        Ok(Self {
            lexicon: Lexicon::new(),
            structure_buckets: buckets / 2,
            lexical_buckets: buckets - buckets / 2,
            max_features: within("max_features", spec.max_features, 1, MAX_LENGTH)? as usize,
            max_chars: within("max_chars", spec.max_chars, 1, MAX_LENGTH)? as usize,
            scratch: Cell::new(Scratch::default()),
        })
    }

    /// Replaces `out` by the feature ids of `text`: between one and `max_features` ids of `1..=buckets`.
    pub fn encode(&self, text: &str, out: &mut Vec<i32>) {
        out.clear();
        let mut scratch = self.scratch.take();
        scratch.chars.clear();
        scratch.chars.extend(text.chars().take(self.max_chars).nfkc().take(self.max_chars));
        let chinese = !scratch.chars.iter().any(|&c| matches!(script(c), Script::Hiragana | Script::Katakana));
        Reading { encoder: self, s: &mut scratch, out, counts: Counts::default(), chinese }.read();
        self.scratch.set(scratch);
        out.truncate(self.max_features);
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

/// One text on its way to ids.
struct Reading<'a> {
    encoder: &'a Encoder,
    s: &'a mut Scratch,
    out: &'a mut Vec<i32>,
    counts: Counts,
    /// Han without kana: the particles of Chinese are then worth more than Japanese compounds.
    chinese: bool,
}

impl Reading<'_> {
    fn read(&mut self) {
        let s = &mut *self.s;
        s.fine.clear();
        s.coarse.clear();
        s.flat.clear();
        s.words.clear();
        s.markers.clear();
        s.lexical.clear();
        let ending = self.strip_ending();
        self.scan();
        self.emit_whole(ending);
        self.emit_templates();
        self.emit_words();
    }

    fn structure(&mut self, kind: Kind, value: u64) {
        let id = self.encoder.structure_id(kind, value);
        self.out.push(id);
    }

    /// Takes white space and final punctuation off the end and says which punctuation it was, 0 for none.
    fn strip_ending(&mut self) -> u64 {
        let chars = &mut self.s.chars;
        let mut ending = 0;
        while let Some(&last) = chars.last() {
            match last {
                '?' | '!' | '.' | '。' | '．' | '…' | '؟' | '｡' => {
                    if ending == 0 {
                        ending = last as u64;
                    }
                }
                c if script(c) == Script::Space => {}
                _ => break,
            }
            chars.pop();
        }
        ending
    }

    /// Cuts the characters into words, runs and marks, and writes the three templates.
    fn scan(&mut self) {
        self.push_all(class::BEGIN);
        let len = self.s.chars.len();
        let mut at = 0;
        let mut after_space = true;
        while at < len {
            let c = self.s.chars[at];
            let kind = script(c);
            let end = match kind {
                Script::Letter | Script::Digit => self.word_end(at),
                Script::Hiragana | Script::Punctuation => at + 1,
                _ => self.run_end(at, kind),
            };
            if after_space && kind != Script::Space {
                self.counts.terms += 1;
            }
            match kind {
                Script::Space => {
                    let near_cjk = |i: usize| self.s.chars.get(i).is_some_and(|&c| is_cjk(c));
                    if at > 0 && (near_cjk(at - 1) || near_cjk(end)) {
                        self.push_all(class::SPACE);
                    }
                }
                Script::Letter | Script::Digit => self.read_word(at, end),
                Script::Hiragana => self.read_kana(at, after_space),
                Script::Katakana => {
                    self.counts.katakana += 1;
                    self.read_run(at, end, class::SHAPE + 1);
                }
                Script::Han => self.read_han(at, end),
                Script::Hangul => self.read_hangul(at, end),
                Script::Punctuation => self.read_mark(at),
            }
            after_space = kind == Script::Space;
            at = end;
        }
        self.push_all(class::END);
    }

    /// End of the run of one script that starts at `at`.
    fn run_end(&self, at: usize, kind: Script) -> usize {
        let rest = &self.s.chars[at..];
        at + rest.iter().take_while(|&&c| script(c) == kind).count()
    }

    /// End of the word at `at`: letters, digits, and marks that sit between two of them.
    fn word_end(&self, at: usize) -> usize {
        let chars = &self.s.chars;
        let is_word = |i: usize| chars.get(i).is_some_and(|&c| matches!(script(c), Script::Letter | Script::Digit));
        let is_digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
        let mut end = at + 1;
        loop {
            let joined = match chars.get(end) {
                Some('-' | '_' | '.' | '\u{2010}' | '\u{2011}') => is_word(end + 1),
                Some(',') => is_digit(end - 1) && is_digit(end + 1),
                _ => false,
            };
            if joined {
                end += 2;
            } else if is_word(end) {
                end += 1;
            } else {
                return end;
            }
        }
    }

    fn push_all(&mut self, symbol: u64) {
        self.push(symbol, symbol, symbol);
    }

    /// Appends one symbol to each template; the flat one keeps a single symbol for a run of nouns.
    fn push(&mut self, fine: u64, coarse: u64, flat: u64) {
        self.s.fine.push(fine);
        self.s.coarse.push(coarse);
        if flat != class::NOUN || self.s.flat.last() != Some(&class::NOUN) {
            self.s.flat.push(flat);
        }
    }

    fn mark(&mut self, marker: u64) {
        if self.s.markers.len() < MAX_MARKERS {
            self.s.markers.push(marker);
        }
    }

    fn read_word(&mut self, start: usize, end: usize) {
        let s = &mut *self.s;
        let chars = &s.chars[start..end];
        let word = &mut s.word;
        word.clear();
        let (mut digits, mut letters, mut upper, mut code, mut camel) = (0u32, 0u32, 0u32, false, false);
        let mut previous_lower = false;
        let (mut hyphen, mut dots) = (false, 0u32);
        let mut noise = (0u32, 0u32);
        let mut previous = '\0';
        for &c in chars {
            let mut bytes = [0; 4];
            if c.is_ascii() {
                word.push(c.to_ascii_lowercase() as u8);
            } else {
                for lower in c.to_lowercase() {
                    word.extend_from_slice(lower.encode_utf8(&mut bytes).as_bytes());
                }
            }
            if c.is_numeric() {
                digits += 1;
            } else if c.is_alphabetic() {
                letters += 1;
                if c.is_uppercase() {
                    upper += 1;
                    camel |= previous_lower;
                }
            } else {
                code |= c == '_';
                hyphen |= c == '-';
                dots += u32::from(c == '.');
            }
            previous_lower = c.is_lowercase();
            // Keyboard noise shows in runs of consonants, repeats and neighbours on one row of keys.
            let lower = c.to_ascii_lowercase();
            noise.0 = if lower.is_ascii_lowercase() && !matches!(lower, 'a' | 'e' | 'i' | 'o' | 'u' | 'y') {
                noise.0 + 1
            } else {
                0
            };
            noise.1 = if lower == previous { noise.1 + 1 } else { 0 };
            self.counts.longest_consonants = self.counts.longest_consonants.max(noise.0);
            self.counts.longest_repeat = self.counts.longest_repeat.max(noise.1);
            if previous != '\0' {
                self.counts.letter_pairs += 1;
                self.counts.row_neighbours += u32::from(on_one_row(previous, lower));
            }
            previous = lower;
        }
        let hash = xxh3_64(word);
        let role = self.encoder.lexicon.role(hash);
        let (first_upper, all_upper) = (chars[0].is_uppercase(), letters > 1 && upper == letters);
        let year_like = matches!(chars, ['1', '5'..='9', _, _] | ['2', '0', _, _]);
        // U.S. and n.y. are names; vue.js and a.b_c are code.
        code |= dots > 0 && letters > dots + 1;
        let last_three: [u8; 3] = match word[..] {
            [.., a, b, c] => [a, b, c],
            _ => [0; 3],
        };
        let long = word.len();
        // An apostrophe between letters ends a word; what follows it (s, t, re …) is a word of its own.
        let clitic = start > 0 && is_apostrophe(s.chars[start - 1]) && long <= 2 && start > 1;

        if self.counts.latin == 0 {
            self.counts.first_upper = first_upper;
        }
        self.counts.latin += 1;
        if self.s.fine.len() == 1 {
            self.counts.first_role = role;
        }
        self.s.words.push(hash);
        // The word of a command-line flag is code, whatever it means elsewhere (--onto, -i).
        let dash = |back: usize| start >= back && self.s.chars[start - back] == '-';
        if dash(1) && (start == 1 || dash(2) || self.s.chars[start - 2] == ' ') {
            self.counts.content += 1;
            return self.push_all(class::CODE);
        }
        if clitic {
            let symbol = class::CHAR + (hash & 0xffff_ffff);
            return self.push_all(symbol);
        }
        if role != 0 {
            let coarse = class::ROLE + u64::from(role);
            if role == Role::Intent as u8 || role == Role::Qualifier as u8 || role == Role::Versus as u8 {
                self.counts.intent += 1;
            }
            // Words that are also nouns count as content, those that are nothing else as grammar.
            if NOMINAL_ROLES & 1 << role != 0 {
                self.counts.content += 1;
            } else {
                self.counts.function += 1;
            }
            if role == Role::Wh as u8
                && self.s.fine.len() > 1
                && self.counts.roles >> role & 1 == 0
                && self.counts.first_role != Role::Preposition as u8
            {
                self.counts.inner_wh = true;
            }
            self.counts.roles |= 1 << role;
            if role == Role::Gerund as u8 {
                return self.push(class::GERUND, class::NOUN, class::NOUN);
            }
            self.mark(hash | 1 << 63);
            return self.push(hash, coarse, coarse);
        }
        self.counts.content += 1;
        self.counts.upper_start += u32::from(first_upper);
        self.counts.all_upper += u32::from(all_upper);
        self.counts.camel += u32::from(camel);
        let (fine, coarse) = if digits > 0 && letters == 0 {
            self.counts.numbers += 1;
            let year = digits == 4 && year_like;
            (class::SHAPE + if year { 2 } else { 3 + u64::from(digits.min(4)) }, class::NUMBER)
        } else if code {
            (class::CODE, class::CODE)
        } else if digits > 0 {
            (class::SHAPE + 9, class::NOUN)
        } else {
            suffix_class(last_three, long, hyphen)
        };
        self.push(fine, coarse, if coarse == class::NUMBER { class::NOUN } else { coarse });
        self.trigrams();
    }

    /// Character trigrams of the word just read, the only trace of an unseen word.
    fn trigrams(&mut self) {
        if self.counts.content > 3 {
            return;
        }
        let mut window = 0x5e_u64;
        let s = &mut *self.s;
        for &byte in s.word.iter().take(24).chain(b"$") {
            window = (window << 8 | u64::from(byte)) & 0xff_ffff;
            s.lexical.push(self.encoder.lexical_id(Kind::Trigram, window));
        }
    }

    fn read_kana(&mut self, at: usize, after_space: bool) {
        self.counts.kana += 1;
        let chars = &self.s.chars;
        let starts = at == 0 || after_space || script(chars[at - 1]) != Script::Hiragana;
        if starts {
            let run = &chars[at..];
            let (mut value, mut len) = (0u64, 0);
            for &c in run.iter().take(MAX_KANA_MARKER + 1).take_while(|&&c| script(c) == Script::Hiragana) {
                value = mix(value ^ c as u64, 3);
                len += 1;
            }
            if len <= MAX_KANA_MARKER {
                self.mark(value >> 1);
            }
        }
        // る, た, い or う right before a noun closes a clause that qualifies it.
        let next = self.s.chars.get(at + 1).copied().unwrap_or(' ');
        let clause_end = matches!(self.s.chars[at], 'る' | 'た' | 'だ' | 'い' | 'う' | 'く' | 'す' | 'む' | 'つ');
        self.counts.inner_verb |= clause_end
            && (matches!(script(next), Script::Han | Script::Katakana | Script::Letter)
                || matches!(next, 'も' | 'こ' | 'と'));
        let symbol = class::CHAR + self.s.chars[at] as u64;
        self.push_all(symbol);
    }

    /// A run of katakana or kanji that the template keeps only as a class.
    fn read_run(&mut self, start: usize, end: usize, fine: u64) {
        self.counts.content += 1;
        let chars = &self.s.chars[start..end];
        let hash = chars.iter().take(16).fold(0, |hash, &c| mix(hash ^ c as u64, 4));
        self.s.words.push(hash);
        let glued = self.s.coarse.last() == Some(&class::NOUN);
        self.s.fine.push(fine);
        if !glued {
            self.s.coarse.push(class::NOUN);
        }
        if self.s.flat.last() != Some(&class::NOUN) {
            self.s.flat.push(class::NOUN);
        }
    }

    fn read_han(&mut self, start: usize, end: usize) {
        let mut from = start;
        for at in start..=end {
            let c = if at < end { self.s.chars[at] } else { '\0' };
            let next = if at + 1 < end { self.s.chars[at + 1] } else { '\0' };
            let kept = is_question_han(c)
                || (c == '多' && is_quantity_han(next))
                || (c == '的' && self.chinese && at > start && next != '\0');
            if at < end && !kept {
                continue;
            }
            if from < at {
                self.read_kanji(from, at);
            }
            if kept {
                let symbol = class::CHAR + self.s.chars[at] as u64;
                self.mark(symbol);
                self.push_all(symbol);
            }
            from = at + 1;
        }
    }

    fn read_kanji(&mut self, start: usize, end: usize) {
        self.counts.han += 1;
        let run = &self.s.chars[start..end];
        for pair in run.windows(2).take(32) {
            let value = (pair[0] as u64) << 32 | pair[1] as u64;
            self.s.lexical.push(self.encoder.lexical_id(Kind::HanPair, value));
        }
        if let [c] = *run {
            // の乱, の変, の歌: a last kanji that tells a fixed name from a phrase.
            let before = self.s.fine.last().copied().unwrap_or(0);
            self.s.lexical.push(self.encoder.lexical_id(Kind::HanPair, mix(before, 13) ^ c as u64));
        }
        match *run {
            [c] if is_grammar_han(c) => {
                let symbol = class::CHAR + c as u64;
                self.read_run(start, end, symbol);
            }
            [_] => self.read_run(start, end, class::SHAPE + 10),
            [.., a, b] if is_intent_han([a, b]) => {
                self.counts.intent += 1;
                self.mark((a as u64) << 32 | b as u64);
                let fine = class::INTENT + ((a as u64) << 40 | (b as u64) << 8);
                self.counts.content += 1;
                self.push(fine, class::INTENT, class::INTENT);
            }
            [_, _] => self.read_run(start, end, class::SHAPE + 11),
            _ => self.read_run(start, end, class::SHAPE + 12),
        }
    }

    /// Korean inflects at the end of a word, so its last two syllables stand for it.
    fn read_hangul(&mut self, start: usize, end: usize) {
        self.counts.hangul += 1;
        self.counts.content += 1;
        let chars = &self.s.chars[start..end];
        let hash = chars.iter().take(16).fold(0, |hash, &c| mix(hash ^ c as u64, 5));
        let last = chars[chars.len() - 1] as u64;
        let two = if chars.len() > 1 { chars[chars.len() - 2] as u64 } else { 0 };
        self.s.words.push(hash);
        let first = chars[0] as u64;
        self.mark(class::CHAR + first + (last << 36));
        self.push(class::HANGUL + (last << 8 | two << 40), class::HANGUL + (last << 8), class::HANGUL);
    }

    fn read_mark(&mut self, at: usize) {
        let chars = &self.s.chars;
        let c = chars[at];
        let joins = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|&c| script(c) != Script::Space);
        let (left, right) = (joins(at.checked_sub(1)), joins(Some(at + 1)));
        if is_apostrophe(c) && left && right {
            return;
        }
        let c = match c {
            '“' | '”' | '„' | '«' | '»' => '"',
            '–' | '—' | '―' => '-',
            c => c,
        };
        let mut symbol = class::CHAR + c as u64;
        if left && right && c.is_ascii() {
            symbol |= class::GLUED;
        }
        self.push_all(symbol);
    }

    /// Features of the text as a whole come first: they survive the cut at `max_features`.
    fn emit_whole(&mut self, ending: u64) {
        let c = std::mem::take(&mut self.counts);
        let japanese = c.kana + c.katakana + c.han > 0;
        let script_mix = u64::from(c.kana > 0)
            | u64::from(c.katakana > 0) << 1
            | u64::from(c.han > 0) << 2
            | u64::from(c.latin > 0) << 3
            | u64::from(c.hangul > 0) << 4;
        self.structure(Kind::Bias, script_mix);
        self.structure(Kind::Length, bucket(self.s.chars.len()) << 1 | u64::from(japanese));
        let content = u64::from(c.content.min(9));
        let function = u64::from(c.function.min(6));
        let terms = u64::from(c.terms.min(8));
        let kana = bucket(c.kana as usize);
        self.structure(Kind::Counts, 1 << 32 | content << 8 | u64::from(japanese));
        self.structure(Kind::Counts, 2 << 32 | function << 8 | u64::from(japanese));
        self.structure(Kind::Counts, 3 << 32 | content << 16 | function << 8 | u64::from(japanese));
        self.structure(Kind::Counts, 4 << 32 | terms << 16 | kana << 8 | script_mix << 24);
        self.structure(Kind::Counts, 5 << 32 | u64::from(c.intent.min(3)) << 16 | terms << 8 | u64::from(c.kana > 0));
        self.structure(Kind::Counts, 6 << 32 | u64::from(c.numbers.min(2)));
        // Which roles occur at all, the two strongest borders in one feature.
        let has = |role: Role| u64::from(c.roles >> (role as u32) & 1);
        let relation = has(Role::Preposition) | has(Role::To) << 1 | has(Role::Versus) << 2 | has(Role::Joiner) << 3;
        let clause = has(Role::Wh)
            | has(Role::Aux) << 1
            | has(Role::Pronoun) << 2
            | (has(Role::Finite) | has(Role::Third)) << 3
            | u64::from(c.inner_wh) << 4;
        let first = u64::from(c.first_role);
        self.structure(Kind::Has, 1 << 32 | relation << 8 | clause);
        self.structure(Kind::Has, 2 << 32 | relation << 8 | u64::from(c.intent.min(2)) << 16 | content.min(5) << 24);
        self.structure(Kind::Has, 3 << 32 | clause << 8 | content.min(5) << 24);
        self.structure(Kind::Has, 4 << 32 | first << 16 | clause << 8);
        self.structure(Kind::Has, 5 << 32 | first << 16 | relation << 8 | content.min(5) << 24);

        if c.latin > 0 {
            let share = if c.content == 0 { 0 } else { 1 + 3 * u64::from(c.upper_start) / u64::from(c.content) };
            self.structure(Kind::Case, 1 << 32 | share << 8 | u64::from(c.first_upper));
            if c.all_upper > 0 {
                self.structure(Kind::Case, 2 << 32 | content.min(2));
            }
            if c.camel > 0 {
                self.structure(Kind::Case, 3 << 32 | content.min(2));
            }
        }
        if ending != 0 {
            self.structure(Kind::Final, ending);
        }
        if c.latin > 0 && c.content <= 3 && c.function == 0 {
            self.structure(Kind::Noise, 1 << 32 | u64::from(c.longest_consonants.min(8)));
            self.structure(Kind::Noise, 2 << 32 | u64::from(c.longest_repeat.min(4)));
            let row = if c.letter_pairs == 0 { 9 } else { 8 * u64::from(c.row_neighbours) / u64::from(c.letter_pairs) };
            self.structure(Kind::Noise, 3 << 32 | row << 8 | bucket(c.letter_pairs as usize));
        }
        let whole = self.s.flat.iter().take(16).fold(0, |hash, &symbol| mix(hash ^ symbol, 6));
        if self.s.flat.len() <= 10 {
            self.structure(Kind::Whole, whole);
        }
        if c.kana > 0 {
            // A verb ending inside and a noun at the end make a relative clause, not a sentence.
            let last = self.s.coarse.get(self.s.coarse.len().wrapping_sub(2)).copied().unwrap_or(0);
            self.structure(Kind::LastVerb, 1 << 48 ^ last << 1 ^ u64::from(c.inner_verb));
            self.structure(Kind::LastVerb, 2 << 48 ^ last << 8 ^ u64::from(c.inner_verb) << 4 ^ terms);
        }
        self.emit_ends();
        self.emit_pairs();
    }

    /// How the text starts and how it ends, in longer pieces than the n-grams hold.
    fn emit_ends(&mut self) {
        let fine = &self.s.fine;
        let encoder = self.encoder;
        let mut hash = 0;
        for (i, &symbol) in fine.iter().rev().take(7).enumerate() {
            hash = mix(hash ^ symbol, 7);
            if i >= 4 {
                self.out.push(encoder.structure_id(Kind::End, hash));
            }
        }
        let flat = &self.s.flat;
        hash = 0;
        for (i, &symbol) in flat.iter().take(7).enumerate() {
            hash = mix(hash ^ symbol, 8);
            if i >= 4 {
                self.out.push(encoder.structure_id(Kind::Start, hash));
            }
        }
        // The kana that close a Japanese text, as one piece: する, ですか, の.
        let kana = self.s.chars.iter().rev().take_while(|&&c| script(c) == Script::Hiragana);
        hash = kana.take(8).fold(0, |hash, &c| mix(hash ^ c as u64, 9));
        if hash != 0 {
            self.out.push(encoder.structure_id(Kind::LastKana, hash));
        }
    }

    /// "A somewhere before B" for the function words of the text.
    fn emit_pairs(&mut self) {
        let encoder = self.encoder;
        let markers = &self.s.markers;
        for (i, &first) in markers.iter().enumerate() {
            for &second in &markers[i + 1..] {
                self.out.push(encoder.structure_id(Kind::Pair, mix(first, 10) ^ second));
            }
        }
    }

    /// n-grams of one to four symbols over each template, in reading order.
    fn emit_templates(&mut self) {
        let encoder = self.encoder;
        let limit = self.encoder.max_features;
        for (kind, shortest, longest, template) in
            [(Kind::Fine, 1, 4, &self.s.fine), (Kind::Coarse, 2, 4, &self.s.coarse), (Kind::Flat, 3, 5, &self.s.flat)]
        {
            for end in 1..=template.len() {
                if self.out.len() >= limit {
                    return;
                }
                let mut hash = 0;
                for (i, &symbol) in template[..end].iter().rev().take(longest).enumerate() {
                    hash = mix(hash ^ symbol, 11);
                    if i + 1 >= shortest {
                        self.out.push(encoder.structure_id(kind, hash));
                    }
                }
            }
        }
    }

    fn emit_words(&mut self) {
        let encoder = self.encoder;
        let mut previous = 0;
        for &word in &self.s.words {
            self.out.push(encoder.lexical_id(Kind::Word, word));
            self.out.push(encoder.lexical_id(Kind::WordPair, mix(previous, 12) ^ word));
            previous = word;
            if self.out.len() >= encoder.max_features {
                return;
            }
        }
        self.out.extend_from_slice(&self.s.lexical);
    }
}

/// Shape class of a content word by its ending, and the coarser class.
fn suffix_class(last: [u8; 3], long: usize, hyphen: bool) -> (u64, u64) {
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
fn bucket(n: usize) -> u64 {
    if n <= 4 {
        return n as u64;
    }
    let log = u64::from(usize::BITS - 1 - n.leading_zeros());
    2 * log + (n as u64 >> (log - 1) & 1)
}

/// Whether two lower-case letters lie within two keys of each other on one row of a QWERTY keyboard.
fn on_one_row(a: char, b: char) -> bool {
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    let place = |c: char| {
        ROWS.iter()
            .enumerate()
            .find_map(|(row, keys)| keys.iter().position(|&key| char::from(key) == c).map(|column| (row, column)))
    };
    matches!((place(a), place(b)), (Some(x), Some(y)) if x.0 == y.0 && x.1.abs_diff(y.1) <= 2)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

fn is_cjk(c: char) -> bool {
    matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)
}

/// Script family of a character after NFKC.
#[inline]
fn script(c: char) -> Script {
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
fn mix(value: u64, salt: u64) -> u64 {
    let x = (value ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 29
}

/// Maps a hash to `0..size`.
#[inline]
fn reduce(hash: u64, size: u64) -> u64 {
    ((hash >> 32) * size) >> 32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &str = include_str!("../../../tests/data/encoder_golden.tsv");

    fn spec() -> EncoderSpec {
        EncoderSpec { id: ENCODER_ID.into(), buckets: 16384, max_features: 512, max_chars: 512 }
    }

    fn ids(text: &str) -> Vec<i32> {
        let mut out = vec![7; 3];
        Encoder::new(&spec()).unwrap().encode(text, &mut out);
        out
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
        let mut out = Vec::new();
        let mut seen = 0;
        for line in GOLDEN.lines().skip(1) {
            let (query, expected) = line.split_once('\t').unwrap();
            let expected: Vec<i32> = expected.split(' ').map(|id| id.parse().unwrap()).collect();
            encoder.encode(query, &mut out);
            assert_eq!(out, expected, "{query}");
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
        let mut out = Vec::new();
        for text in ["東京 天気", "", "how to tie a tie", "git log", "東京 天気"] {
            encoder.encode(text, &mut out);
            assert_eq!(out, ids(text), "{text}");
        }
    }

    #[test]
    fn the_smallest_sizes_work() {
        let spec = EncoderSpec { buckets: MIN_BUCKETS, max_features: 1, max_chars: 1, ..spec() };
        let mut out = Vec::new();
        Encoder::new(&spec).unwrap().encode("what is this", &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn keys_on_one_row_are_neighbours() {
        assert!(on_one_row('a', 's') && on_one_row('d', 'a') && on_one_row('n', 'm'));
        assert!(!on_one_row('a', 'f') && !on_one_row('a', 'q') && !on_one_row('é', 'a'));
    }

    proptest! {
        #[test]
        fn ids_are_within_bounds(text in "\\PC*", buckets in MIN_BUCKETS..40_000, max_features in 1u32..700, max_chars in 1u32..700) {
            let spec = EncoderSpec { id: ENCODER_ID.into(), buckets, max_features, max_chars };
            let encoder = Encoder::new(&spec).unwrap();
            let (mut out, mut again) = (Vec::new(), Vec::new());
            encoder.encode(&text, &mut out);
            encoder.encode(&text, &mut again);
            prop_assert_eq!(&out, &again);
            prop_assert!((1..=max_features as usize).contains(&out.len()));
            prop_assert!(out.iter().all(|&id| id >= 1 && id <= buckets as i32));
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
