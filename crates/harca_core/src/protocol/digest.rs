//! The name of a model between a backend and the engine.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What tells one model from another: the SHA-256 of its manifest, which holds those of its files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest that these 64 hexadecimal digits stand for.
    #[must_use]
    pub fn of_hex(hex: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digit = |d: u8| char::from(d).to_digit(16);
            *byte = u8::try_from(16 * digit(digits[0])? + digit(digits[1])?).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    /// Hexadecimal where people read it, bytes in frames.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(Self);
        }
        let hex = String::deserialize(deserializer)?;
        Self::of_hex(&hex).ok_or_else(|| D::Error::custom("a digest has 64 hexadecimal digits"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_digits() {
        let hex = "00ff".repeat(16);
        let digest = Digest::of_hex(&hex).unwrap();
        assert_eq!(digest.to_string(), hex);
        assert_eq!(Digest::of_hex(&hex.to_uppercase()), Some(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{hex}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
        for wrong in ["", "0", &"0g".repeat(32), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(Digest::of_hex(wrong), None);
        }
    }
}
