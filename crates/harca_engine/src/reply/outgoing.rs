//! Replies on their way out.
//!
//! Whoever has a reply writes it, as far as the socket takes it at once: to hand it to another thread would cost as much as a
//! small model's run. What is left goes out from a thread that ends when nothing is left, so that a backend which reads
//! slowly, or stands still, holds up nobody else.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harca_core::protocol::message::{Failure, MAX_REASON_BYTES, Reply};
use rustix::net::{SendFlags, send};

/// Bytes that may wait for a backend that does not read; beyond it the connection ends.
const MAX_BACKLOG: usize = 64 << 20;

/// The side of a connection that is written to.
pub struct Outgoing {
    stream: UnixStream,
    backlog: Mutex<Backlog>,
}

#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    /// Whether a thread is at it.
    draining: bool,
    closed: bool,
}

impl Outgoing {
    /// The side of `stream`.
    #[must_use]
    pub fn new(stream: UnixStream) -> Arc<Self> {
        Arc::new(Self { stream, backlog: Mutex::default() })
    }

    /// Sends a reply; where that fails, the connection ends.
    pub fn reply(self: &Arc<Self>, reply: &Reply) {
        let frame = reply.encode().or_else(|error| {
            let reason = format!("the answer cannot be told: {error}");
            Reply::Failed { id: reply.id(), failure: Failure::Model, reason }.encode()
        });
        match frame {
            Ok(frame) => self.send(&frame),
            Err(_) => self.close(),
        }
    }

    /// Says that a request has no answer.
    pub fn fail(self: &Arc<Self>, id: u64, failure: Failure, reason: &str) {
        let end = (0..=reason.len().min(MAX_REASON_BYTES)).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
        self.reply(&Reply::Failed { id, failure, reason: reason[..end].into() });
    }

    /// Sends a frame.
    pub fn send(self: &Arc<Self>, frame: &[u8]) {
        let mut backlog = self.backlog();
        if backlog.closed {
            return;
        }
        let sent = if backlog.draining { Ok(0) } else { self.send_now(frame) };
        match sent {
            Ok(sent) if sent == frame.len() => {}
            Ok(sent) if backlog.bytes.len() + frame.len() <= MAX_BACKLOG => {
                backlog.bytes.extend_from_slice(&frame[sent..]);
                if !backlog.draining {
                    backlog.draining = true;
                    let this = Arc::clone(self);
                    let thread = std::thread::Builder::new().name("reply".into()).stack_size(64 << 10);
                    if thread.spawn(move || this.drain()).is_err() {
                        self.shut(&mut backlog);
                    }
                }
            }
            _ => self.shut(&mut backlog),
        }
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.shut(&mut self.backlog());
    }

    fn send_now(&self, frame: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < frame.len() {
            match send(&self.stream, &frame[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map_err(io::Error::from)
            {
                Ok(more) => sent += more,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(sent)
    }

    fn drain(&self) {
        loop {
            let bytes = {
                let mut backlog = self.backlog();
                if backlog.bytes.is_empty() || backlog.closed {
                    backlog.draining = false;
                    return;
                }
                std::mem::take(&mut backlog.bytes)
            };
            if (&self.stream).write_all(&bytes).is_err() {
                self.close();
            }
        }
    }

    fn shut(&self, backlog: &mut Backlog) {
        backlog.closed = true;
        backlog.bytes = Vec::new();
        // The reader sees the end of the stream and cleans up.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_slow_reader_gets_everything_in_order() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let outgoing = Outgoing::new(near);
        let frames: Vec<Vec<u8>> = (0..200_u8).map(|number| vec![number; 50_000]).collect();
        frames.iter().for_each(|frame| outgoing.send(frame));
        let mut found = vec![0; 200 * 50_000];
        far.read_exact(&mut found).unwrap();
        assert!(found.chunks(50_000).zip(&frames).all(|(found, frame)| found == frame.as_slice()));
    }

    #[test]
    fn nobody_waits_for_one_who_does_not_read() {
        let (near, far) = UnixStream::pair().unwrap();
        let outgoing = Outgoing::new(near);
        let frame = vec![0; 8 << 20];
        (0..20).for_each(|_| outgoing.send(&frame));
        assert!(outgoing.backlog().closed);
        drop(far);
        outgoing.send(&frame);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let (near, mut far) = UnixStream::pair().unwrap();
        Outgoing::new(near).fail(3, Failure::Model, &"語".repeat(MAX_REASON_BYTES));
        let mut head = [0; 4];
        far.read_exact(&mut head).unwrap();
        let mut body = vec![0; u32::from_le_bytes(head) as usize];
        far.read_exact(&mut body).unwrap();
        let Reply::Failed { id: 3, reason, .. } = Reply::decode(&body).unwrap() else { panic!() };
        assert_eq!(reason.len(), MAX_REASON_BYTES - MAX_REASON_BYTES % 3);
    }
}
