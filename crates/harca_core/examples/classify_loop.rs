//! What a classification costs in a plain loop: the floor that `make bench` holds the extension's misses against.
//!
//! `classify_loop [--labels] MODEL_FOLDER QUERIES`, with one query a line in the file, prints one line of JSON:
//! nanoseconds a query of encode + run alone, of the whole of `Classifier::classify`, and of its batches of 64; then the
//! answers, a label a line, for whoever times to compare. With `--labels` it prints the answers alone. As the extension
//! does, it takes ONNX Runtime, found as in `tests/onnxruntime`, for graphs that are no network of `harca_train`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use harca_core::classify::classifier::Classifier;
use harca_core::classify::encode::{Encoded, Encoder};
use harca_core::model::files::ModelFiles;
use harca_core::model::network::Network;
use harca_core::model::session::{Runtime, Session};

const BATCH: usize = 64;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classify_loop: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let labels_alone = arguments.first().is_some_and(|first| first == "--labels");
    if labels_alone {
        arguments.remove(0);
    }
    let [folder, file] = &arguments[..] else {
        return Err("usage: classify_loop [--labels] MODEL_FOLDER QUERIES".into());
    };
    let library = std::env::var_os("HARCA_ONNXRUNTIME").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/onnxruntime/libonnxruntime.so.1.24.4"),
        PathBuf::from,
    );
    let folder = Path::new(folder);
    let files = ModelFiles::read(folder)?;
    let mut classifier = match Classifier::by_network(&files)? {
        Some(classifier) => classifier,
        None => Classifier::by_runtime(&files, Runtime::load(&library)?)?,
    };
    let text = std::fs::read_to_string(file)?;
    let queries: Vec<&str> = text.lines().collect();
    if queries.is_empty() {
        return Err("there are no queries in the file".into());
    }
    let per_query = |started: Instant| started.elapsed().as_nanos() as f64 / queries.len() as f64;

    // The pass that gives the answers is the warm-up of the others.
    let labels = classifier.manifest().labels.clone();
    let answers: Vec<String> = queries
        .iter()
        .map(|query| Ok(classifier.classify(query)?.query_type(&labels).to_owned()))
        .collect::<Result<_, Box<dyn Error>>>()?;

    if labels_alone {
        answers.iter().for_each(|answer| println!("{answer}"));
        return Ok(());
    }

    let started = Instant::now();
    for query in &queries {
        std::hint::black_box(classifier.classify(query)?);
    }
    let classify_ns = per_query(started);

    let mut batch = Vec::new();
    let started = Instant::now();
    for chunk in queries.chunks(BATCH) {
        classifier.classify_batch(chunk, &mut batch)?;
        std::hint::black_box(&batch);
    }
    let batch_ns = per_query(started);

    let manifest = classifier.manifest();
    let encoder = Encoder::new(&manifest.encoder)?;
    let graph = std::fs::read(folder.join(&manifest.file))?;
    type Run = dyn FnMut(&Encoded, &mut Vec<f32>) -> harca_core::error::Result<()>;
    let mut run: Box<Run> = if classifier.takes_runtime() {
        let mut session = Session::build(Runtime::load(&library)?, manifest, &graph)?;
        Box::new(move |row, logits| session.run(&row.features, &row.tokens, 1, logits))
    } else {
        let mut network = Network::read(graph.into()).ok_or("the graph is no network")?;
        Box::new(move |row, logits| network.run(&row.features, &row.tokens, 1, logits))
    };
    let (mut row, mut logits) = (Encoded::default(), Vec::new());
    let mut encode_run = || -> Result<f64, Box<dyn Error>> {
        let started = Instant::now();
        for query in &queries {
            encoder.encode(query, &mut row);
            run(&row, &mut logits)?;
            std::hint::black_box(&logits);
        }
        Ok(per_query(started))
    };
    // An executor of its own: the first pass warms it.
    encode_run()?;
    let encode_run_ns = encode_run()?;

    println!(
        "{}",
        serde_json::json!({
            "queries": queries.len(),
            "encode_run_ns": encode_run_ns,
            "classify_ns": classify_ns,
            "batch_ns": batch_ns,
        })
    );
    answers.iter().for_each(|answer| println!("{answer}"));
    Ok(())
}
