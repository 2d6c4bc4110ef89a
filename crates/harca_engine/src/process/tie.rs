//! What ties the engine to the server: it ends when the server does, however that comes, and is the first to go when the
//! machine's memory is short.

use std::io::{self, BufRead};

use harca_core::protocol::settings::EngineSettings;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

/// Asks the kernel to end this process with the one that has started it, to choose it first when memory is short, and to
/// write no core, in which texts of users would lie.
///
/// Every one of these is a wish: where the system does not know it, the pipe still ties the two together.
pub fn tie_to_parent() {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Refuses the process memory beyond its bound and a quarter more, which the kernel holds against a single large allocation
/// before anybody looks.
///
/// Not where a graphics processor is used: its driver reserves addresses without end.
pub fn bound_memory(settings: &EngineSettings) {
    if settings.providers.iter().all(|name| name == "cpu") {
        let most = settings.memory.saturating_add(settings.memory / 4).saturating_add(64 << 20);
        let _ = setrlimit(Resource::Data, Rlimit { current: Some(most), maximum: None });
    }
}

/// The settings in the next line, none at the end of the stream.
///
/// # Errors
/// When the line holds no settings.
pub fn next_settings(lines: &mut impl BufRead) -> io::Result<Option<EngineSettings>> {
    let mut line = String::new();
    match lines.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}
