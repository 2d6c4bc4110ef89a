//! Two kinds of requests.

use serde::{Deserialize, Serialize};

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive,
    /// Work in the background: it is done when nothing interactive waits, and a little of it in any case.
    Bulk,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// As users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}
