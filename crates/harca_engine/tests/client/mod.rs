//! A backend as far as the engine can tell: a connection, and models to offer on it.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harca_core::model::manifest::identity;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::frame::Incoming;
use harca_core::protocol::message::{File, Hello, Output, Reply, Request, TextKind, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::settings::{EngineSettings, Strategy};
use harca_core::protocol::status::EngineStatus;
use sha2::{Digest as _, Sha256};

/// Long enough for any step on a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Client {
    pub stream: UnixStream,
    incoming: Incoming,
    last: u64,
}

impl Client {
    pub fn greet(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream, incoming: Incoming::default(), last: 0 };
        client.stream.write_all(&Hello::own().encode().unwrap()).unwrap();
        let hello = client.body().unwrap();
        Hello::decode(&hello).unwrap().check().unwrap();
        client
    }

    /// The body of the next frame, none at the end of the stream.
    pub fn body(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(body) = self.incoming.take().unwrap() {
                return Some(body.to_vec());
            }
            match self.incoming.read(&mut self.stream) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        }
    }

    pub fn reply(&mut self) -> Option<Reply> {
        Some(Reply::decode(&self.body()?).unwrap())
    }

    pub fn send(&mut self, request: &Request) {
        self.stream.write_all(&request.encode().unwrap()).unwrap();
    }

    /// Asks for a run and gives the number of the request.
    pub fn ask(&mut self, model: Digest, priority: Priority, texts: Texts) -> u64 {
        self.last += 1;
        self.send(&Request::Run { id: self.last, model, priority, texts });
        self.last
    }

    pub fn load(&mut self, model: Digest) -> u64 {
        self.last += 1;
        self.send(&Request::Load { id: self.last, model });
        self.last
    }

    pub fn status(&mut self) -> EngineStatus {
        self.last += 1;
        self.send(&Request::Status { id: self.last });
        match self.reply() {
            Some(Reply::Status { status, .. }) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub fn offer(&mut self, files: &Files) {
        let (graph, tokenizer) = (files.graph.len() as u64, files.tokenizer.len() as u64);
        self.send(&Request::Offer { model: files.digest, manifest: files.manifest.clone(), graph, tokenizer });
        for (file, bytes) in [(File::Graph, &files.graph), (File::Tokenizer, &files.tokenizer)] {
            for part in bytes.chunks(100_000) {
                self.send(&Request::Part { file, bytes: part.into() });
            }
        }
    }

    /// Runs a model, which is brought if it is not there.
    pub fn run(&mut self, files: &Files, texts: Texts) -> Result<Output, String> {
        for _ in 0..2 {
            self.ask(files.digest, Priority::Interactive, texts.clone());
            match self.reply() {
                Some(Reply::Done { output, .. }) => return Ok(output),
                Some(Reply::Failed { failure, reason, .. }) => return Err(format!("{failure:?}: {reason}")),
                Some(Reply::Wanted { .. }) => self.offer(files),
                other => panic!("{other:?}"),
            }
        }
        panic!("the model is wanted again")
    }
}

pub fn single(texts: &[&str]) -> Texts {
    Texts::Single(TextKind::Query, texts.iter().map(|&text| text.to_owned()).collect())
}

/// A model to offer.
#[derive(Clone)]
pub struct Files {
    pub digest: Digest,
    pub manifest: String,
    pub graph: Vec<u8>,
    pub tokenizer: Vec<u8>,
}

impl Files {
    pub fn new(manifest: &serde_json::Value, graph: &[u8], tokenizer: &[u8]) -> Self {
        let sha256 = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut manifest = manifest.clone();
        manifest["graph"] = serde_json::json!({"file": "model.onnx", "sha256": sha256(graph)});
        manifest["tokenizer"] = serde_json::json!({"file": "tokenizer.json", "sha256": sha256(tokenizer)});
        let manifest = manifest.to_string();
        let digest = Digest::of_hex(&identity(&manifest)).unwrap();
        Self { digest, manifest, graph: graph.into(), tokenizer: tokenizer.into() }
    }

    pub fn tiny(manifest: &serde_json::Value) -> Self {
        let read = |name: &str| std::fs::read(tiny_bert().join(name)).unwrap();
        Self::new(manifest, &read("onnx/model.onnx"), &read("tokenizer.json"))
    }
}

pub fn classification() -> serde_json::Value {
    serde_json::json!({
        "format": 2, "name": "tiny", "version": "1", "task": "classification",
        "inputs": {"ids": "input_ids", "mask": "attention_mask", "types": "token_type_ids"},
        "output": "logits", "max_tokens": 128, "labels": ["keyword", "semantic", "hybrid", "unknown"],
    })
}

pub fn embedding() -> serde_json::Value {
    serde_json::json!({
        "format": 2, "name": "tiny embedding", "version": "1", "task": "embedding", "pooling": "mean", "normalize": true,
        "inputs": {"ids": "input_ids", "mask": "attention_mask", "types": "token_type_ids"},
        "output": "last_hidden_state", "max_tokens": 128,
    })
}

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny_bert")
}

/// What ONNX Runtime makes of each text alone: the text, its logits and its vector.
pub fn expected() -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    let lines = std::fs::read_to_string(tiny_bert().join("expected.jsonl")).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.map(|row| (row["text"].as_str().unwrap().into(), numbers(&row["logits"]), numbers(&row["vector"]))).collect()
}

pub fn settings(folder: &Path) -> EngineSettings {
    EngineSettings {
        socket: folder.join("socket"),
        folder: folder.into(),
        at_work: folder.join("at_work"),
        onnxruntime: std::env::var_os("HARCA_ONNXRUNTIME").map(PathBuf::from).unwrap_or_default(),
        memory: 1 << 30,
        threads: 1,
        wait: 0,
        strategy: Strategy::Balanced,
        queue: 4096,
        providers: vec!["cpu".into()],
        quarantined: Vec::new(),
        suspected: Vec::new(),
    }
}
