//! Frames of any content, on both sides: none of them makes anything but an error. HARCA_FRAMES=10000000 takes a few minutes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod client;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use client::{Files, classification, settings, single};
use harca_core::error::{Error, Result};
use harca_core::protocol::frame;
use harca_core::protocol::message::{Failure, File, Hello, Output, Reply, Request, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::protocol::status::{EngineStatus, ModelStatus};
use harca_engine::engine::Engine;
use harca_engine::model::files::ModelFiles;
use harca_engine::model::graph::Options;
use harca_engine::model::{Loader, Model};
use harca_engine::reply::outgoing::Outgoing;
use harca_engine::serve::connection::Connection;

struct NoLoader;

impl Loader for NoLoader {
    fn load(&self, _: &ModelFiles, _: &Options) -> Result<Box<dyn Model>> {
        Err(Error::Inference("no model works here".into()))
    }

    fn runtime(&self) -> Option<String> {
        None
    }
}

/// Numbers that look random: xorshift64* (Vigna, 2016).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Bodies that are right, to be spoilt.
fn bodies() -> Vec<Vec<u8>> {
    let files = Files::new(&classification(), b"graph", b"tokenizer");
    let pairs = Texts::Pairs(vec![("one".into(), "other".into())]);
    let run = |texts| Request::Run { id: 1, model: files.digest, priority: Priority::Bulk, texts };
    let requests = [
        run(single(&["a text", "東京"])),
        run(pairs),
        Request::Cancel { id: 1 },
        Request::Offer { model: files.digest, manifest: files.manifest.clone(), graph: 5, tokenizer: 9 },
        Request::Part { file: File::Graph, bytes: b"graph".to_vec() },
        Request::Part { file: File::Tokenizer, bytes: b"tokenizer".to_vec() },
        Request::Load { id: 2, model: files.digest },
        Request::Status { id: 3 },
    ];
    let status = EngineStatus { models: vec![ModelStatus::default()], ..EngineStatus::default() };
    let replies = [
        Reply::Done { id: 1, output: Output { width: 2, values: vec![0.5; 4], ..Output::default() } },
        Reply::Failed { id: 2, failure: Failure::Busy, reason: "full".into() },
        Reply::Wanted { id: 3 },
        Reply::Status { id: 4, status: Box::new(status) },
    ];
    let frames =
        requests.iter().map(|one| one.encode().unwrap()).chain(replies.iter().map(|one| one.encode().unwrap()));
    frames.map(|frame| frame[4..].to_vec()).collect()
}

#[test]
fn no_frame_breaks_either_side() {
    let number: u64 = std::env::var("HARCA_FRAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(settings(folder.path()), Box::new(NoLoader), Box::new(|_| {})).unwrap();
    engine.start().unwrap();
    let open = || {
        let (near, mut far) = UnixStream::pair().unwrap();
        // Somebody has to read what is answered.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while far.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        let mut connection = Connection::new(Arc::clone(&engine), Outgoing::new(near));
        connection.handle(&Hello::own().encode().unwrap()[4..]).unwrap();
        connection
    };
    let (bodies, mut chance, mut connection) = (bodies(), Chance(20), open());
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for _ in 0..number {
        let mut body = bodies[chance.below(bodies.len())].clone();
        for _ in 0..chance.below(4) {
            match chance.below(4) {
                0 => body.truncate(chance.below(body.len() + 1)),
                1 => body.extend((0..chance.below(8)).map(|_| chance.next() as u8)),
                _ if body.is_empty() => {}
                2 => {
                    let place = chance.below(body.len());
                    body[place] ^= 1 << chance.below(8);
                }
                _ => {
                    let place = chance.below(body.len());
                    body[place] = chance.next() as u8;
                }
            }
        }
        // The one request that ends the process is not for a test.
        if matches!(frame::decode::<Request>(&body), Ok(Request::End)) {
            continue;
        }
        let _ = Hello::decode(&body);
        let _ = Reply::decode(&body);
        match connection.handle(&body) {
            Ok(()) => taken += 1,
            Err(Error::Protocol(_)) => {
                refused += 1;
                connection.end();
                connection = open();
            }
            Err(other) => panic!("{other}"),
        }
    }
    connection.end();
    assert!(taken > 0 && refused > 0);
    // Whatever came in, the engine is well.
    let status = engine.status();
    assert!(status.queued == 0 && status.models.len() <= 256, "{} models", status.models.len());
}
