//! The program itself, with ONNX Runtime and a transformer of random weights, as a server would start it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod client;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Instant;

use client::{Client, Files, PATIENCE, classification, embedding, expected, settings, single};
use harca_core::protocol::message::{Hello, Reply, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::settings::{EngineSettings, Event};
use harca_core::protocol::status::State;

/// A running engine, which ends with the test.
struct Program {
    child: Child,
    lifeline: Option<ChildStdin>,
    settings: EngineSettings,
    _folder: tempfile::TempDir,
}

impl Program {
    fn start(change: impl FnOnce(&mut EngineSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        let mut child = Command::new(env!("CARGO_BIN_EXE_pg_harca_engine"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lifeline = child.stdin.take().unwrap();
        writeln!(lifeline, "{}", serde_json::to_string(&settings).unwrap()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let event: Event = serde_json::from_str(&line).unwrap();
        assert!(event.listening, "{event:?}");
        thread::spawn(move || lines.lines().for_each(drop));
        Self { child, lifeline: Some(lifeline), settings, _folder: folder }
    }

    fn connect(&self) -> Client {
        Client::greet(UnixStream::connect(&self.settings.socket).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    logits.iter().map(|logit| (logit - highest).exp() / sum).collect()
}

fn close(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn answers_are_those_of_the_runtime_alone_and_in_batches() {
    let program = Program::start(|_| {});
    let mut client = program.connect();
    let (classifier, embedder) = (Files::tiny(&classification()), Files::tiny(&embedding()));
    let rows = expected();
    for (text, logits, vector) in &rows {
        let output = client.run(&classifier, single(&[text])).unwrap();
        assert!(output.width == 4 && close(&output.values, &softmax(logits)), "{text}: {:?}", output.values);
        let output = client.run(&embedder, single(&[text])).unwrap();
        assert!(close(&output.values, vector), "{text}");
    }
    let texts: Vec<&str> = rows.iter().map(|(text, ..)| text.as_str()).collect();
    let output = client.run(&classifier, single(&texts)).unwrap();
    for (found, (text, logits, _)) in output.values.chunks(4).zip(&rows) {
        assert!(close(found, &softmax(logits)), "{text}");
    }
    let output = client.run(&embedder, single(&texts)).unwrap();
    for (found, (text, _, vector)) in output.values.chunks(32).zip(&rows) {
        assert!(close(found, vector), "{text}");
    }
    let status = client.status();
    assert_eq!(status.models.len(), 2);
    for model in &status.models {
        assert_eq!((model.state, model.provider.as_str(), model.texts), (State::Ready, "cpu", 2 * rows.len() as u64));
        assert_eq!(model.by_priority[Priority::Interactive as usize].requests, rows.len() as u64 + 1);
    }
    assert!(status.runtime.starts_with("1."), "{}", status.runtime);
}

#[test]
fn texts_are_prefixed_cut_and_paired() {
    let program = Program::start(|_| {});
    let mut client = program.connect();
    let plain = Files::tiny(&embedding());
    let mut manifest = embedding();
    manifest["prefixes"] = serde_json::json!({"query": "how do I ", "document": "x"});
    manifest["max_tokens"] = 8.into();
    let prefixed = Files::tiny(&manifest);
    let whole = client.run(&plain, single(&["how do I fix"])).unwrap();
    let found = client.run(&prefixed, single(&["fix"])).unwrap();
    assert!(close(&found.values, &whole.values));
    assert_eq!((found.truncated, found.tokens), (0, whole.tokens));
    let found = client.run(&prefixed, single(&["fix the login timeout of the customers", "key"])).unwrap();
    assert_eq!((found.truncated, found.tokens), (1, 8 + 6));
    let long = "key ".repeat(100_000);
    assert_eq!(client.run(&plain, single(&[&long])).unwrap().truncated, 1);
    let pairs = |texts: &[(&str, &str)]| Texts::Pairs(texts.iter().map(|&(a, b)| (a.into(), b.into())).collect());
    let error = client.run(&plain, pairs(&[("a", "b")])).unwrap_err();
    assert!(error.starts_with("Input"), "{error}");
    // The second text of a pair is told from the first.
    let classifier = Files::tiny(&classification());
    let one = client.run(&classifier, pairs(&[("where", "key"), ("key", "where")])).unwrap();
    assert!(!close(&one.values[..4], &one.values[4..]));
}

#[test]
fn a_model_is_brought_once_for_all() {
    let program = Program::start(|_| {});
    let files = Files::tiny(&classification());
    let clients: Vec<_> = (0..8).map(|_| program.connect()).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let files = files.clone();
            thread::spawn(move || client.run(&files, single(&["coffee grinder"])).unwrap().values)
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| close(answer, &answers[0])));
    let status = program.connect().status();
    assert_eq!((status.models.len(), status.models[0].texts), (1, 8));
}

#[test]
fn a_model_that_cannot_be_used_says_why() {
    let program = Program::start(|_| {});
    let mut client = program.connect();
    let good = Files::tiny(&classification());
    let mut labels = classification();
    labels["labels"] = serde_json::json!(["a", "b"]);
    let mut golden = classification();
    golden["golden"] = serde_json::json!([{"query": "coffee grinder", "type": "hybrid"}]);
    let mut inputs = classification();
    inputs["inputs"] = serde_json::json!({"ids": "input_ids"});
    let mut output = classification();
    output["output"] = "scores".into();
    for (files, part) in [
        (Files::new(&classification(), b"no graph", &good.tokenizer), "Model: ONNX Runtime"),
        (Files::new(&classification(), &good.graph, b"{}"), "tokenizer"),
        (Files::tiny(&labels), "has the shape [2, 4]"),
        (Files::tiny(&golden), "it takes \"coffee grinder\" for keyword, expected hybrid"),
        (Files::tiny(&inputs), "its inputs are attention_mask, input_ids, token_type_ids, expected input_ids"),
        (Files::tiny(&output), "\"scores\" is not among them"),
    ] {
        let error = client.run(&files, single(&["key"])).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    // None of them stands in the way of one that works.
    assert!(client.run(&good, single(&["key"])).is_ok());
    let broken = client.status().models.iter().filter(|model| model.state == State::Broken).count();
    assert_eq!(broken, 6);
}

#[test]
fn a_quarantined_model_is_not_run_until_it_is_released() {
    let files = Files::tiny(&classification());
    let mut program = Program::start(|settings| settings.quarantined = vec![files.digest]);
    let mut client = program.connect();
    let error = client.run(&files, single(&["key"])).unwrap_err();
    assert!(error.starts_with("Quarantined"), "{error}");
    assert_eq!(client.status().models[0].state, State::Quarantined);
    let released = EngineSettings { quarantined: Vec::new(), ..program.settings.clone() };
    writeln!(program.lifeline.as_mut().unwrap(), "{}", serde_json::to_string(&released).unwrap()).unwrap();
    // The pipe and the socket are read by different threads: asked until it was seen.
    while let Err(error) = client.run(&files, single(&["key"])) {
        assert!(error.starts_with("Quarantined"), "{error}");
    }
}

#[test]
fn it_ends_with_the_pipe() {
    let mut program = Program::start(|_| {});
    let mut client = program.connect();
    drop(program.lifeline.take());
    assert_eq!(client.reply(), None);
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn whoever_is_connected_sees_its_end() {
    let mut program = Program::start(|_| {});
    let files = Files::tiny(&classification());
    let mut client = program.connect();
    client.run(&files, single(&["key"])).unwrap();
    program.child.kill().unwrap();
    assert_eq!(client.reply(), None);
}

#[test]
fn settings_that_make_no_sense_are_told() {
    let child =
        Command::new(env!("CARGO_BIN_EXE_pg_harca_engine")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(b"{\"socket\": 7}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(71));
    let event: Event = serde_json::from_slice(&output.stdout).unwrap();
    assert!(event.message.starts_with("the engine cannot begin"), "{event:?}");
}

#[test]
fn whoever_does_not_keep_to_the_protocol_loses_the_connection_alone() {
    let program = Program::start(|_| {});
    let mut good = program.connect();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[4, 0, 0, 0, 1, 2, 3, 4]] {
        let mut stream = UnixStream::connect(&program.settings.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
    // Another release is told what this one speaks before it is closed.
    let mut stream = UnixStream::connect(&program.settings.socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&Hello { protocol: 99, version: "9.9".into() }.encode().unwrap()).unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert_eq!(Hello::decode(&told[4..]).unwrap(), Hello::own());
    // Whoever is cut off may see it before it is counted.
    let began = Instant::now();
    while good.status().connections != 1 {
        assert!(began.elapsed() < PATIENCE, "connections that are gone are still counted");
        thread::yield_now();
    }
}

#[test]
fn memory_beyond_the_bound_is_refused_and_nothing_else_breaks() {
    let program = Program::start(|settings| settings.memory = 64 << 20);
    let mut client = program.connect();
    let small = Files::tiny(&classification());
    client.run(&small, single(&["key"])).unwrap();
    let large = Files::new(&classification(), &vec![0; 80 << 20], &small.tokenizer);
    let error = client.run(&large, single(&["key"])).unwrap_err();
    assert!(error.contains("that it may have"), "{error}");
    assert!(client.run(&small, single(&["key"])).is_ok());
}

#[test]
fn replies_of_one_connection_come_in_any_order() {
    let program = Program::start(|_| {});
    let files = Files::tiny(&embedding());
    let mut client = program.connect();
    client.run(&files, single(&["key"])).unwrap();
    let many = |count: usize| single(&vec!["where is the key"; count]);
    let mut asked: Vec<u64> =
        (0..20).map(|i| client.ask(files.digest, Priority::ALL[i % 2], many(1 + 40 * i))).collect();
    let first = asked[0];
    while !asked.is_empty() {
        let Some(Reply::Done { id, output }) = client.reply() else { panic!() };
        let place = asked.iter().position(|&one| one == id).unwrap();
        asked.swap_remove(place);
        assert_eq!(output.values.len(), 32 * (1 + 40 * (id - first) as usize));
    }
}
