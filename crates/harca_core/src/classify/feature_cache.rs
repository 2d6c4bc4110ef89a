//! Encoded texts, for models that share an encoder: what one of them has read another need not read again.
//!
//! Answers are kept by [`crate::cache::local`], so this serves a text that meets a second model, or the same one after its
//! answer has gone. Reading is the smaller part of a classification (`benches/classify.rs` has both), so that a cache
//! has no room unless somebody gives it some.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::classify::encode::{Encoded, Encoder};
use crate::text::key::Key;

/// A bounded map from texts to what encoders make of them; which encoder is part of the key. Texts are not kept.
pub struct FeatureCache {
    entries: Option<LruCache<Key, Encoded>>,
    secret: u64,
    bytes: usize,
}

impl FeatureCache {
    /// A cache for at most `capacity` texts, 0 for none, whose keys nobody can foretell who does not know `secret`.
    #[must_use]
    pub fn new(capacity: usize, secret: u64) -> Self {
        Self { entries: NonZeroUsize::new(capacity).map(LruCache::new), secret, bytes: 0 }
    }

    /// Replaces `out` by what `encoder` makes of `text`, as [`Encoder::encode`] does.
    pub fn encode(&mut self, encoder: &Encoder, text: &str, out: &mut Encoded) {
        let Some(entries) = &mut self.entries else { return encoder.encode(text, out) };
        let key = Key::new(text.as_bytes(), self.secret ^ encoder.identity());
        if let Some(known) = entries.get(&key) {
            copy(known, out);
            return;
        }
        encoder.encode(text, out);
        // Buffers go round: what is put out makes room for what comes.
        let full = entries.len() == entries.cap().get();
        let mut entry = full.then(|| entries.pop_lru()).flatten().map_or_else(Encoded::default, |(_, oldest)| oldest);
        self.bytes -= entry.bytes();
        copy(out, &mut entry);
        self.bytes += entry.bytes();
        entries.put(key, entry);
    }

    /// Changes the bound; texts past it go, least recently used first.
    pub fn set_capacity(&mut self, capacity: usize) {
        match (&mut self.entries, NonZeroUsize::new(capacity)) {
            (Some(entries), Some(bound)) if bound != entries.cap() => {
                while entries.len() > capacity {
                    let Some((_, oldest)) = entries.pop_lru() else { break };
                    self.bytes -= oldest.bytes();
                }
                entries.resize(bound);
            }
            (Some(_), Some(_)) | (None, None) => {}
            _ => *self = Self::new(capacity, self.secret),
        }
    }

    /// Bytes that the encoded texts take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Into the buffers that are there: a derived `clone_from` would drop them.
fn copy(from: &Encoded, to: &mut Encoded) {
    to.features.clone_from(&from.features);
    to.tokens.clone_from(&from.tokens);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::classify::encode::ENCODER_ID;
    use crate::model::manifest::{EncoderSpec, TokenSpec};

    fn encoder(buckets: u32, tokens: bool) -> Encoder {
        let tokens = tokens.then_some(TokenSpec { buckets: 1024, max_tokens: 16 });
        let spec = EncoderSpec { id: ENCODER_ID.into(), buckets, max_features: 64, max_chars: 64, tokens };
        Encoder::new(&spec).expect("these sizes are allowed")
    }

    fn direct(encoder: &Encoder, text: &str) -> Encoded {
        let mut out = Encoded::default();
        encoder.encode(text, &mut out);
        out
    }

    proptest! {
        #[test]
        fn it_gives_what_the_encoder_gives(asks in prop::collection::vec((0..12usize, 0..3usize, 0..4usize), 1..80)) {
            let encoders = [encoder(1024, false), encoder(2048, false), encoder(1024, true)];
            let mut cache = FeatureCache::new(3, 7);
            let mut out = Encoded::default();
            for (text, which, capacity) in asks {
                let text = format!("query number {text} について");
                cache.encode(&encoders[which], &text, &mut out);
                prop_assert_eq!(&out, &direct(&encoders[which], &text));
                cache.set_capacity(capacity);
                let entries = cache.entries.iter().flatten();
                prop_assert_eq!(cache.bytes(), entries.map(|(_, entry)| entry.bytes()).sum::<usize>());
                prop_assert!(cache.entries.as_ref().map_or(0, LruCache::len) <= capacity);
            }
        }
    }

    #[test]
    fn a_known_text_is_not_read_again() {
        let (one, other) = (encoder(1024, false), encoder(2048, false));
        let mut cache = FeatureCache::new(2, 7);
        let mut out = Encoded::default();
        cache.encode(&one, "known", &mut out);
        // Marked by hand, so that it can be told from what the encoder would give.
        for (_, entry) in cache.entries.iter_mut().flatten() {
            entry.features[0] = -1;
        }
        cache.encode(&one, "known", &mut out);
        assert_eq!(out.features[0], -1);
        cache.encode(&other, "known", &mut out);
        assert_eq!(out, direct(&other, "known"));
        cache.encode(&one, "new", &mut out);
        cache.encode(&one, "known", &mut out);
        assert_eq!(out, direct(&one, "known"), "it had been put out");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut cache = FeatureCache::new(0, 7);
        let mut out = Encoded::default();
        cache.encode(&encoder(1024, true), "a text", &mut out);
        assert_eq!((out, cache.bytes()), (direct(&encoder(1024, true), "a text"), 0));
    }
}
