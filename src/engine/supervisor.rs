//! The background worker that starts the engine, watches it, and starts it again.
//!
//! It reads no table and attaches to no database. While it works it holds a lock on a file of the data folder, by which
//! sessions see that there is one, and a second one that there is one already.
#![allow(unsafe_code)] // an exported symbol

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harca_core::protocol::digest::Digest;
use harca_core::protocol::settings::{CANNOT_BEGIN, EngineSettings, Event, Level, OUT_OF_MEMORY};
use harca_core::watch::restarts::{End, Restarts};
use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
    SignalWakeFlags,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard};

use super::records::{self, Database, State};
use super::{SOCKET, records::AT_WORK};
use crate::{process, settings};

/// Who holds a lock on it watches the engine.
const LOCK: &str = "pg_harca_engine.lock";

/// The program, in the extension's own folder.
const PROGRAM: &str = "pg_harca_engine";

/// The function of the worker that has a database's models loaded, and keeps embeddings in step.
const DATABASE_WORKER: &str = "pg_harca_database_worker";

/// How often the worker looks whether somebody has released a model.
const LOOK: Duration = Duration::from_secs(1);

/// Time that the engine has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Time after which a worker that has ended by an error is started again.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// Most bytes of a line of the engine's.
const MAX_LINE: usize = 64 << 10;

/// Signals that come of a program's own errors.
const CRASHES: [i32; 5] = [4, 6, 7, 8, 11];

/// Registers the worker. To be called from `_PG_init` in the postmaster.
pub fn register() {
    builder().set_restart_time(Some(RESTART_AFTER)).load();
}

/// Has a worker started, unless there is one; whether that is so.
pub fn start() -> bool {
    // Whoever gets the lock, and lets it go again, sees that nobody watches.
    if !settings::engine() || lock().is_none() {
        return false;
    }
    builder().set_restart_time(None).load_dynamic().is_ok()
}

/// Waits for a moment; false when something else is to be done first.
pub fn nap(pause: Duration) -> bool {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = i64::try_from(pause.as_millis()).unwrap_or(1);
    // SAFETY: the latch is this process's own, and what has set it is seen to by the caller.
    unsafe {
        let happened = pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        if happened as u32 & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        pg_sys::InterruptPending == 0
    }
}

/// The worker of a database.
fn start_database_worker(database: u32) -> Option<DynamicBackgroundWorker> {
    BackgroundWorkerBuilder::new("pg_harca database worker")
        .set_library("pg_harca")
        .set_function(DATABASE_WORKER)
        .set_argument(Some(Datum::from(database)))
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .set_restart_time(None)
        .load_dynamic()
        .ok()
}

fn builder() -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new("pg_harca engine")
        .set_library("pg_harca")
        .set_function("pg_harca_engine_supervisor")
        .enable_shmem_access(None)
        .set_start_time(BgWorkerStartTime::PostmasterStart)
}

/// The lock, if nobody has it.
fn lock() -> Option<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(LOCK).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// What tells glibc how many heaps it may have (mallopt(3)).
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Heaps of the engine: one for each run that may go on, and one for what reads and replies meanwhile. Without a bound, each session
/// has one by its thread, which keeps what a run once took.
fn heaps(settings: &EngineSettings) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / settings.threads_of_a_run(processors)).max(1) + 1
}

/// What the engine is to be.
fn wanted(restarts: &Restarts) -> EngineSettings {
    let library = process::library_directory().join("pg_harca");
    EngineSettings {
        socket: SOCKET.into(),
        folder: ".".into(),
        at_work: AT_WORK.into(),
        onnxruntime: settings::engine_onnxruntime_path()
            .or_else(|| settings::onnxruntime_path().map(PathBuf::from))
            .unwrap_or_else(|| library.join(process::ONNXRUNTIME_FILE)),
        memory: settings::engine_memory(),
        threads: settings::engine_threads(),
        wait: settings::engine_wait(),
        strategy: settings::engine_strategy(),
        queue: settings::engine_queue(),
        providers: settings::engine_providers(),
        quarantined: records::quarantine(),
        suspected: restarts.suspected(),
    }
}

/// The worker.
#[doc(hidden)]
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_harca_engine_supervisor(_argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let Some(_lock) = lock() else { return };
    let mut supervisor = Supervisor::new();
    while !BackgroundWorker::sigterm_received() {
        if BackgroundWorker::sighup_received() {
            // SAFETY: the main loop of a worker may read the configuration anew.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        supervisor.work();
        supervisor.wait();
    }
    supervisor.stop("the server ends");
}

/// A running engine.
struct Engine {
    child: Child,
    settings: EngineSettings,
    began: Instant,
    line: Vec<u8>,
}

struct Supervisor {
    engine: Option<Engine>,
    restarts: Restarts,
    /// When the engine may be started.
    not_before: Instant,
    state: State,
    /// The workers of databases, and how often each had been called when it was started; forgotten when a new engine wants
    /// its models.
    workers: HashMap<u32, DynamicBackgroundWorker>,
    called: HashMap<u32, u64>,
}

impl Supervisor {
    fn new() -> Self {
        let state =
            State { state: "starting".into(), detail: String::new(), since: process::current_time(), restarts: -1 };
        Self {
            engine: None,
            restarts: Restarts::default(),
            not_before: Instant::now(),
            state,
            workers: HashMap::new(),
            called: HashMap::new(),
        }
    }

    /// Does what is to be done now.
    fn work(&mut self) {
        if !settings::engine() {
            self.stop("pg_harca.engine is off");
            return self.tell("off", "pg_harca.engine is off");
        }
        match &mut self.engine {
            None if Instant::now() >= self.not_before => self.start(),
            None => {}
            Some(engine) => {
                let wanted = wanted(&self.restarts);
                if engine.settings != wanted {
                    let replaced = (&engine.settings.onnxruntime, cpu_alone(&engine.settings));
                    if replaced != (&wanted.onnxruntime, cpu_alone(&wanted)) {
                        // A library that was loaded stays loaded, and so does a limit.
                        self.stop("its runtime is another from now on");
                        return self.start();
                    }
                    engine.follow(wanted);
                }
                self.listen();
                self.start_database_workers();
            }
        }
    }

    /// Starts the worker of each database that has none and was called for, or whose models this engine has not got.
    fn start_database_workers(&mut self) {
        if self.state.state != "running" {
            return;
        }
        for Database { number: database, calls, starts } in records::databases() {
            let runs = self
                .workers
                .get(&database)
                .is_some_and(|worker| matches!(worker.pid(), Ok(_) | Err(BackgroundWorkerStatus::NotYetStarted)));
            // One that has ended before it was connected is started again.
            if runs || starts == 0 && self.called.get(&database) == Some(&calls) {
                continue;
            }
            // Without a place for a worker a model is brought by whoever asks for it first, and this is tried again.
            if let Some(worker) = start_database_worker(database) {
                self.workers.insert(database, worker);
                self.called.insert(database, calls);
            }
        }
    }

    /// Waits until there may be something to do.
    fn wait(&self) {
        let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        let descriptor = self.engine.as_ref().and_then(|engine| engine.child.stdout.as_ref()).map(AsRawFd::as_raw_fd);
        if descriptor.is_some() {
            events |= pg_sys::WL_SOCKET_READABLE;
        }
        let rest = match self.engine {
            Some(_) => LOOK,
            None => self.not_before.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(10), LOOK),
        };
        let milliseconds = i64::try_from(rest.as_millis()).unwrap_or(1000);
        // SAFETY: the latch is this process's own and the pipe open; -1 stands for none.
        unsafe {
            let (latch, descriptor) = (pg_sys::MyLatch, descriptor.unwrap_or(-1));
            pg_sys::WaitLatchOrSocket(latch, events as i32, descriptor, milliseconds, pg_sys::PG_WAIT_EXTENSION);
            pg_sys::ResetLatch(latch);
        }
        pg_sys::check_for_interrupts!();
    }

    fn start(&mut self) {
        let settings = wanted(&self.restarts);
        match Engine::start(settings) {
            Ok(engine) => {
                self.engine = Some(engine);
                self.state.restarts += 1;
                self.tell("starting", "");
            }
            Err(error) => {
                let path = program();
                let detail = format!("\"{}\" cannot be started: {error}", path.display());
                self.ended(End::CannotBegin, Duration::ZERO, &detail);
            }
        }
    }

    /// Reads what the engine says, and sees whether it has ended.
    fn listen(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        let (events, open) = engine.read();
        for event in events {
            if event.listening {
                self.tell("running", "");
                self.called.clear();
            }
            report(&event);
        }
        if open {
            return;
        }
        let Some(mut engine) = self.engine.take() else { return };
        let status = engine.child.wait().ok();
        let end = status.map_or(End::Killed, end_of);
        let how = status.map_or_else(|| "it has gone".into(), |status| format!("it ended with {status}"));
        self.ended(end, engine.began.elapsed(), &how);
    }

    fn ended(&mut self, end: End, lived: Duration, how: &str) {
        let verdict = self.restarts.ended(end, lived, &records::at_work());
        self.not_before = Instant::now() + verdict.pause;
        self.tell("starting", how);
        let hint = if end == End::CannotBegin {
            "Run \"make install\" for this server, or set pg_harca.engine to off."
        } else {
            ""
        };
        if end != End::Asked {
            let pause = verdict.pause.as_millis();
            let code = PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
            ErrorReport::new(code, "engine has ended", "")
                .set_detail(format!("{how}; it is started again in {pause} ms."))
                .set_hint(if hint.is_empty() { "See harca.health() for what is wrong with it." } else { hint })
                .report(PgLogLevel::WARNING);
        }
        if !verdict.quarantine.is_empty() {
            self.quarantine(&verdict.quarantine);
        }
    }

    fn quarantine(&self, models: &[Digest]) {
        let mut all = records::quarantine();
        all.extend(models);
        records::write_quarantine(&all);
        for model in models {
            ErrorReport::new(PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, "model is quarantined", "")
                .set_detail(format!("The model with the identity {model} has brought the engine down three times."))
                .set_hint("It is not run until it is released with harca.release_model(model).")
                .report(PgLogLevel::WARNING);
        }
    }

    fn stop(&mut self, why: &str) {
        if let Some(engine) = self.engine.take() {
            engine.stop();
            self.tell("starting", why);
        }
    }

    /// Writes how the engine is, if that has changed.
    fn tell(&mut self, state: &str, detail: &str) {
        if self.state.state == state && self.state.detail == detail {
            return;
        }
        self.state.state = state.into();
        // Why it ended the last time is of interest as long as it does not run for long.
        if state != "starting" || !detail.is_empty() {
            self.state.detail = detail.into();
        }
        self.state.since = process::current_time();
        records::write_state(&self.state);
    }
}

impl Engine {
    fn start(settings: EngineSettings) -> std::io::Result<Self> {
        let mut command = Command::new(program());
        if std::env::var_os(HEAPS).is_none() {
            command.env(HEAPS, heaps(&settings).to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        if let Some(stdout) = &child.stdout {
            set_nonblocking(stdout.as_raw_fd())?;
        }
        if let Some(stdin) = &mut child.stdin {
            write_settings(stdin, &settings)?;
        }
        Ok(Self { child, settings, began: Instant::now(), line: Vec::new() })
    }

    fn follow(&mut self, settings: EngineSettings) {
        if let Some(stdin) = &mut self.child.stdin {
            // Where it has ended, that is seen by the other pipe.
            let _ = write_settings(stdin, &settings);
        }
        self.settings = settings;
    }

    /// What it has said since the last time, and whether it may say more.
    fn read(&mut self) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        let Some(stdout) = &mut self.child.stdout else { return (events, false) };
        let mut buffer = [0; 4096];
        let open = loop {
            match stdout.read(&mut buffer) {
                Ok(0) => break false,
                Ok(read) => self.line.extend_from_slice(&buffer[..read]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break e.kind() == ErrorKind::WouldBlock,
            }
        };
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            // What is no event was written by a library.
            events.extend(serde_json::from_slice::<Event>(&line).ok());
        }
        if self.line.len() > MAX_LINE {
            self.line.clear();
        }
        (events, open)
    }

    /// Has it end: by the end of its pipe, else by force.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    process::library_directory().join("pg_harca").join(PROGRAM)
}

fn cpu_alone(settings: &EngineSettings) -> bool {
    settings.providers.iter().all(|name| name == "cpu")
}

fn write_settings(pipe: &mut impl Write, settings: &EngineSettings) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(settings)?;
    line.push(b'\n');
    pipe.write_all(&line)
}

fn set_nonblocking(descriptor: i32) -> std::io::Result<()> {
    // SAFETY: the descriptor is open, and the server's own function changes its flags alone.
    if unsafe { pg_sys::pg_set_noblock(descriptor) } { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Asked,
        (Some(OUT_OF_MEMORY), _) => End::OutOfMemory,
        (Some(CANNOT_BEGIN), _) => End::CannotBegin,
        // A panic of the program itself, and what the runtime makes of its own errors.
        (Some(_), _) => End::Crashed,
        (None, Some(signal)) if CRASHES.contains(&signal) => End::Crashed,
        (None, _) => End::Killed,
    }
}

fn report(event: &Event) {
    let level = match event.level {
        Level::Log => PgLogLevel::LOG,
        Level::Warning => PgLogLevel::WARNING,
    };
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, "message of the engine", "")
        .set_detail(format!("{}.", event.message))
        .report(level);
}
