//! A connection to the engine that a backend can wait on without missing a cancel.
#![allow(unsafe_code)]

use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use harca_core::error::{Error, Result};
use harca_core::protocol::frame::Incoming;
use harca_core::protocol::message::{Hello, Reply};
use pgrx::pg_sys;

use super::SOCKET;

/// What a wait has come to.
pub enum Waited {
    /// Something may be there.
    Ready,
    /// A cancel, or something else of the server's, wants to be seen to first.
    Interrupted,
    /// It took too long.
    TooLong,
}

/// An open connection.
pub struct Connection {
    stream: UnixStream,
    incoming: Incoming,
    outgoing: Vec<u8>,
    /// Bytes of it that are sent.
    sent: usize,
    greeted: bool,
    /// Whether it has carried a reply.
    proved: bool,
    broken: bool,
}

impl Connection {
    /// Connects, and greets; whether the engine speaks as this library does is seen with its first frame.
    ///
    /// # Errors
    /// [`Error::Engine`] when nobody listens.
    pub fn open() -> Result<Self> {
        let fail = |e: std::io::Error| Error::Engine(format!("it does not listen: {e}"));
        let stream = UnixStream::connect(SOCKET).map_err(fail)?;
        stream.set_nonblocking(true).map_err(fail)?;
        let outgoing = Hello::own().encode()?;
        Ok(Self {
            stream,
            incoming: Incoming::default(),
            outgoing,
            sent: 0,
            greeted: false,
            proved: false,
            broken: false,
        })
    }

    /// Puts a frame to what is to be sent.
    pub fn push(&mut self, frame: &[u8]) {
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
        self.outgoing.extend_from_slice(frame);
    }

    /// Sends what the socket takes now.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine has gone.
    pub fn send(&mut self) -> Result<()> {
        while self.sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.gone()),
            }
        }
        Ok(())
    }

    /// Whether it is good for nothing more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it has carried a reply before: then the engine may have been started anew in between.
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    /// Whether all is sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.outgoing.len()
    }

    /// The next reply, if it is there.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine has gone, [`Error::Protocol`] when it speaks otherwise.
    pub fn receive(&mut self) -> Result<Option<Reply>> {
        let received = self.next_reply();
        self.broken |= received.is_err();
        self.proved |= matches!(received, Ok(Some(_)));
        received
    }

    fn next_reply(&mut self) -> Result<Option<Reply>> {
        loop {
            if !self.greeted
                && let Some(body) = self.incoming.take()?
            {
                Hello::decode(body)?.check()?;
                self.greeted = true;
            }
            if self.greeted
                && let Some(body) = self.incoming.take()?
            {
                return Reply::decode(body).map(Some);
            }
            match self.incoming.read(&mut self.stream) {
                Ok(0) => return Err(self.gone()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.gone()),
            }
        }
    }

    fn gone(&mut self) -> Error {
        self.broken = true;
        Error::Engine("it has ended".into())
    }

    /// Waits until something has come, until all can be sent, or until something else is to be done.
    pub fn wait(&self, until: Option<Instant>) -> Waited {
        // SAFETY: reads a flag of the process that its signal handlers set.
        if unsafe { pg_sys::InterruptPending } != 0 {
            return Waited::Interrupted;
        }
        let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
        if rest == Some(Duration::ZERO) {
            return Waited::TooLong;
        }
        let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_EXIT_ON_PM_DEATH;
        if !self.is_sent() {
            events |= pg_sys::WL_SOCKET_WRITEABLE;
        }
        let mut milliseconds = -1;
        if let Some(rest) = rest {
            events |= pg_sys::WL_TIMEOUT;
            milliseconds = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX).max(1);
        }
        // SAFETY: the latch is this process's own and the socket open. Nothing waits for this process meanwhile, as it holds no
        // lock of the server's.
        let happened = unsafe {
            pg_sys::WaitLatchOrSocket(
                pg_sys::MyLatch,
                events as i32,
                self.stream.as_raw_fd(),
                milliseconds,
                pg_sys::PG_WAIT_EXTENSION,
            )
        };
        if happened as u32 & pg_sys::WL_LATCH_SET != 0 {
            // SAFETY: as above; what had set it is seen to by whoever is told of the interrupt.
            unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
            // SAFETY: as above.
            if unsafe { pg_sys::InterruptPending } != 0 {
                return Waited::Interrupted;
            }
        }
        Waited::Ready
    }
}
