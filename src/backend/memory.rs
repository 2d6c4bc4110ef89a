//! What a backend keeps in memory of its own, and tells the others of it.

use harca_core::model::session;

use super::entry::Entry;
use super::state::Backend;
use crate::shared_memory::{self, Memory};

impl Backend {
    pub(super) fn memory(&self) -> Memory {
        let models = self.entries.iter().flatten().filter_map(Entry::model);
        let buffers = models.map(|model| model.buffer_bytes()).sum::<usize>() + self.features.borrow().bytes();
        Memory { session: self.session_bytes, buffers: buffers as u64, local_cache: self.cache.local().bytes as u64 }
    }

    pub(super) fn tell_memory(&mut self) {
        let memory = self.memory();
        if self.told != Some(memory)
            && let Some(shared) = shared_memory::attach()
        {
            shared.tell(memory);
            self.told = Some(memory);
        }
    }

    /// Puts down what the memory of this process has grown by since it was `before`, or lost.
    pub(super) fn weigh(&mut self, before: Option<u64>) {
        if let Some((before, now)) = before.zip(session::private_memory()) {
            self.session_bytes = (self.session_bytes + now).saturating_sub(before);
        }
    }
}
