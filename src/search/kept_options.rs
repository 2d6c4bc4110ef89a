//! Options of searches as a session has read them: applications ask with the same ones again and again.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;

use harca_core::search::options::Options;
use lru::LruCache;
use pgrx::pg_sys::Datum;

use super::arguments::{json_text, or_refuse};
use super::statements::detoasted;

/// Options that a session keeps.
const KEPT: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// Bytes of a `jsonb` that is kept.
const MOST_BYTES: usize = 512;

thread_local! {
    // Never dropped: it lasts as long as the session.
    static OPTIONS: ManuallyDrop<RefCell<LruCache<Box<[u8]>, Options>>> =
        ManuallyDrop::new(RefCell::new(LruCache::new(KEPT)));
}

/// What a `jsonb` says, or the defaults without one; an error for what are no options.
pub fn read(value: Option<Datum>) -> Options {
    // The same value has the same bytes.
    // SAFETY: an argument of this type; a copy of a toasted one goes with the memory of the call.
    let bytes = value.map(|value| unsafe { detoasted(value) }).unwrap_or_default();
    let known = OPTIONS.with(|kept| kept.borrow_mut().get(bytes).cloned());
    known.unwrap_or_else(|| {
        let options = or_refuse(Options::parse(value.map(json_text).as_deref()));
        // That of a further page names its row, and comes once.
        if options.after.is_none() && bytes.len() <= MOST_BYTES {
            OPTIONS.with(|kept| kept.borrow_mut().push(bytes.into(), options.clone()));
        }
        options
    })
}
