//! What a text is on its way to ids: the buffers that a reading fills, its tokens and its counts.

use std::ops::Range;

use super::Encoder;

/// One token, before its parts become ids.
pub(super) struct Token {
    /// Where it stands among the characters of the text.
    pub(super) chars: Range<usize>,
    pub(super) word: u64,
    /// 0 for a token that has none.
    pub(super) ending: u64,
    pub(super) shape: u64,
}

/// Everything that is reused from one text to the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) chars: Vec<char>,
    pub(super) word: Vec<u8>,
    /// One part of a word on its way to a token.
    pub(super) part: String,
    pub(super) fine: Vec<u64>,
    pub(super) coarse: Vec<u64>,
    pub(super) flat: Vec<u64>,
    pub(super) words: Vec<u64>,
    pub(super) markers: Vec<u64>,
    pub(super) lexical: Vec<i32>,
    pub(super) tokens: Vec<Token>,
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
    /// The final punctuation that was taken off, 0 for none.
    pub(super) ending: u64,
}
