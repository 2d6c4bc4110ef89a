"""The same model in a PL/Python function with onnxruntime: what pg_harca saves.

The function is spared the encoding, which exists in Rust alone: it takes feature and token ids as bytes and pays for the
run only. Whatever it costs, a function that read text would cost more.
"""

import shutil
import subprocess
from pathlib import Path

from harness.places import ROOT, reaches, temporary_root

from .loop import manifest
from .servers import DATABASE

FUNCTION = """
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE OR REPLACE FUNCTION bench.plpython(features bytea, tokens bytea) RETURNS text LANGUAGE plpython3u STABLE STRICT AS $python$
if "run" not in SD:
    import sys
    sys.path.insert(0, {packages!r})
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    SD["run"] = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"]).run
    SD["numpy"] = numpy
numpy = SD["numpy"]
inputs = {{{features!r}: numpy.frombuffer(features, numpy.int32).reshape(1, -1)}}
if tokens:
    inputs["tokens"] = numpy.frombuffer(tokens, numpy.int32).reshape(1, -1, 3)
return {labels!r}[SD["run"](None, inputs)[0][0].argmax()]
$python$;
"""


class PlPython:
    """The function, on whatever server it is asked for."""

    def __init__(self, pg_config, encode):
        """Raises OSError with the reason when this server cannot have it; encode is Loop.encode."""
        script = subprocess.run(
            [ROOT / "scripts/setup_plpython.sh", pg_config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        if script.returncode != 0:
            raise OSError("this server has no PL/Python, or its packages are missing (scripts/setup_plpython.sh)")
        self._packages = Path(script.stdout.strip())
        self._encode = encode

    def prepare(self, server):
        """Creates the function unless it is there; returns its call on the columns features and tokens."""
        found = manifest()
        libraries = Path(server.config("--pkglibdir"))
        model = libraries / "pg_harca/models" / found["name"] / found["file"]
        text = FUNCTION.format(
            packages=str(self._reachable(server)), model=str(model), features=found["input"]["name"], labels=found["labels"]
        )
        server.psql(text, DATABASE)
        return "bench.plpython(features, tokens)"

    def literal_call(self, query):
        """A statement that classifies one text."""
        ((features, tokens),) = self._encode([query])
        return f"SELECT bench.plpython('{as_bytea(features)}', '{as_bytea(tokens)}')"

    def _reachable(self, server):
        """The packages where the server's user can read them, as the server's own programs are."""
        if reaches(server.user, self._packages):
            return self._packages
        copy = temporary_root() / self._packages.name
        shutil.copytree(self._packages, copy, dirs_exist_ok=True)
        copy.chmod(0o755)
        return copy


def as_bytea(ids):
    """Numbers as the text form of a bytea, four bytes each."""
    return "\\x" + b"".join(number.to_bytes(4, "little") for number in ids).hex()
