//! Makes features of what the templates say: the text as a whole first, then n-grams, then words.

use super::lexicon::Role;
use super::reading::Reading;
use super::symbols::{Kind, Script, bucket, mix, script};

impl Reading<'_> {
    fn structure(&mut self, kind: Kind, value: u64) {
        let id = self.encoder.structure_id(kind, value);
        self.out.push(id);
    }

    /// Makes the features of the text that was read.
    pub(super) fn emit(&mut self) {
        self.emit_whole();
        self.emit_templates();
        self.emit_words();
    }

    /// Features of the text as a whole come first: they survive the cut at `max_features`.
    fn emit_whole(&mut self) {
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
        if self.ending != 0 {
            self.structure(Kind::Final, self.ending);
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
