//! Writes what a model sees of queries: one query a line on standard input, one line for it on standard output, at once
//! when no further query is waiting.
//!
//! A line has the feature ids, separated by spaces; with tokens in the encoder's specification, a tab and the ids of
//! the tokens follow, three a token. With `--words` it has the words behind the tokens instead, separated by tabs.
//! Training reads its features from here, so that a model is trained on exactly what the extension feeds it.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use harca_core::classify::encode::{Encoded, Encoder};
use harca_core::model::manifest::EncoderSpec;

const USAGE: &str = "usage: harca_encode [--words] MANIFEST.json < queries > features";

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
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let wants_words = arguments.first().is_some_and(|first| first == "--words");
    if wants_words {
        arguments.remove(0);
    }
    let [path] = &arguments[..] else { return Err(USAGE.into()) };
    let spec = read_spec(&std::fs::read_to_string(path)?)?;
    if wants_words && spec.tokens.is_none() {
        return Err("--words needs an encoder with tokens".into());
    }
    let encoder = Encoder::new(&spec)?;
    let mut input = io::BufReader::new(io::stdin().lock());
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    let (mut encoded, mut words) = (Encoded::default(), Vec::new());
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            break;
        }
        let query = line.trim_end_matches(['\n', '\r']);
        if wants_words {
            encoder.words(query, &mut words);
            output.write_all(words.join("\t").as_bytes())?;
        } else {
            encoder.encode(query, &mut encoded);
            write_ids(&mut output, &encoded.features)?;
            if spec.tokens.is_some() {
                output.write_all(b"\t")?;
                write_ids(&mut output, &encoded.tokens)?;
            }
        }
        writeln!(output)?;
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()?;
    Ok(())
}

fn write_ids(output: &mut impl Write, ids: &[i32]) -> io::Result<()> {
    for (i, id) in ids.iter().enumerate() {
        let gap = if i == 0 { "" } else { " " };
        write!(output, "{gap}{id}")?;
    }
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
