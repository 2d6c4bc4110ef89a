//! The engine with models that do what a test tells them, to see whose turn it is and what is dropped.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod client;

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use client::{Client, Files, PATIENCE, classification, settings, single};
use harca_core::error::{Error, Result};
use harca_core::protocol::message::{Failure, Reply, Request, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::status::State;
use harca_engine::engine::Engine;
use harca_engine::model::files::ModelFiles;
use harca_engine::model::graph::Options;
use harca_engine::model::{Loader, Model, Reading, Values};
use harca_engine::serve::connection;

/// A model whose every run waits for leave, and says before what it is about to run. 13 it cannot run, 14 not beside another run.
struct Gated {
    shared: bool,
    running: AtomicUsize,
    runs: Mutex<Sender<Vec<i32>>>,
    leave: Arc<Mutex<Receiver<()>>>,
}

impl Model for Gated {
    /// The number in the text, or its length.
    fn read(&self, texts: &Texts) -> Result<Vec<Reading>> {
        let Texts::Single(_, texts) = texts else { return Err(Error::Inference("no pairs".into())) };
        let reading = |text: &String| Reading {
            ids: vec![text.parse().unwrap_or(-1)],
            length: u32::try_from(text.len()).unwrap(),
            ..Reading::default()
        };
        assert!(!texts.iter().any(|text| text == "panic"), "this text is not read");
        Ok(texts.iter().map(reading).collect())
    }

    fn run(&self, batch: &[&Reading]) -> Result<Values> {
        let ids: Vec<i32> = batch.iter().map(|reading| reading.ids[0]).collect();
        let company = self.running.fetch_add(1, SeqCst) > 0;
        self.runs.lock().unwrap().send(ids.clone()).unwrap();
        self.leave.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        self.running.fetch_sub(1, SeqCst);
        match ids.contains(&13) || company && ids.contains(&14) {
            true => Err(Error::Inference("thirteen".into())),
            false => Ok(Values { width: 1, numbers: ids.iter().map(|&id| id as f32).collect() }),
        }
    }

    fn provider(&self) -> (&str, &str) {
        ("gate", "")
    }

    fn is_shared(&self) -> bool {
        self.shared
    }
}

struct GatedLoader {
    shared: bool,
    /// So many loads fail.
    failing: Arc<AtomicUsize>,
    runs: Sender<Vec<i32>>,
    leave: Arc<Mutex<Receiver<()>>>,
}

impl Loader for GatedLoader {
    fn load(&self, _: &ModelFiles, _: &Options) -> Result<Box<dyn Model>> {
        if self.failing.fetch_update(SeqCst, SeqCst, |failing| failing.checked_sub(1)).is_ok() {
            return Err(Error::Inference("no memory is left".into()));
        }
        Ok(Box::new(Gated {
            shared: self.shared,
            running: AtomicUsize::new(0),
            runs: Mutex::new(self.runs.clone()),
            leave: Arc::clone(&self.leave),
        }))
    }

    fn runtime(&self) -> Option<String> {
        None
    }
}

struct Gate {
    engine: Arc<Engine>,
    leave: Sender<()>,
    runs: Receiver<Vec<i32>>,
    files: Files,
    failing: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Gate {
    /// One whose model has one run at a time.
    fn new(queue: u32) -> Self {
        Self::of(queue, false)
    }

    fn of(queue: u32, shared: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ((runs, seen), (leave, left)) = (channel(), channel());
        let failing = Arc::default();
        let loader = GatedLoader { shared, failing: Arc::clone(&failing), runs, leave: Arc::new(Mutex::new(left)) };
        let settings = harca_core::protocol::settings::EngineSettings { queue, ..settings(folder.path()) };
        let engine = Engine::new(settings, Box::new(loader), Box::new(|_| {})).unwrap();
        engine.start().unwrap();
        let files = Files::new(&classification(), b"graph", b"tokenizer");
        Self { engine, leave, runs: seen, files, failing, _folder: folder }
    }

    /// A connection that has brought the model.
    fn connect(&self) -> Client {
        let (near, far) = UnixStream::pair().unwrap();
        connection::open(far, &self.engine);
        let mut client = Client::greet(near);
        client.load(self.files.digest);
        if let Some(Reply::Wanted { .. }) = client.reply() {
            client.offer(&self.files);
            client.load(self.files.digest);
            assert!(matches!(client.reply(), Some(Reply::Done { .. })));
        }
        client
    }

    fn ask(&self, client: &mut Client, priority: Priority, texts: &[&str]) -> u64 {
        client.ask(self.files.digest, priority, single(texts))
    }

    /// What the model is about to run.
    fn next(&self) -> Vec<i32> {
        self.runs.recv_timeout(PATIENCE).unwrap()
    }

    fn let_run(&self) {
        self.leave.send(()).unwrap();
    }

    /// Waits until so many texts wait.
    fn until_queued(&self, texts: u32) {
        while self.engine.status().queued != texts {
            std::thread::yield_now();
        }
    }
}

fn done(reply: Option<Reply>) -> (u64, Vec<f32>) {
    match reply {
        Some(Reply::Done { id, output }) => (id, output.values),
        other => panic!("{other:?}"),
    }
}

fn failed(reply: Option<Reply>) -> (u64, Failure, String) {
    match reply {
        Some(Reply::Failed { id, failure, reason }) => (id, failure, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_runs_together_and_everybody_gets_their_own() {
    let gate = Gate::new(100);
    let mut clients: Vec<Client> = (0..4).map(|_| gate.connect()).collect();
    gate.ask(&mut clients[0], Priority::Interactive, &["1"]);
    assert_eq!(gate.next(), [1]);
    for (number, client) in clients.iter_mut().enumerate().skip(1) {
        gate.ask(client, Priority::Interactive, &[&number.to_string(), &(10 + number).to_string()]);
        gate.until_queued(2 * u32::try_from(number).unwrap());
    }
    gate.let_run();
    assert_eq!(done(clients[0].reply()).1, [1.0]);
    let mut together = gate.next();
    together.sort_unstable();
    assert_eq!(together, [1, 2, 3, 11, 12, 13]);
    // One of them cannot be run: the others are run alone, and lose nothing.
    (0..7).for_each(|_| gate.let_run());
    assert_eq!(done(clients[1].reply()).1, [1.0, 11.0]);
    assert_eq!(done(clients[2].reply()).1, [2.0, 12.0]);
    let (_, failure, reason) = failed(clients[3].reply());
    assert!(failure == Failure::Model && reason.contains("thirteen"), "{reason}");
    let status = gate.engine.status();
    let counts = &status.models[0].by_priority[0];
    assert_eq!((status.models[0].state, counts.requests, counts.failed), (State::Ready, 3, 1));
}

#[test]
fn as_many_run_at_once_as_there_are_processors() {
    let processors = std::thread::available_parallelism().unwrap().get().min(4);
    let gate = Gate::of(100, true);
    let mut clients: Vec<Client> = (0..processors + 1).map(|_| gate.connect()).collect();
    let mut running = Vec::new();
    for (number, client) in clients[..processors].iter_mut().enumerate() {
        gate.ask(client, Priority::Interactive, &[&number.to_string()]);
        running.extend(gate.next());
    }
    assert_eq!(running, (0..processors as i32).collect::<Vec<_>>());
    (0..processors).for_each(|_| gate.let_run());
    for (number, client) in clients[..processors].iter_mut().enumerate() {
        assert_eq!(done(client.reply()).1, [number as f32]);
    }
    gate.ask(&mut clients[processors], Priority::Interactive, &["9"]);
    assert_eq!(gate.next(), [9]);
    gate.let_run();
    assert_eq!(done(clients[processors].reply()).1, [9.0]);
}

#[test]
fn what_cannot_run_beside_another_runs_once_more_alone() {
    if std::thread::available_parallelism().unwrap().get() == 1 {
        return;
    }
    let gate = Gate::of(100, true);
    let (mut first, mut second) = (gate.connect(), gate.connect());
    gate.ask(&mut first, Priority::Interactive, &["1"]);
    assert_eq!(gate.next(), [1]);
    gate.ask(&mut second, Priority::Interactive, &["14"]);
    assert_eq!(gate.next(), [14]);
    gate.let_run();
    assert_eq!(done(first.reply()).1, [1.0]);
    gate.let_run();
    assert_eq!(gate.next(), [14]);
    gate.let_run();
    assert_eq!(done(second.reply()).1, [14.0]);
}

#[test]
fn a_model_that_cannot_be_loaded_beside_a_run_is_loaded_after_it() {
    let gate = Gate::new(100);
    let mut first = gate.connect();
    gate.ask(&mut first, Priority::Interactive, &["1"]);
    assert_eq!(gate.next(), [1]);
    let mut other = classification();
    other["name"] = "another".into();
    let other = Files::new(&other, b"graph", b"tokenizer");
    gate.failing.store(1, SeqCst);
    let mut second = gate.connect();
    second.offer(&other);
    second.load(other.digest);
    while gate.failing.load(SeqCst) > 0 {
        std::thread::yield_now();
    }
    gate.let_run();
    assert_eq!(done(first.reply()).1, [1.0]);
    assert!(matches!(second.reply(), Some(Reply::Done { .. })));
}

#[test]
fn interactive_requests_pass_bulk_ones() {
    let gate = Gate::new(1000);
    let (mut bulk, mut person) = (gate.connect(), gate.connect());
    gate.ask(&mut bulk, Priority::Bulk, &["100"]);
    assert_eq!(gate.next(), [100]);
    let flood: Vec<String> = (101..200).map(|number| number.to_string()).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    gate.ask(&mut bulk, Priority::Bulk, &flood);
    gate.until_queued(99);
    gate.ask(&mut person, Priority::Interactive, &["7"]);
    gate.until_queued(100);
    gate.let_run();
    assert_eq!(gate.next(), [7]);
    gate.let_run();
    assert_eq!(done(person.reply()).1, [7.0]);
    // In as many runs as the time of those before makes it.
    let mut left = 99;
    while left > 0 {
        left -= gate.next().len();
        gate.let_run();
    }
    done(bulk.reply());
    assert_eq!(done(bulk.reply()).1.len(), 99);
}

#[test]
fn what_nobody_waits_for_is_not_run() {
    let gate = Gate::new(100);
    let (mut first, mut second, mut third) = (gate.connect(), gate.connect(), gate.connect());
    gate.ask(&mut first, Priority::Interactive, &["1"]);
    assert_eq!(gate.next(), [1]);
    let cancelled = gate.ask(&mut second, Priority::Interactive, &["2", "3"]);
    gate.ask(&mut third, Priority::Interactive, &["4"]);
    gate.until_queued(3);
    second.send(&Request::Cancel { id: cancelled });
    gate.until_queued(1);
    drop(third);
    gate.until_queued(0);
    gate.ask(&mut second, Priority::Interactive, &["5"]);
    gate.until_queued(1);
    gate.let_run();
    assert_eq!(gate.next(), [5]);
    gate.let_run();
    assert_eq!(done(second.reply()).1, [5.0]);
    assert_eq!(gate.engine.status().cancelled, 3);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let gate = Gate::new(3);
    let (mut first, mut second) = (gate.connect(), gate.connect());
    gate.ask(&mut first, Priority::Interactive, &["1"]);
    assert_eq!(gate.next(), [1]);
    gate.ask(&mut first, Priority::Interactive, &["2", "3"]);
    gate.until_queued(2);
    gate.ask(&mut second, Priority::Bulk, &["4", "5"]);
    let (_, failure, reason) = failed(second.reply());
    assert_eq!((failure, reason.as_str()), (Failure::Busy, "2 texts wait already, and 2 more than 3 do not fit"));
    gate.ask(&mut second, Priority::Bulk, &["4"]);
    gate.until_queued(3);
    (0..3).for_each(|_| gate.let_run());
    assert_eq!(done(second.reply()).1, [4.0]);
}

#[test]
fn a_text_that_makes_a_library_panic_costs_its_request_alone() {
    let gate = Gate::new(100);
    let mut client = gate.connect();
    gate.ask(&mut client, Priority::Interactive, &["panic"]);
    let (_, failure, reason) = failed(client.reply());
    assert!(failure == Failure::Input && reason.contains("this text is not read"), "{reason}");
    gate.ask(&mut client, Priority::Interactive, &["6"]);
    gate.let_run();
    assert_eq!(done(client.reply()).1, [6.0]);
}

#[test]
fn whoever_was_bringing_a_model_may_go() {
    let gate = Gate::new(100);
    let open = || {
        let (near, far) = UnixStream::pair().unwrap();
        connection::open(far, &gate.engine);
        Client::greet(near)
    };
    let (mut first, mut second) = (open(), open());
    let Files { digest, manifest, .. } = gate.files.clone();
    first.send(&Request::Offer { model: digest, manifest, graph: 5, tokenizer: 9 });
    first.status();
    second.load(digest);
    second.status();
    drop(first);
    assert!(matches!(second.reply(), Some(Reply::Wanted { .. })));
    second.offer(&gate.files);
    second.load(digest);
    assert!(matches!(second.reply(), Some(Reply::Done { .. })));
}
