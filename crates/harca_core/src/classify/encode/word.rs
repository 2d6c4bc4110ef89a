//! Reads one word of letters and digits: its role, else its shape.

use xxhash_rust::xxh3::xxh3_64;

use super::lexicon::Role;
use super::reading::Reading;
use super::symbols::{Kind, class, is_apostrophe, on_one_row, suffix_class};
use super::tokens::{Case, WordShape};

/// Roles whose words may be the topic of a query.
const NOMINAL_ROLES: u32 = 1 << Role::Intent as u32
    | 1 << Role::Verb as u32
    | 1 << Role::Either as u32
    | 1 << Role::Third as u32
    | 1 << Role::Gerund as u32
    | 1 << Role::Office as u32;

impl Reading<'_> {
    pub(super) fn read_word(&mut self, start: usize, end: usize) {
        let s = &mut *self.s;
        let chars = &s.chars[start..end];
        let word = &mut s.word;
        word.clear();
        let (mut digits, mut letters, mut upper, mut code, mut camel) = (0u32, 0u32, 0u32, false, false);
        let mut previous_lower = false;
        let (mut hyphen, mut dots) = (false, 0u32);
        let mut noise = (0u32, 0u32);
        let (mut consonants, mut repeat, mut letter_repeat) = (0u32, 0u32, false);
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
            consonants = consonants.max(noise.0);
            repeat = repeat.max(noise.1);
            letter_repeat |= noise.1 >= 2 && lower.is_alphabetic();
            if previous != '\0' {
                self.counts.letter_pairs += 1;
                self.counts.row_neighbours += u32::from(on_one_row(previous, lower));
            }
            previous = lower;
        }
        self.counts.longest_consonants = self.counts.longest_consonants.max(consonants);
        self.counts.longest_repeat = self.counts.longest_repeat.max(repeat);
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
        self.token_word(
            start,
            end,
            WordShape {
                case: Case::of(letters, upper, first_upper, camel),
                digits: digits > 0,
                letters: letters > 0,
                code,
                consonants: consonants >= 5,
                repeat: letter_repeat,
            },
        );
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
}
