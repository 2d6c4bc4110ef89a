//! Settings of the engine, the process beside the server that runs large models.
#![allow(unsafe_code)] // the definition of a setting with a hook

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use harca_core::protocol::settings::Strategy;
use pgrx::PostgresGucEnum;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

/// Values of `pg_harca.placement`: where models run.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Placement {
    /// Transformers in the engine, and whatever takes longer or more memory than each backend should spend on it; all others
    /// in the backend.
    #[name = c"auto"]
    Auto,
    /// In the backend, always; a transformer does not run then.
    #[name = c"backend"]
    Backend,
    /// In the engine, always.
    #[name = c"engine"]
    Engine,
}

/// Values of `pg_harca.engine_strategy`, see [`Strategy`].
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum EngineStrategy {
    #[name = c"latency"]
    Latency,
    #[name = c"balanced"]
    Balanced,
    #[name = c"throughput"]
    Throughput,
}

static ENGINE: GucSetting<bool> = GucSetting::<bool>::new(true);
static PLACEMENT: GucSetting<Placement> = GucSetting::<Placement>::new(Placement::Auto);
static ENGINE_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(2048);
static MAX_ENGINE_MODEL_SIZE: GucSetting<i32> = GucSetting::<i32>::new(768 * 1024);
static ENGINE_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static ENGINE_WAIT: GucSetting<i32> = GucSetting::<i32>::new(1);
static ENGINE_STRATEGY: GucSetting<EngineStrategy> = GucSetting::<EngineStrategy>::new(EngineStrategy::Balanced);
static ENGINE_QUEUE: GucSetting<i32> = GucSetting::<i32>::new(8192);
static ENGINE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static ENGINE_PROVIDERS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"cpu"));
static ENGINE_ONNXRUNTIME_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Defines them.
pub(super) fn define() {
    GucRegistry::define_bool_guc(
        c"pg_harca.engine",
        c"Runs large models in a process of their own beside the server.",
        c"When off, the process ends, and models that need it are not used. All that a backend runs itself stays as it is.",
        &ENGINE,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"pg_harca.placement",
        c"Where models run.",
        c"\"auto\" runs models with a tokenizer in the engine, and others that take more than 2 ms or 16 MB, all the rest in the backend; \"backend\" and \"engine\" run all of them there.",
        &PLACEMENT,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.engine_memory",
        c"Memory that the engine may have, its models included.",
        c"Beyond 85 % of it models go that nobody has asked for lately, beyond 90 % all that have nothing to do. An engine beyond the whole of it is started anew.",
        &ENGINE_MEMORY,
        64,
        1024 * 1024,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.max_engine_model_size",
        c"Largest model that can be registered for the engine, its tokenizer included.",
        c"A value of the type bytea, in which its graph is kept, has less than 1 GB.",
        &MAX_ENGINE_MODEL_SIZE,
        1,
        1024 * 1024 - 1,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_harca.engine_threads",
        c"Threads that a run of a model has in the engine.",
        c"As many runs go on at once as there are processors for. 0 is the square root of their number; fewer as long as they are pressed.",
        &ENGINE_THREADS,
        0,
        1024,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.engine_wait",
        c"How long after a run the next one waits for those that asked together with it.",
        c"Only while the engine is busy: an idle one runs what comes at once.",
        &ENGINE_WAIT,
        0,
        1000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_enum_guc(
        c"pg_harca.engine_strategy",
        c"How the engine trades the time of one request against the work done in all.",
        c"A run takes about 20 ms with \"latency\", 60 ms with \"balanced\" and 250 ms with \"throughput\".",
        &ENGINE_STRATEGY,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.engine_queue",
        c"Texts that may wait in the engine.",
        c"What does not fit is refused at once; a classification takes its fallback then.",
        &ENGINE_QUEUE,
        1,
        1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_harca.engine_timeout",
        c"How long a classification waits for the engine before its fallback answers.",
        c"0 waits as long as the statement may take.",
        &ENGINE_TIMEOUT,
        0,
        3_600_000,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_string_guc(
        c"pg_harca.engine_providers",
        c"Execution providers of models that name none in their manifest.",
        c"\"cuda\" or \"cpu\", separated by commas, the best first; the first that works is used.",
        &ENGINE_PROVIDERS,
        GucContext::Sighup,
        GucFlags::default(),
    );
    // Superuser: it is code that the engine runs.
    GucRegistry::define_string_guc(
        c"pg_harca.engine_onnxruntime_path",
        c"ONNX Runtime library file of the engine.",
        c"Empty uses the one of pg_harca.onnxruntime_path. It may be a build for graphics processors, and newer than what a backend accepts.",
        &ENGINE_ONNXRUNTIME_PATH,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

/// Whether there is to be an engine.
pub fn engine() -> bool {
    ENGINE.get()
}

/// Where models run.
pub fn placement() -> Placement {
    PLACEMENT.get()
}

/// Bytes that the engine may have.
pub fn engine_memory() -> u64 {
    u64::try_from(ENGINE_MEMORY.get()).unwrap_or(0) << 20
}

/// Largest model that can be registered for the engine, in bytes.
pub fn max_engine_model_bytes() -> u64 {
    u64::try_from(MAX_ENGINE_MODEL_SIZE.get()).unwrap_or(0) << 10
}

/// Threads of a run, 0 for the square root of the number of processors.
pub fn engine_threads() -> u32 {
    u32::try_from(ENGINE_THREADS.get()).unwrap_or(0)
}

/// Microseconds after a run in which the next one waits for company.
pub fn engine_wait() -> u32 {
    1000 * u32::try_from(ENGINE_WAIT.get()).unwrap_or(0)
}

/// How the engine trades time against work.
pub fn engine_strategy() -> Strategy {
    match ENGINE_STRATEGY.get() {
        EngineStrategy::Latency => Strategy::Latency,
        EngineStrategy::Balanced => Strategy::Balanced,
        EngineStrategy::Throughput => Strategy::Throughput,
    }
}

/// Texts that may wait.
pub fn engine_queue() -> u32 {
    u32::try_from(ENGINE_QUEUE.get()).unwrap_or(1)
}

/// How long a classification waits for the engine; none for as long as it takes.
pub fn engine_timeout() -> Option<Duration> {
    let milliseconds = u64::try_from(ENGINE_TIMEOUT.get()).unwrap_or(0);
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// Execution providers, the best first.
pub fn engine_providers() -> Vec<String> {
    let names = ENGINE_PROVIDERS.get().map(|names| names.to_string_lossy().to_lowercase()).unwrap_or_default();
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The engine's own ONNX Runtime library, if one is named.
pub fn engine_onnxruntime_path() -> Option<PathBuf> {
    let path = ENGINE_ONNXRUNTIME_PATH.get()?.to_string_lossy().into_owned();
    (!path.is_empty()).then(|| path.into())
}
