//! Requests of this backend to the engine.
//!
//! There is one connection, and one request on its way at a time. A wait that is interrupted leaves its request on its way:
//! the caller lets go of what it holds, sees to the interrupt by [`check_interrupts`], and asks again for the same, which then
//! goes on where it was. A request that nobody asks for again, because the statement was cancelled, is taken back when the
//! transaction ends.
#![allow(unsafe_code)] // a callback of the server's

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use harca_core::error::{Error, Result};
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::{Failure, File, MAX_PART_BYTES, Output, Reply, Request, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::status::EngineStatus;
use pgrx::pg_sys;

use super::connection::{Connection, Waited};
use super::{records, supervisor};
use crate::{process, settings};

/// How long a session waits for an engine that it has just had started.
const START: Duration = Duration::from_secs(10);

/// Pause between two attempts to connect meanwhile.
const RETRY: Duration = Duration::from_millis(20);

/// Where the files of a model come from.
pub trait Files {
    /// The model.
    fn digest(&self) -> Digest;

    /// Its manifest, and the bytes of its graph and of its tokenizer.
    fn announce(&self) -> Option<(String, u64, u64)>;

    /// A part of a file, from a place on.
    fn part(&self, file: File, from: u64, bytes: usize) -> Option<Vec<u8>>;
}

/// What has become of a request.
pub enum Outcome<T> {
    /// It is answered, or failed.
    Done(Result<T>),
    /// [`check_interrupts`] first, and ask again.
    Interrupted,
}

/// What a request wants.
#[derive(Clone, PartialEq, Eq)]
enum Want {
    Run(Digest, Priority, Texts),
    Load(Digest),
    Status,
}

struct Pending {
    want: Want,
    id: u64,
    until: Option<Instant>,
    /// Whether the model was brought already.
    brought: bool,
}

#[derive(Default)]
struct Client {
    connection: Option<Connection>,
    pending: Option<Pending>,
    last: u64,
    /// When an engine was started, and until when its socket is waited for.
    starting_until: Option<Instant>,
}

thread_local! {
    static CLIENT: RefCell<Client> = RefCell::default();
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a model on texts.
pub fn run(files: &dyn Files, priority: Priority, texts: Texts, timeout: Option<Duration>) -> Outcome<Output> {
    ask(Want::Run(files.digest(), priority, texts), Some(files), timeout, |reply| match reply {
        Reply::Done { output, .. } => Some(output),
        _ => None,
    })
}

/// Has a model ready.
pub fn load(files: &dyn Files, timeout: Option<Duration>) -> Outcome<()> {
    ask(Want::Load(files.digest()), Some(files), timeout, |reply| matches!(reply, Reply::Done { .. }).then_some(()))
}

/// What the engine tells of itself.
pub fn status(timeout: Option<Duration>) -> Outcome<EngineStatus> {
    ask(Want::Status, None, timeout, |reply| match reply {
        Reply::Status { status, .. } => Some(*status),
        _ => None,
    })
}

/// Asks the engine to end, so that it is started anew; whether there was one.
pub fn restart() -> bool {
    CLIENT.with(|client| {
        let mut client = client.borrow_mut();
        client.take_back();
        let sent = client.connected().and_then(|connection| {
            connection.push(&Request::End.encode()?);
            connection.send()
        });
        client.connection = None;
        sent.is_ok()
    })
}

/// Sees to what has interrupted a wait; a cancel ends the statement here, so nothing may be held.
pub fn check_interrupts() {
    pg_sys::check_for_interrupts!();
}

/// Asks until there is an answer; for callers that hold nothing which an error must not pass.
///
/// # Errors
/// Those of the request.
pub fn wait<T>(mut ask: impl FnMut() -> Outcome<T>) -> Result<T> {
    loop {
        match ask() {
            Outcome::Done(result) => return result,
            Outcome::Interrupted => check_interrupts(),
        }
    }
}

fn ask<T>(
    want: Want,
    files: Option<&dyn Files>,
    timeout: Option<Duration>,
    take: impl Fn(Reply) -> Option<T>,
) -> Outcome<T> {
    if !settings::engine() {
        return Outcome::Done(Err(Error::Engine("pg_harca.engine is off".into())));
    }
    take_back_at_transaction_end();
    CLIENT.with(|client| {
        let client = &mut *client.borrow_mut();
        let proved = client.connection.as_ref().is_some_and(Connection::is_proved);
        let mut asked = client.ask(&want, files, timeout);
        // An engine that was started anew since the last request has not seen this one.
        if asked.is_err() && client.drop_broken() && proved {
            client.forget_way();
            asked = client.ask(&want, files, timeout);
        }
        match asked {
            Ok(None) => Outcome::Interrupted,
            Ok(Some(reply)) => {
                client.pending = None;
                Outcome::Done(take(reply).ok_or_else(|| Error::Protocol("the answer is to something else".into())))
            }
            Err(error) => {
                client.pending = None;
                client.drop_broken();
                Outcome::Done(Err(error))
            }
        }
    })
}

impl Client {
    /// The reply to a request; none when something else is to be done first.
    fn ask(&mut self, want: &Want, files: Option<&dyn Files>, timeout: Option<Duration>) -> Result<Option<Reply>> {
        if self.pending.as_ref().is_some_and(|pending| pending.want != *want) {
            self.take_back();
        }
        if self.pending.is_none() {
            let until = timeout.map(|timeout| Instant::now() + timeout);
            self.pending = Some(Pending { want: want.clone(), id: 0, until, brought: false });
        }
        loop {
            if !self.request()? {
                return Ok(None);
            }
            let Some(pending) = &self.pending else { return Ok(None) };
            let (id, until, brought) = (pending.id, pending.until, pending.brought);
            let Some(connection) = &mut self.connection else { return Ok(None) };
            connection.send()?;
            match connection.receive()? {
                None => match connection.wait(until) {
                    Waited::Ready => {}
                    Waited::Interrupted => return Ok(None),
                    Waited::TooLong => {
                        self.take_back();
                        return Err(Error::Engine("it has not answered within pg_harca.engine_timeout".into()));
                    }
                },
                // To a request that was taken back.
                Some(reply) if reply.id() != id => {}
                Some(Reply::Wanted { .. }) => match files {
                    Some(files) if !brought => {
                        if !self.bring(files)? {
                            return Ok(None);
                        }
                    }
                    _ => return Err(Error::Engine("it has let the model go again".into())),
                },
                Some(Reply::Failed { failure, reason, .. }) => return Err(failed(failure, &reason)),
                Some(reply) => return Ok(Some(reply)),
            }
        }
    }

    /// Sends the request that is pending, if it is not on its way; false when something else is to be done first.
    fn request(&mut self) -> Result<bool> {
        if self.pending.as_ref().is_some_and(|pending| pending.id != 0) && self.connection.is_some() {
            return Ok(true);
        }
        if self.connection.is_none() && !self.connect()? {
            return Ok(false);
        }
        self.last += 1;
        let (id, Some(pending), Some(connection)) = (self.last, &mut self.pending, &mut self.connection) else {
            return Ok(false);
        };
        pending.id = id;
        let request = match &pending.want {
            Want::Run(model, priority, texts) => {
                Request::Run { id, model: *model, priority: *priority, texts: texts.clone() }
            }
            Want::Load(model) => Request::Load { id, model: *model },
            Want::Status => Request::Status { id },
        };
        connection.push(&request.encode()?);
        Ok(true)
    }

    /// Connects, and waits for an engine that is just being started; false when something else is to be done first.
    fn connect(&mut self) -> Result<bool> {
        loop {
            match Connection::open() {
                Ok(connection) => {
                    (self.connection, self.starting_until) = (Some(connection), None);
                    return Ok(true);
                }
                Err(error) => {
                    let until = match self.starting_until {
                        Some(until) => until,
                        // Status asks what is there, and starts nothing.
                        None if matches!(self.pending, Some(Pending { want: Want::Status, .. })) => return Err(error),
                        None if supervisor::start() => *self.starting_until.insert(Instant::now() + START),
                        None => return Err(error),
                    };
                    if Instant::now() >= until {
                        self.starting_until = None;
                        return Err(error);
                    }
                    if !supervisor::nap(RETRY) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn connected(&mut self) -> Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open()?);
        }
        self.connection.as_mut().ok_or_else(|| Error::Engine("it does not listen".into()))
    }

    /// Sends the files of a model, part by part, and the request once more; false when something else is to be done first.
    ///
    /// What is interrupted here begins anew: the engine forgets what it has not got as a whole.
    fn bring(&mut self, files: &dyn Files) -> Result<bool> {
        let missing = || Error::Engine("the model is not registered any more".into());
        let (manifest, graph, tokenizer) = files.announce().ok_or_else(missing)?;
        let offer = Request::Offer { model: files.digest(), manifest, graph, tokenizer };
        let until = self.pending.as_ref().and_then(|pending| pending.until);
        self.connected()?.push(&offer.encode()?);
        for (file, bytes) in [(File::Graph, graph), (File::Tokenizer, tokenizer)] {
            let mut from = 0;
            while from < bytes {
                let part =
                    files.part(file, from, MAX_PART_BYTES).filter(|part| !part.is_empty()).ok_or_else(missing)?;
                from += part.len() as u64;
                let connection = self.connected()?;
                connection.push(&Request::Part { file, bytes: part }.encode()?);
                loop {
                    connection.send()?;
                    if connection.is_sent() {
                        break;
                    }
                    match connection.wait(until) {
                        Waited::Ready => {}
                        Waited::Interrupted => {
                            self.connection = None;
                            return Ok(false);
                        }
                        Waited::TooLong => return Err(Error::Engine("it takes no model".into())),
                    }
                }
            }
        }
        records::note_database(process::database());
        if let Some(pending) = &mut self.pending {
            (pending.id, pending.brought) = (0, true);
        }
        self.request()
    }

    /// Lets a connection go that is good for nothing more; whether it was.
    fn drop_broken(&mut self) -> bool {
        self.connection.take_if(|connection| connection.is_broken()).is_some()
    }

    /// The request that is pending is not on its way any more.
    fn forget_way(&mut self) {
        if let Some(pending) = &mut self.pending {
            (pending.id, pending.brought) = (0, false);
        }
    }

    /// Tells the engine that nobody waits for the request on its way.
    fn take_back(&mut self) {
        if let Some(Pending { id, .. }) = self.pending.take()
            && id != 0
            && let Some(connection) = &mut self.connection
        {
            let sent = Request::Cancel { id }.encode().and_then(|frame| {
                connection.push(&frame);
                connection.send()
            });
            // What cannot be said is seen by the end of the connection.
            if sent.is_err() || !connection.is_sent() {
                self.connection = None;
            }
        }
    }
}

fn failed(failure: Failure, reason: &str) -> Error {
    match failure {
        Failure::Busy => Error::Busy(reason.into()),
        Failure::Quarantined | Failure::Model | Failure::Input => Error::Inference(reason.into()),
    }
}

fn take_back_at_transaction_end() {
    if !LISTENING.replace(true) {
        // SAFETY: registered once for the life of the process; the function raises no error.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_PARALLEL_ABORT};
    if event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT {
        CLIENT.with(|client| {
            if let Ok(mut client) = client.try_borrow_mut() {
                client.take_back();
            }
        });
    }
}
