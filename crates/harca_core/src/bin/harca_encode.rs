//! Writes the feature ids of queries: one query a line on standard input, one line of ids on standard output.
//!
//! Training reads its features from here, so that a model is trained on exactly what the extension feeds it.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use harca_core::encode::Encoder;
use harca_core::manifest::EncoderSpec;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("harca_encode: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: harca_encode MANIFEST.json < queries > features")?;
    let encoder = Encoder::new(&read_spec(&std::fs::read_to_string(path)?)?)?;
    let mut input = io::stdin().lock();
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    let mut features = Vec::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        encoder.encode(line.trim_end_matches(['\n', '\r']), &mut features);
        for (i, id) in features.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(output, "{gap}{id}")?;
        }
        writeln!(output)?;
    }
    output.flush()?;
    Ok(())
}

/// The encoder part of a manifest, or a bare encoder specification.
fn read_spec(json: &str) -> Result<EncoderSpec, Box<dyn Error>> {
    let mut value: serde_json::Value = serde_json::from_str(json)?;
    if let Some(encoder) = value.get_mut("encoder") {
        value = encoder.take();
    }
    Ok(serde_json::from_value(value)?)
}
