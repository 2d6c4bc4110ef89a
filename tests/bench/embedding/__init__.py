"""Embedding inside the database: what is paid beside the run of the model, and what writers pay.

models.py has the model, multilingual-e5-small as scripts/setup_embedder.sh makes it. query.py looks at the embedding of a query,
new and from the cache; search.py at a search by text beside its two halves; fill.py at a table that is filled beside a plain
loop of ONNX Runtime, which is loop.py, and at those who ask meanwhile; updates.py at updates of other columns.
"""

import tempfile
from pathlib import Path

from harness.places import temporary_root

from ..servers import PRELOAD
from . import fill, models, query, search, updates

# Room for all that are ever asked for: what a hit costs is measured, not how many there are.
CACHED = {"pg_harca__embedding_cache_size": "64MB"}
# Several processes build the index of the embeddings in shared memory, and /dev/shm is small in most containers.
UNCACHED = {"pg_harca__embedding_cache_size": 0, "dynamic_shared_memory_type": "sysv"}
KEYS = [
    "embedding_above", "embedding_cached", "embedding_search", "embedding_fill", "embedding_fill_beside", "embedding_updates",
]  # fmt: skip


def measure(bench):
    """Fills in the requirements on embedding."""
    with tempfile.TemporaryDirectory(dir=temporary_root()) as folder:
        # The server's user reads it as well.
        Path(folder).chmod(0o755)
        try:
            model = models.wide(folder) if bench.sizes.transformer == "tiny" else models.e5(folder)
        except OSError as reason:
            bench.report.unavailable(KEYS, f"not available: {reason}")
            return
        server = bench.servers.get("embedding", **PRELOAD, **CACHED)
        # Where all ways are asked for the same text, no cache may have it.
        uncached = bench.servers.get("uncached", **PRELOAD, **UNCACHED)
        for each in (server, uncached):
            model.register(each)
        query.measure(bench, server, model)
        search.measure(bench, uncached, model)
        fill.measure(bench, server, model)
        updates.measure(bench, server, model)
