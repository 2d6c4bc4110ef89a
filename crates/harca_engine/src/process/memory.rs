//! Memory of the process, as Linux tells it; where the system does not tell, nothing is bounded.

/// Bytes that the process has in memory and shares with no file.
#[must_use]
pub fn resident() -> Option<u64> {
    harca_core::model::session::private_memory()
}
