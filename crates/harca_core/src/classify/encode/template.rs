//! Reads a text into templates: words by their role or their shape, kana and marks as written.

use super::lexicon::{is_grammar_han, is_intent_han, is_quantity_han, is_question_han};
use super::reading::Reading;
use super::symbols::{Kind, Script, class, fold_mark, is_apostrophe, is_cjk, mix, script};

/// Function words that enter the "A somewhere before B" pairs.
const MAX_MARKERS: usize = 8;
/// Longest run of kana that counts as one marker.
const MAX_KANA_MARKER: usize = 6;

impl Reading<'_> {
    /// Reads the characters of the scratch buffer into templates, words and tokens.
    pub(super) fn read(&mut self) {
        let s = &mut *self.s;
        s.fine.clear();
        s.coarse.clear();
        s.flat.clear();
        s.words.clear();
        s.markers.clear();
        s.lexical.clear();
        s.tokens.clear();
        self.ending = self.strip_ending();
        self.scan();
        self.end_tokens();
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
                    self.token_katakana(at, end);
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

    pub(super) fn push_all(&mut self, symbol: u64) {
        self.push(symbol, symbol, symbol);
    }

    /// Appends one symbol to each template; the flat one keeps a single symbol for a run of nouns.
    pub(super) fn push(&mut self, fine: u64, coarse: u64, flat: u64) {
        self.s.fine.push(fine);
        self.s.coarse.push(coarse);
        if flat != class::NOUN || self.s.flat.last() != Some(&class::NOUN) {
            self.s.flat.push(flat);
        }
    }

    pub(super) fn mark(&mut self, marker: u64) {
        if self.s.markers.len() < MAX_MARKERS {
            self.s.markers.push(marker);
        }
    }

    fn read_kana(&mut self, at: usize, after_space: bool) {
        self.token_hiragana(at);
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
        self.token_han(start, end);
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
        self.token_hangul(start, end);
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
        let c = fold_mark(c);
        self.token_mark(at, c, left && right);
        let mut symbol = class::CHAR + c as u64;
        if left && right && c.is_ascii() {
            symbol |= class::GLUED;
        }
        self.push_all(symbol);
    }
}
