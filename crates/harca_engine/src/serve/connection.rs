//! One backend's connection: a thread that reads its requests, for as long as it is open.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

use harca_core::error::{Error, Result};
use harca_core::protocol::digest::Digest;
use harca_core::protocol::frame::Incoming;
use harca_core::protocol::message::{Hello, Reply, Request};

use crate::engine::Engine;
use crate::model::files::ArrivingFiles;
use crate::reply::outgoing::Outgoing;
use crate::reply::ticket::Ticket;

/// Stack of the thread: it parses, tokenizes and runs. What it does not touch takes no memory.
const STACK: usize = 2 << 20;

/// Requests of one connection that may be on their way.
const MAX_REQUESTS: usize = 4096;

/// Serves a connection in a thread of its own.
pub fn open(stream: UnixStream, engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    let thread = std::thread::Builder::new().name("connection".into()).stack_size(STACK);
    // Without a thread the stream is dropped, which the backend sees as the end of it.
    let _ = thread.spawn(move || {
        let Ok(reader) = stream.try_clone() else { return };
        engine.count_connection(1);
        let mut connection = Connection::new(Arc::clone(&engine), Outgoing::new(stream));
        connection.read(reader);
        connection.end();
        engine.count_connection(-1);
    });
}

/// What is known of a connection.
pub struct Connection {
    engine: Arc<Engine>,
    outgoing: Arc<Outgoing>,
    greeted: bool,
    /// Requests that may be on their way.
    tickets: HashMap<u64, Weak<Ticket>>,
    /// The model whose files are coming in.
    arriving: Option<ArrivingFiles>,
}

impl Connection {
    /// One that has just been opened.
    #[must_use]
    pub fn new(engine: Arc<Engine>, outgoing: Arc<Outgoing>) -> Self {
        Self { engine, outgoing, greeted: false, tickets: HashMap::new(), arriving: None }
    }

    fn read(&mut self, mut stream: UnixStream) {
        let mut incoming = Incoming::default();
        loop {
            match incoming.read(&mut stream) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            loop {
                let handled = match incoming.take() {
                    Ok(None) => break,
                    Ok(Some(body)) => self.handle(body),
                    Err(error) => Err(error),
                };
                if let Err(error) = handled {
                    self.engine.log(&format!("a connection was closed: {error}"));
                    return self.outgoing.close();
                }
            }
        }
    }

    /// Does what the body of a frame asks.
    ///
    /// # Errors
    /// [`Error::Protocol`], after which the connection is to be closed.
    pub fn handle(&mut self, body: &[u8]) -> Result<()> {
        if !self.greeted {
            let hello = Hello::decode(body)?;
            self.outgoing.send(&Hello::own().encode()?);
            self.greeted = true;
            // Whoever speaks otherwise has been told how this one speaks, and sees the end.
            return hello.check();
        }
        match Request::decode(body)? {
            Request::Run { id, model, priority, texts } => {
                let ticket = Ticket::new(id, priority, texts.len(), self.engine.now(), Arc::clone(&self.outgoing));
                self.remember(&ticket)?;
                self.engine.run(model, &ticket, texts);
            }
            Request::Load { id, model } => {
                let priority = harca_core::protocol::priority::Priority::Interactive;
                let ticket = Ticket::new(id, priority, 0, self.engine.now(), Arc::clone(&self.outgoing));
                self.remember(&ticket)?;
                self.engine.load(model, &ticket);
            }
            Request::Cancel { id } => {
                if let Some(ticket) = self.tickets.remove(&id).and_then(|ticket| ticket.upgrade()) {
                    ticket.give_up();
                    self.engine.drop_given_up();
                }
            }
            Request::Offer { model, manifest, graph, tokenizer } => self.offer(model, &manifest, graph, tokenizer),
            Request::Part { file, bytes } => {
                if let Some(arriving) = &mut self.arriving {
                    match arriving.push(file, &bytes) {
                        Ok(()) => self.complete(),
                        Err(error) => self.spoil(&error),
                    }
                }
            }
            Request::End => {
                self.engine.log("the engine ends because it was asked to");
                std::process::exit(0);
            }
            Request::Status { id } => {
                let status = Box::new(self.engine.status());
                self.outgoing.reply(&Reply::Status { id, status });
            }
        }
        Ok(())
    }

    fn remember(&mut self, ticket: &Arc<Ticket>) -> Result<()> {
        if self.tickets.len() >= MAX_REQUESTS {
            self.tickets.retain(|_, ticket| ticket.strong_count() > 0);
        }
        if self.tickets.len() >= MAX_REQUESTS {
            return Err(Error::Protocol(format!("more than {MAX_REQUESTS} requests at once")));
        }
        self.tickets.insert(ticket.id(), Arc::downgrade(ticket));
        Ok(())
    }

    fn offer(&mut self, model: Digest, manifest: &str, graph: u64, tokenizer: u64) {
        self.withdraw();
        if !self.engine.expect(model) {
            return;
        }
        let folder = self.engine.settings().folder;
        match ArrivingFiles::new(&folder, model, manifest, graph, tokenizer) {
            Ok(arriving) => {
                self.engine.name(model, &arriving.name());
                self.arriving = Some(arriving);
                self.complete();
            }
            Err(error) => self.engine.broken(model, &error),
        }
    }

    fn complete(&mut self) {
        if let Some(arriving) = self.arriving.take_if(|arriving| arriving.is_complete()) {
            let model = arriving.identity();
            match arriving.finish() {
                Ok(files) => self.engine.arrived(model, files),
                Err(error) => self.engine.broken(model, &error),
            }
        }
    }

    fn spoil(&mut self, error: &Error) {
        if let Some(arriving) = self.arriving.take() {
            self.engine.broken(arriving.identity(), error);
        }
    }

    /// Whoever else waits for the model that was coming in has to bring it.
    fn withdraw(&mut self) {
        if let Some(arriving) = self.arriving.take() {
            self.engine.withdrawn(arriving.identity());
        }
    }

    /// Nobody is at the other end any more.
    pub fn end(&mut self) {
        self.withdraw();
        for ticket in self.tickets.drain().filter_map(|(_, ticket)| ticket.upgrade()) {
            ticket.give_up();
        }
        self.engine.drop_given_up();
        self.outgoing.close();
    }
}
