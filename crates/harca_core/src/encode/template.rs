//! Reads a text into templates: words by their role or their shape, kana and marks as written.

use xxhash_rust::xxh3::xxh3_64;

use super::Encoder;
use super::lexicon::{Role, is_grammar_han, is_intent_han, is_quantity_han, is_question_han};
use super::symbols::{Kind, Script, class, is_apostrophe, is_cjk, mix, on_one_row, script, suffix_class};

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

/// Everything that is reused from one text to the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) chars: Vec<char>,
    pub(super) word: Vec<u8>,
    pub(super) fine: Vec<u64>,
    pub(super) coarse: Vec<u64>,
    pub(super) flat: Vec<u64>,
    pub(super) words: Vec<u64>,
    pub(super) markers: Vec<u64>,
    pub(super) lexical: Vec<i32>,
}

/// Counts that the whole-text features are made of.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) content: u32,
    pub(super) function: u32,
    pub(super) terms: u32,
    pub(super) kana: u32,
    pub(super) han: u32,
    pub(super) katakana: u32,
    pub(super) latin: u32,
    pub(super) hangul: u32,
    pub(super) numbers: u32,
    pub(super) upper_start: u32,
    pub(super) all_upper: u32,
    pub(super) camel: u32,
    pub(super) first_upper: bool,
    pub(super) roles: u32,
    pub(super) first_role: u8,
    pub(super) inner_wh: bool,
    pub(super) inner_verb: bool,
    pub(super) intent: u32,
    pub(super) longest_consonants: u32,
    pub(super) longest_repeat: u32,
    pub(super) row_neighbours: u32,
    pub(super) letter_pairs: u32,
}

/// One text on its way to ids.
pub(super) struct Reading<'a> {
    pub(super) encoder: &'a Encoder,
    pub(super) s: &'a mut Scratch,
    pub(super) out: &'a mut Vec<i32>,
    pub(super) counts: Counts,
    /// Han without kana: the particles of Chinese are then worth more than Japanese compounds.
    pub(super) chinese: bool,
}

impl Reading<'_> {
    pub(super) fn read(&mut self) {
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
}
