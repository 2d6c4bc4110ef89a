//! Networks that are run without ONNX Runtime, beside ONNX Runtime on the same file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod onnxruntime;

use bytes::Bytes;
use harca_core::classify::encode::{Encoded, Encoder};
use harca_core::error::Error;
use harca_core::model::manifest::{Manifest, TOKEN_IDS};
use harca_core::model::network::Network;
use harca_core::model::session::Session;
use onnxruntime::{repository, runtime};
use proptest::prelude::*;

struct Both {
    manifest: Manifest,
    file: Vec<u8>,
    network: Network,
    session: Session,
}

impl Both {
    fn open(folder: &str) -> Self {
        let folder = repository().join(folder);
        let manifest = Manifest::parse(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
        let file = std::fs::read(folder.join(&manifest.file)).unwrap();
        let network = Network::read(file.clone().into()).expect("a network of harca_train");
        let session = Session::build(runtime(), &manifest, &file).unwrap();
        Self { manifest, file, network, session }
    }

    /// The logits of the network, once they agree with those of ONNX Runtime.
    fn run(&mut self, features: &[i32], tokens: &[i32], rows: usize) -> Vec<f32> {
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        self.network.run(features, tokens, rows, &mut found).unwrap();
        self.session.run(features, tokens, rows, &mut expected).unwrap();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{found:?}, expected {expected:?}");
        }
        found
    }
}

const MODELS: [&str; 2] = ["models/query_type", "tests/data/four_labels"];

#[test]
fn queries_have_the_logits_that_onnx_runtime_gives() {
    let text = std::fs::read_to_string(repository().join("tests/data/quality_queries.tsv")).unwrap();
    let long = "why does the query planner ignore the index 検索が遅い理由 ".repeat(40);
    let texts: Vec<&str> =
        text.lines().skip(1).map(|line| line.split('\t').next().unwrap()).chain([&*long, "a"]).collect();
    for folder in MODELS {
        let mut both = Both::open(folder);
        assert_eq!(both.network.labels(), both.manifest.labels.len());
        let encoder = Encoder::new(&both.manifest.encoder).unwrap();
        let mut encoded = Encoded::default();
        for text in &texts {
            encoder.encode(text, &mut encoded);
            both.run(&encoded.features, &encoded.tokens, 1);
        }
    }
}

#[test]
fn a_text_has_the_same_logits_alone_and_among_others() {
    let mut both = Both::open(MODELS[0]);
    let (one, two) = ([5, 9, 700, 3], [8, 1]);
    let (a, b) = ([4, 2, 9, 7, 5, 1], [3, 3, 3]);
    let alone: Vec<f32> = [both.run(&one, &a, 1), both.run(&two, &b, 1)].concat();
    let features: Vec<i32> = one.into_iter().chain(two).chain([0, 0]).collect();
    let tokens: Vec<i32> = a.into_iter().chain(b).chain([0; TOKEN_IDS]).collect();
    assert_eq!(both.run(&features, &tokens, 2), alone);
    assert_eq!(both.run(&[0], &[0; TOKEN_IDS], 1), both.run(&[0; 9], &[0; 4 * TOKEN_IDS], 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_ids_have_the_logits_that_onnx_runtime_gives(
        features in prop::collection::vec(0..16385i32, 1..300),
        tokens in prop::collection::vec(prop_oneof![0..24577i32, Just(0)], TOKEN_IDS..64 * TOKEN_IDS),
    ) {
        thread_local! {
            static BOTH: std::cell::RefCell<Both> = std::cell::RefCell::new(Both::open(MODELS[0]));
        }
        let whole = tokens.len() / TOKEN_IDS * TOKEN_IDS;
        BOTH.with_borrow_mut(|both| both.run(&features, &tokens[..whole], 1));
    }
}

#[test]
fn ids_that_a_table_does_not_have_are_an_error() {
    let mut network = Both::open(MODELS[0]).network;
    for (feature, token) in [(16385, 1), (-1, 1), (1, 24577), (1, -1), (i32::MAX, 1), (i32::MIN, 1)] {
        let found = network.run(&[feature], &[token, 1, 1], 1, &mut Vec::new());
        assert!(matches!(found, Err(Error::ModelShape(_))), "{feature}, {token}");
    }
}

#[test]
fn another_graph_is_not_taken_for_a_network() {
    let file = Both::open(MODELS[0]).file;
    let changed = |from: &[u8], to: &[u8]| {
        let places: Vec<usize> = (0..file.len() - from.len()).filter(|&i| file[i..].starts_with(from)).collect();
        assert!(!places.is_empty(), "{} is in the file", String::from_utf8_lossy(from));
        for place in places {
            let mut other = file.clone();
            other[place..][..to.len()].copy_from_slice(to);
            assert!(Network::read(other.into()).is_none(), "{} at {place}", String::from_utf8_lossy(to));
        }
    };
    changed(b"ReduceMax", b"ReduceMin");
    changed(b"Sqrt", b"Exp_");
    changed(b"kernel_shape", b"kernel_Shape");
    let data = repository().join("crates/harca_core/tests/data");
    for other in ["count.onnx", "count.ort"] {
        assert!(Network::read(std::fs::read(data.join(other)).unwrap().into()).is_none(), "{other}");
    }
    for end in [0, 1, 100, file.len() / 2, file.len() - 1] {
        assert!(Network::read(Bytes::copy_from_slice(&file[..end])).is_none(), "{end} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_file_is_refused_or_runs(place in 0..1_000_000usize, byte: u8) {
        // The runtime counts threads while it is loaded: every test begins with it, so that none ends or begins meanwhile.
        runtime();
        let mut file = std::fs::read(repository().join(MODELS[0]).join("model.onnx")).unwrap();
        let place = place % file.len();
        file[place] = byte;
        if let Some(mut network) = Network::read(file.into()) {
            let _ = network.run(&[1, 2, 3], &[1, 1, 1], 1, &mut Vec::new());
        }
    }
}
