//! Libraries that are not ONNX Runtime, or not all of it. A process of its own: a loaded runtime stays for good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use harca_core::classify::classifier::Classifier;
use harca_core::error::Error;
use harca_core::model::session::{self, Runtime};

fn real() -> PathBuf {
    std::env::var_os("HARCA_ONNXRUNTIME").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/onnxruntime/libonnxruntime.so.1.24.4"),
        PathBuf::from,
    )
}

fn refusal(path: &Path) -> String {
    match Runtime::load(path) {
        Err(Error::Runtime { reason, .. }) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{} was loaded", path.display()),
    }
}

#[test]
fn what_is_not_the_runtime_is_refused_and_the_runtime_loads_after_it() {
    let folder = std::env::temp_dir().join(format!("harca_runtime_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("lib.so");
    let whole = std::fs::read(real()).expect("run scripts/setup_onnxruntime.sh first");

    assert!(refusal(&folder.join("missing.so")).contains("No such file"));
    assert!(refusal(&folder).contains("not a regular file"));
    assert!(refusal(Path::new("/dev/zero")).contains("not a regular file"));
    for (content, expected) in [
        (&b""[..], "not a 64-bit ELF"),
        (b"#!/bin/sh\n", "not a 64-bit ELF"),
        (&whole[..40], "not a 64-bit ELF"),
        (&whole[..5000], "truncated"),
        (&whole[..whole.len() / 2], "truncated"),
        (&whole[..whole.len() - 1], "truncated"),
    ] {
        std::fs::write(&file, content).unwrap();
        let reason = refusal(&file);
        assert!(reason.contains(expected), "{} bytes: {reason}", content.len());
    }
    // A complete program that is no library, and a library that is another one.
    assert!(!refusal(&std::env::current_exe().unwrap()).is_empty());
    if let Some(libc) = std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libc.so") || path.contains("/libc-"))
    {
        assert!(refusal(Path::new(libc)).contains("OrtGetApiBase"));
    }

    // The only test of this process, so the number of threads is the runtime's doing.
    let threads = session::thread_count().expect("this system tells");
    let runtime = Runtime::load(&real()).unwrap();
    assert_eq!(runtime.version(), "1.24.4");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/query_type");
    let mut classifier = Classifier::open(runtime, &model).unwrap();
    for text in ["one", "query after another", "次の検索"] {
        classifier.classify(text).unwrap();
    }
    assert_eq!(session::thread_count(), Some(threads));
    std::fs::remove_dir_all(&folder).unwrap();
}
