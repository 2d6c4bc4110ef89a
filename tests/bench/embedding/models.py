"""The embedding model: where its files lie, and how it comes into a server."""

import json
import subprocess
from pathlib import Path

from harness import transformer
from harness.places import BUILD, ROOT
from harness.registry import literal

from ..servers import DATABASE

E5 = "multilingual-e5-small"


class Embedder:
    """A model that gives vectors.

    name and title tell it apart in the server and in the report. folder has manifest.json, model.onnx and tokenizer.json, once it
    is registered somewhere; width is how many numbers a vector has; prefix is what stands before a document.
    """

    def __init__(self, name, title, folder, registration, prefix):
        self.name, self.title, self.folder, self.prefix = name, title, Path(folder), prefix
        self.width = 384
        self._registration = registration

    def register(self, server):
        """Registers it, and takes down the manifest under which that was done."""
        server.psql(self._registration, DATABASE, timeout=600)
        manifest = server.psql(f"SELECT manifest FROM harca.model WHERE name = {literal(self.name)}", DATABASE)
        (self.folder / "manifest.json").write_text(manifest, encoding="utf-8")


def e5(folder):
    """multilingual-e5-small; raises OSError where it cannot be made."""
    made = BUILD / "embedders" / E5
    if subprocess.run([ROOT / "scripts/setup_embedder.sh", made, E5], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise OSError("the embedding model cannot be made (scripts/setup_embedder.sh)")
    source = Path(folder) / E5
    subprocess.run(["cp", "-r", made, source], check=True)
    files = Path(folder) / "files"
    files.mkdir()
    (files / "model.onnx").symlink_to(source / "onnx/model.onnx")
    (files / "tokenizer.json").symlink_to(source / "tokenizer.json")
    return Embedder(E5, E5, files, f"SELECT harca.import_model({literal(str(source))})", "passage: ")


def wide(folder):
    """One that takes next to nothing, with vectors as wide; the plain loop does without it."""
    described, graph = transformer.wide("wide", prefixes={"document": "d: "})
    files = Path(folder) / "wide"
    files.mkdir()
    (files / "model.onnx").write_bytes(graph)
    (files / "tokenizer.json").write_bytes(transformer.TOKENIZER)
    (files / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    return Embedder("wide", "a model that takes next to nothing", files, transformer.registration(described, graph), "d: ")
