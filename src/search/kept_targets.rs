//! Targets as a session has read and checked them, until something changes that they rest on.

use std::cell::RefCell;
use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::catalog;
use super::catalog_changes::{seen, seen_everywhere};
use super::target::Target;
use crate::bridge::own_table;

/// The tables that targets are read from.
const TABLES: [&CStr; 5] =
    [c"search_target", c"search_profile", c"search_statistics", c"search_background", c"passage_table"];
/// The trigger of each that tells of changes.
const TRIGGER: &CStr = c"announce";

/// Targets that a session keeps, about a kilobyte each, and 128 kilobytes more for one whose searches it has learned from.
const KEPT: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// A target, and how many changes had been seen when it was read.
struct Kept {
    target: Target,
    changes: u64,
}

thread_local! {
    // Never dropped: it lasts as long as the session.
    static TARGETS: ManuallyDrop<RefCell<LruCache<Box<str>, Kept>>> = ManuallyDrop::new(RefCell::new(LruCache::new(KEPT)));
}

/// The target of this name, its table locked as reading it locks it; an error where it, its table or a column is not there.
pub fn find(name: &str) -> Target {
    let changes = seen_everywhere();
    let known = TARGETS.with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.get(name).filter(|kept| kept.changes == changes).map(|kept| kept.target.clone())
    });
    if let Some(known) = known {
        // Whoever changes the table holds a lock that this waits for, and has told of it by then.
        catalog::lock(known.relation);
        if let Some(passages) = known.passages() {
            catalog::lock(passages.relation);
        }
        if seen() == changes {
            return known;
        }
    }
    let changes = seen();
    let target = Target::read(name);
    let lasts = target.is_qualified && TABLES.iter().all(|table| own_table::has_lasting_trigger(table, TRIGGER));
    // What has changed in the meantime may have been read before.
    if lasts && seen() == changes {
        TARGETS.with(|kept| kept.borrow_mut().push(name.into(), Kept { target: target.clone(), changes }));
    }
    target
}
