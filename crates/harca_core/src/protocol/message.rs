//! The messages of a connection.

use serde::{Deserialize, Serialize};

use super::PROTOCOL;
use super::digest::Digest;
use super::frame::{self, at_most};
use super::priority::Priority;
use super::status::EngineStatus;
use crate::error::{Error, Result};

/// Most texts, or pairs of texts, of one request.
pub const MAX_TEXTS: usize = 1024;

/// Longest text, in bytes; models read a few thousand characters at most.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// Longest part of a file, in bytes.
pub const MAX_PART_BYTES: usize = 1 << 20;

/// Longest message of a failure, in bytes.
pub const MAX_REASON_BYTES: usize = 4 << 10;

/// Most numbers of one answer: 1,024 vectors of 1,024.
pub const MAX_VALUES: usize = 1 << 20;

/// What each side says first. Its layout is the same in every release:
///
/// | bytes | what |
/// |---|---|
/// | 4 | `HARC` |
/// | 4 | [`PROTOCOL`], the lowest byte first |
/// | up to 63 | the version of the program, UTF-8 |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The revision of the messages that the program speaks.
    pub protocol: u32,
    /// The version of the program, for people.
    pub version: String,
}

impl Hello {
    const MAGIC: [u8; 4] = *b"HARC";
    const MAX_VERSION: usize = 63;

    /// What this build says.
    #[must_use]
    pub fn own() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into() }
    }

    /// The frame that says it.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the version is too long.
    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.version.len() > Self::MAX_VERSION {
            return Err(Error::Protocol("the version of a program is too long".into()));
        }
        let body = [&Self::MAGIC[..], &self.protocol.to_le_bytes(), self.version.as_bytes()].concat();
        frame::frame(&body)
    }

    /// What the body of a first frame says.
    ///
    /// # Errors
    /// [`Error::Protocol`] when whoever sent it is no program of this kind.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let fail = || Error::Protocol("the first frame is no greeting".into());
        let body = body.strip_prefix(&Self::MAGIC).ok_or_else(fail)?;
        let (protocol, version) = body.split_first_chunk::<4>().ok_or_else(fail)?;
        let version = std::str::from_utf8(version).ok().filter(|v| v.len() <= Self::MAX_VERSION).ok_or_else(fail)?;
        Ok(Self { protocol: u32::from_le_bytes(*protocol), version: version.into() })
    }

    /// Confirms that the other side speaks as this one does.
    ///
    /// # Errors
    /// [`Error::Protocol`].
    pub fn check(&self) -> Result<()> {
        if self.protocol == PROTOCOL {
            return Ok(());
        }
        let (Self { protocol, version }, own) = (self, Self::own());
        Err(Error::Protocol(format!(
            "version {version} speaks protocol {protocol}, version {} speaks {PROTOCOL}",
            own.version
        )))
    }
}

/// Which of a model's prefixes a text gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextKind {
    /// What is searched for; what is classified.
    Query,
    /// What is found.
    Document,
}

/// What a model reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Texts {
    /// Single texts.
    Single(TextKind, Vec<String>),
    /// Pairs, for models that score one text against another.
    Pairs(Vec<(String, String)>),
}

impl Texts {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Single(_, texts) => texts.len(),
            Self::Pairs(pairs) => pairs.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn longest(&self) -> usize {
        match self {
            Self::Single(_, texts) => texts.iter().map(String::len).max(),
            Self::Pairs(pairs) => pairs.iter().map(|(a, b)| a.len().max(b.len())).max(),
        }
        .unwrap_or(0)
    }
}

/// A file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum File {
    /// The graph, ONNX.
    Graph,
    /// `tokenizer.json`.
    Tokenizer,
}

/// What a backend asks for. Numbers of requests are the backend's own and come back in the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Run a model on texts. Answered by [`Reply::Done`], [`Reply::Failed`] or [`Reply::Wanted`].
    Run {
        /// Number of the request.
        id: u64,
        /// The model.
        model: Digest,
        /// How urgent it is.
        priority: Priority,
        /// What it is to read, 1 to [`MAX_TEXTS`], each of at most [`MAX_TEXT_BYTES`].
        texts: Texts,
    },
    /// Nobody waits for this request any more; there is no answer to this, and to the request only if it was on its way.
    Cancel {
        /// Number of the request.
        id: u64,
    },
    /// The files of a model follow, in [`Request::Part`]s, each from its beginning to its end. No answer: what is wrong with
    /// them is told to whoever asks for the model.
    Offer {
        /// The model.
        model: Digest,
        /// Its manifest, JSON, at most [`MAX_MANIFEST_BYTES`].
        manifest: String,
        /// Bytes of its graph.
        graph: u64,
        /// Bytes of its tokenizer; 0 for a model that has none.
        tokenizer: u64,
    },
    /// A part of a file of the model that was offered last on this connection.
    Part {
        /// Which file.
        file: File,
        /// The next bytes of it, at most [`MAX_PART_BYTES`].
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Have a model ready, if it is there or being offered. Answered as [`Request::Run`] on no text.
    Load {
        /// Number of the request.
        id: u64,
        /// The model.
        model: Digest,
    },
    /// End, and be started anew. No answer but the end of the connection.
    End,
    /// Answered by [`Reply::Status`].
    Status {
        /// Number of the request.
        id: u64,
    },
}

impl Request {
    /// The frame that asks it.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it breaks a bound.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.check()?;
        frame::encode(self)
    }

    /// What the body of a frame asks.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is no request, or breaks a bound.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let request: Self = frame::decode(body)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Run { texts, .. } => {
                at_most("texts", texts.len(), MAX_TEXTS)?;
                at_most("bytes of a text", texts.longest(), MAX_TEXT_BYTES)?;
                if texts.is_empty() {
                    return Err(Error::Protocol("a request without a text".into()));
                }
                Ok(())
            }
            Self::Offer { manifest, .. } => at_most("bytes of a manifest", manifest.len(), MAX_MANIFEST_BYTES),
            Self::Part { bytes, .. } => at_most("bytes of a part", bytes.len(), MAX_PART_BYTES),
            Self::Cancel { .. } | Self::Load { .. } | Self::End | Self::Status { .. } => Ok(()),
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The queue is full, or there is no memory for the model: later it may work.
    Busy,
    /// The model cannot be loaded or does not work; the next request of it would fail as well.
    Model,
    /// This request cannot be answered by this model: pairs for one that reads single texts, for instance.
    Input,
    /// The model has brought the engine down and is not run until somebody releases it.
    Quarantined,
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// A request is done.
    Done {
        /// Number of the request.
        id: u64,
        /// What came out.
        output: Output,
    },
    /// A request has no answer.
    Failed {
        /// Number of the request.
        id: u64,
        /// Why.
        failure: Failure,
        /// The same for people: one line of at most [`MAX_REASON_BYTES`].
        reason: String,
    },
    /// The model is not there: offer it, then ask again.
    Wanted {
        /// Number of the request.
        id: u64,
    },
    /// What the engine tells of itself.
    Status {
        /// Number of the request.
        id: u64,
        /// What it tells.
        status: Box<EngineStatus>,
    },
}

/// What came out of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Numbers per text: probabilities of the labels, the dimensions of a vector, or one score.
    pub width: u32,
    /// `width` numbers for each text, in their order; at most [`MAX_VALUES`], all finite.
    pub values: Vec<f32>,
    /// Texts that were longer than the model reads, and were cut.
    pub truncated: u32,
    /// Tokens that were read.
    pub tokens: u32,
    /// Microseconds from the arrival of the request to the beginning of its first run.
    pub waited: u32,
    /// Microseconds from there to the end of its last run.
    pub ran: u32,
}

impl Reply {
    /// The frame that says it.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it breaks a bound.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.check()?;
        frame::encode(self)
    }

    /// What the body of a frame says.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is no reply, or breaks a bound.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let reply: Self = frame::decode(body)?;
        reply.check()?;
        Ok(reply)
    }

    /// Number of the request that this answers.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Done { id, .. } | Self::Failed { id, .. } | Self::Wanted { id } | Self::Status { id, .. } => *id,
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Done { output, .. } => {
                at_most("numbers of an answer", output.values.len(), MAX_VALUES)?;
                let width = output.width as usize;
                let whole = output.values.is_empty() || (width > 0 && output.values.len() % width == 0);
                if !whole || !output.values.iter().all(|value| value.is_finite()) {
                    return Err(Error::Protocol("an answer that is not whole or not finite".into()));
                }
                Ok(())
            }
            Self::Failed { reason, .. } => at_most("bytes of a reason", reason.len(), MAX_REASON_BYTES),
            Self::Wanted { .. } => Ok(()),
            Self::Status { status, .. } => status.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(frame: &[u8]) -> &[u8] {
        &frame[4..]
    }

    fn run(texts: Texts) -> Request {
        Request::Run { id: 7, model: Digest([3; 32]), priority: Priority::Bulk, texts }
    }

    #[test]
    fn requests_come_back() {
        let pairs = vec![("a".into(), "b".into())];
        for request in [
            run(Texts::Single(TextKind::Query, vec!["東京 天気".into(), String::new()])),
            run(Texts::Pairs(pairs)),
            Request::Cancel { id: u64::MAX },
            Request::Offer { model: Digest([1; 32]), manifest: "{}".into(), graph: 1 << 40, tokenizer: 0 },
            Request::Part { file: File::Tokenizer, bytes: vec![0, 255] },
            Request::Load { id: 1, model: Digest([0; 32]) },
            Request::End,
            Request::Status { id: 2 },
        ] {
            assert_eq!(Request::decode(body(&request.encode().unwrap())).unwrap(), request);
        }
    }

    #[test]
    fn replies_come_back() {
        let output = Output { width: 2, values: vec![0.25, 0.75, 1.0, 0.0], tokens: 9, ..Output::default() };
        for reply in [
            Reply::Done { id: 1, output },
            Reply::Failed { id: 2, failure: Failure::Busy, reason: "4,096 texts wait".into() },
            Reply::Wanted { id: 3 },
            Reply::Status { id: 4, status: Box::default() },
        ] {
            assert_eq!(Reply::decode(body(&reply.encode().unwrap())).unwrap(), reply);
        }
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let text = |bytes: usize| "x".repeat(bytes);
        let single = |texts| run(Texts::Single(TextKind::Document, texts));
        for (request, part) in [
            (single(vec![]), "without a text"),
            (single(vec![String::new(); MAX_TEXTS + 1]), "1025 texts"),
            (single(vec![text(MAX_TEXT_BYTES + 1)]), "bytes of a text"),
            (single(vec![text(MAX_TEXT_BYTES); 9]), "a frame of"),
            (run(Texts::Pairs(vec![(text(1), text(MAX_TEXT_BYTES + 1))])), "bytes of a text"),
            (Request::Part { file: File::Graph, bytes: vec![0; MAX_PART_BYTES + 1] }, "bytes of a part"),
            (
                Request::Offer {
                    model: Digest([0; 32]),
                    manifest: text(MAX_MANIFEST_BYTES + 1),
                    graph: 0,
                    tokenizer: 0,
                },
                "bytes of a manifest",
            ),
        ] {
            let error = request.encode().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            if let Ok(frame) = frame::encode(&request) {
                assert!(Request::decode(body(&frame)).is_err());
            }
        }
        for values in [vec![0.5; 3], vec![f32::NAN, 0.0]] {
            let reply = Reply::Done { id: 0, output: Output { width: 2, values, ..Output::default() } };
            assert!(reply.encode().is_err());
            assert!(Reply::decode(body(&frame::encode(&reply).unwrap())).is_err());
        }
    }

    #[test]
    fn a_greeting_tells_releases_apart() {
        let own = Hello::own();
        assert_eq!(Hello::decode(body(&own.encode().unwrap())).unwrap(), own);
        assert_eq!(own.check(), Ok(()));
        let other = Hello { protocol: PROTOCOL + 1, version: "9.9".into() };
        let found = Hello::decode(body(&other.encode().unwrap())).unwrap();
        let error = found.check().unwrap_err().to_string();
        assert!(error.contains("version 9.9 speaks protocol"), "{error}");
        for wrong in [&b""[..], b"HARC", b"HARC\x01\0\0", b"GET / HTTP/1.1", b"HARC\x01\0\0\0\xff"] {
            assert!(Hello::decode(wrong).is_err(), "{wrong:?}");
        }
        assert!(Hello { protocol: 1, version: "x".repeat(64) }.encode().is_err());
    }
}
