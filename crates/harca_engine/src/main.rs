//! The program: reads its settings from standard input, serves, and ends with that stream.

use std::io::{self, BufRead, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use harca_core::protocol::settings::{CANNOT_BEGIN, EngineSettings, Event, Level};
use harca_engine::engine::Engine;
use harca_engine::model::ManifestLoader;
use harca_engine::process::tie;
use harca_engine::serve::listener;

fn main() -> ExitCode {
    tie::tie_to_parent();
    let mut lines = stdin().lock();
    let begun = match tie::next_settings(&mut lines) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(settings)) => begin(settings),
        Err(error) => Err(error),
    };
    match begun {
        Ok(engine) => {
            follow(&engine, &mut lines);
            // Nothing is taken apart: whoever is at the other end has gone.
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&Event {
                level: Level::Warning,
                message: format!("the engine cannot begin: {error}"),
                listening: false,
            });
            ExitCode::from(u8::try_from(CANNOT_BEGIN).unwrap_or(u8::MAX))
        }
    }
}

fn begin(settings: EngineSettings) -> io::Result<Arc<Engine>> {
    tie::bound_memory(&settings);
    let listener = listener::listen(&settings.socket)?;
    let engine = Engine::new(settings, Box::new(ManifestLoader), Box::new(say))?;
    engine.start()?;
    let serving = Arc::clone(&engine);
    std::thread::Builder::new().name("listener".into()).spawn(move || listener::serve(&listener, &serving))?;
    say(&Event { level: Level::Log, message: "the engine listens".into(), listening: true });
    Ok(engine)
}

/// Follows the settings that come in, until the stream ends.
fn follow(engine: &Arc<Engine>, lines: &mut impl BufRead) {
    loop {
        match tie::next_settings(lines) {
            Ok(Some(settings)) => engine.set(settings),
            Ok(None) => return,
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                engine.log(&format!("settings were not understood: {e}"))
            }
            Err(_) => return,
        }
    }
}

/// A line on standard output; nobody reads it any more when the server has gone.
fn say(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(stdout().lock(), "{line}");
    }
}
