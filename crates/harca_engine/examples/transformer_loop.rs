//! What a transformer costs in the process that asks it: the floor that `make bench` holds requests to the engine against.
//!
//! `transformer_loop MODEL_FOLDER THREADS` loads a model as the engine does, from `manifest.json`, `model.onnx` and
//! `tokenizer.json` in the folder, and reads texts from standard input, one a line. For each it prints a line at once: the
//! nanoseconds that tokenizing and running it alone took, and its numbers, separated by spaces. ONNX Runtime is found as in
//! the core's `classify_loop`.

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use harca_core::model::manifest::identity;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::{File, TextKind, Texts};
use harca_engine::model::files::{ArrivingFiles, ModelFiles};
use harca_engine::model::graph::Options;
use harca_engine::model::{Loader, ManifestLoader};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transformer_loop: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads] = &arguments[..] else {
        return Err("usage: transformer_loop MODEL_FOLDER THREADS".into());
    };
    let onnxruntime = std::env::var_os("HARCA_ONNXRUNTIME").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/onnxruntime/libonnxruntime.so.1.24.4"),
        PathBuf::from,
    );
    let options = Options { onnxruntime, threads: threads.parse()?, providers: vec!["cpu".into()] };
    let model = ManifestLoader.load(&files(Path::new(folder))?, &options)?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let texts = Texts::Single(TextKind::Query, vec![line?]);
        let start = Instant::now();
        let readings = model.read(&texts)?;
        let values = model.run(&readings.iter().collect::<Vec<_>>())?;
        write!(out, "{}", start.elapsed().as_nanos())?;
        values.numbers.iter().try_for_each(|number| write!(out, " {number}"))?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

/// The files of a model, checked as those that a backend sends.
fn files(folder: &Path) -> Result<ModelFiles, Box<dyn Error>> {
    let manifest = std::fs::read_to_string(folder.join("manifest.json"))?;
    let model = Digest::of_hex(&identity(&manifest)).ok_or("the manifest has no digest")?;
    let [graph, tokenizer] = ["model.onnx", "tokenizer.json"].map(|name| std::fs::read(folder.join(name)));
    let (graph, tokenizer) = (graph?, tokenizer?);
    let (graph_bytes, tokenizer_bytes) = (graph.len() as u64, tokenizer.len() as u64);
    let mut arriving = ArrivingFiles::new(&std::env::temp_dir(), model, &manifest, graph_bytes, tokenizer_bytes)?;
    arriving.push(File::Graph, &graph)?;
    arriving.push(File::Tokenizer, &tokenizer)?;
    Ok(arriving.finish()?)
}
