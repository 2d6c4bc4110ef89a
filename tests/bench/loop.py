"""The programs of harca_core that the benchmark uses: the plain loop, and the encoder that PL/Python asks."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from harness.places import BUILD, ROOT, fail

MODEL = ROOT / "models/query_type"


class Loop:
    """examples/classify_loop.rs and bin/harca_encode.rs, compiled as the extension is."""

    def __init__(self):
        self._programs = compiled("harca_core", "--example", "classify_loop", "--bin", "harca_encode")
        self.encoder = self._programs["harca_encode"]
        self._environment = environment()

    def run(self, queries):
        """Times the loop over queries: its figures (nanoseconds a query) and the label of each query."""
        figures, *labels = self._classify(queries)
        return json.loads(figures), labels

    def labels(self, queries):
        """The label of each query, by the plain loop: what every other way has to agree with."""
        return self._classify(queries, "--labels")

    def _classify(self, queries, *options):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "queries"
            file.write_text("\n".join(queries) + "\n", encoding="utf-8")
            command = [self._programs["classify_loop"], *options, MODEL, file]
            done = subprocess.run(command, env=self._environment, stdout=subprocess.PIPE, encoding="utf-8", check=True)
        return done.stdout.splitlines()

    def encode(self, queries):
        """(feature ids, token ids) of each query; without tokens in the model the latter are empty."""
        command = [self.encoder, MODEL / "manifest.json"]
        lines = "\n".join(queries) + "\n"
        output = subprocess.run(command, input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout.splitlines()
        return [tuple(list(map(int, ids.split())) for ids in (line + "\t").split("\t")[:2]) for line in output]


def compiled(package, *targets):
    """Programs of a package, compiled as the extension is: name → path."""
    command = ["cargo", "build", "--quiet", "--release", "--package", package, "--message-format=json", *targets]
    built = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        fail(f"programs of {package} did not compile; see the lines above.")
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


def environment():
    """An environment in which these programs find ONNX Runtime."""
    subprocess.run([ROOT / "scripts/setup_onnxruntime.sh"], check=True)
    library = next((BUILD / "onnxruntime").glob("libonnxruntime.so.*"))
    return {**os.environ, "HARCA_ONNXRUNTIME": str(library)}


def manifest():
    """The manifest of the model that is measured."""
    return json.loads((MODEL / "manifest.json").read_text(encoding="utf-8"))
