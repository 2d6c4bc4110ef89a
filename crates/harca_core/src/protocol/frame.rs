//! Frames on a stream: the length of a body, four bytes, the lowest first, and the body.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result, one_line};

/// Longest body of a frame, in bytes.
pub const MAX_BODY: usize = 8 << 20;

/// Bytes that one read asks for: what a frame lacks, but no less and no more than these, so that memory is taken for what has
/// come, not for what was announced.
const READ: std::ops::RangeInclusive<usize> = 16 << 10..=256 << 10;

/// Buffers that have grown beyond this are given back once they are empty.
const KEPT: usize = 64 << 10;

/// A frame with `message` in it, in the format of the crate postcard (<https://postcard.jamesmunns.com/wire-format>).
///
/// # Errors
/// [`Error::Protocol`] when the message is longer than [`MAX_BODY`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    let frame = postcard::to_extend(message, vec![0; 4]).map_err(|e| Error::Protocol(one_line(&e)))?;
    closed(frame)
}

/// A frame with `body` in it.
///
/// # Errors
/// As [`encode`].
pub fn frame(body: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    frame.extend_from_slice(body);
    closed(frame)
}

/// The message in the body of a frame; nothing may follow it.
///
/// # Errors
/// [`Error::Protocol`] when it is no such message.
pub fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(Error::Protocol(format!("{} bytes follow the message", rest.len()))),
        Err(e) => Err(Error::Protocol(one_line(&e))),
    }
}

fn closed(mut frame: Vec<u8>) -> Result<Vec<u8>> {
    let body = frame.len() - 4;
    if body > MAX_BODY {
        return Err(Error::Protocol(format!("a frame of {body} bytes, at most {MAX_BODY} are allowed")));
    }
    frame[..4].copy_from_slice(&(body as u32).to_le_bytes());
    Ok(frame)
}

/// Confirms that there are no more of `what` than allowed.
pub(super) fn at_most(what: &str, found: usize, most: usize) -> Result<()> {
    if found > most {
        return Err(Error::Protocol(format!("{found} {what}, at most {most} are allowed")));
    }
    Ok(())
}

/// What has come in on a stream and was not taken yet; holds at most one frame and one read more.
#[derive(Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// Bytes at the front that were taken.
    taken: usize,
}

impl Incoming {
    /// Reads once from `source` and gives the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn read(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        let begin = self.bytes.len();
        let missing = self.missing().unwrap_or(0);
        self.bytes.resize(begin + missing.clamp(*READ.start(), *READ.end()), 0);
        let read = source.read(&mut self.bytes[begin..]);
        self.bytes.truncate(begin + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The body of the next frame that is there as a whole, once.
    ///
    /// # Errors
    /// [`Error::Protocol`] when a frame is announced that is longer than [`MAX_BODY`].
    pub fn take(&mut self) -> Result<Option<&[u8]>> {
        let Some(body) = self.announced() else { return Ok(None) };
        if body > MAX_BODY {
            return Err(Error::Protocol(format!("a frame of {body} bytes, at most {MAX_BODY} are allowed")));
        }
        let begin = self.taken + 4;
        let Some(frame) = self.bytes.get(begin..begin + body) else { return Ok(None) };
        self.taken = begin + body;
        Ok(Some(frame))
    }

    fn announced(&self) -> Option<usize> {
        let head = self.bytes.get(self.taken..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*head) as usize)
    }

    fn missing(&self) -> Option<usize> {
        let whole = self.announced()?.min(MAX_BODY) + 4;
        Some(whole.saturating_sub(self.bytes.len() - self.taken))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces of the given lengths, over and over.
    struct Pieces<'a> {
        bytes: &'a [u8],
        lengths: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.lengths.next().copied().unwrap_or(1).min(buffer.len()).min(self.bytes.len());
            let (now, later) = self.bytes.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.bytes = later;
            Ok(length)
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12),
            lengths in prop::collection::vec(1_usize..5000, 1..6),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(body).unwrap()).collect();
            let mut source = Pieces { bytes: &stream, lengths: lengths.iter().cycle() };
            let (mut incoming, mut found) = (Incoming::default(), Vec::new());
            while incoming.read(&mut source).unwrap() > 0 {
                while let Some(body) = incoming.take().unwrap() {
                    found.push(body.to_vec());
                }
            }
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn a_message_comes_back(numbers in prop::collection::vec(any::<u64>(), 0..50), text in ".*") {
            let message = (numbers, text);
            let frame = encode(&message).unwrap();
            prop_assert_eq!(u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
            prop_assert_eq!(decode::<(Vec<u64>, String)>(&frame[4..]).unwrap(), message);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let mut incoming = Incoming::default();
        incoming.read(&mut (MAX_BODY as u32 + 1).to_le_bytes().as_slice()).unwrap();
        assert!(incoming.take().unwrap_err().to_string().contains("at most"));
        assert!(incoming.bytes.capacity() <= 2 * READ.end());
        assert!(frame(&vec![0; MAX_BODY + 1]).is_err());
        assert!(frame(&vec![0; MAX_BODY]).is_ok());
    }

    #[test]
    fn bytes_behind_a_message_are_refused() {
        let mut frame = encode(&7_u64).unwrap();
        frame.push(0);
        assert!(decode::<u64>(&frame[4..]).unwrap_err().to_string().contains("follow"));
    }

    #[test]
    fn a_buffer_that_has_grown_is_given_back() {
        let mut incoming = Incoming::default();
        let long = frame(&vec![1; 1 << 20]).unwrap();
        let mut source = long.as_slice();
        while incoming.read(&mut source).unwrap() > 0 {}
        assert_eq!(incoming.take().unwrap().map(<[u8]>::len), Some(1 << 20));
        incoming.read(&mut [].as_slice()).unwrap();
        assert!(incoming.bytes.capacity() <= KEPT);
    }
}
