//! Any bytes as frames between a backend and the engine are understood or refused; what is
//! understood comes back from its own frame.
#![no_main]

use harca_core::protocol::frame::Incoming;
use harca_core::protocol::message::{Hello, Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Hello::decode(bytes);
    if let Ok(request) = Request::decode(bytes) {
        let frame = request.encode().expect("a request that was decoded is within its bounds");
        assert_eq!(Request::decode(&frame[4..]), Ok(request));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        let frame = reply.encode().expect("a reply that was decoded is within its bounds");
        assert_eq!(Reply::decode(&frame[4..]), Ok(reply));
    }
    let (mut incoming, mut source) = (Incoming::default(), bytes);
    while incoming.read(&mut source).is_ok_and(|read| read > 0) {
        while let Ok(Some(body)) = incoming.take() {
            let _ = Request::decode(body);
        }
    }
});
