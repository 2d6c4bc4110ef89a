"""The same model in a PL/Python function with onnxruntime: what pg_harca saves.

The encoder exists in Rust alone, so the function asks `harca_encode`, which it keeps running beside the server. A second
function is spared the encoding and gets the ids ready-made as bytes: it pays for the run alone.
"""

import shutil
import subprocess
from pathlib import Path

from harness.places import ROOT, reaches, temporary_root

from .loop import manifest
from .servers import DATABASE

FUNCTIONS = """
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE OR REPLACE FUNCTION bench.plpython(query text) RETURNS text LANGUAGE plpython3u STABLE STRICT AS $python$
if "run" not in SD:
    import subprocess
{load}
    SD["encoder"] = subprocess.Popen([{encoder!r}, {manifest!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
numpy, encoder = SD["numpy"], SD["encoder"]
encoder.stdin.write(query.replace("\\n", " ").encode() + b"\\n")
encoder.stdin.flush()
features, tab, tokens = encoder.stdout.readline().partition(b"\\t")
inputs = {{{features!r}: numpy.array(features.split(), numpy.int32).reshape(1, -1)}}
if tab:
    inputs["tokens"] = numpy.array(tokens.split(), numpy.int32).reshape(1, -1, 3)
return {labels!r}[SD["run"](None, inputs)[0][0].argmax()]
$python$;
CREATE OR REPLACE FUNCTION bench.plpython_run(features bytea, tokens bytea) RETURNS text LANGUAGE plpython3u STABLE STRICT AS $python$
if "run" not in SD:
{load}
numpy = SD["numpy"]
inputs = {{{features!r}: numpy.frombuffer(features, numpy.int32).reshape(1, -1)}}
if tokens:
    inputs["tokens"] = numpy.frombuffer(tokens, numpy.int32).reshape(1, -1, 3)
return {labels!r}[SD["run"](None, inputs)[0][0].argmax()]
$python$;
"""
LOAD = """
    import sys
    sys.path.insert(0, {packages!r})
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    SD["run"] = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"]).run
    SD["numpy"] = numpy
"""
WHOLE, RUN_ALONE = "bench.plpython(q)", "bench.plpython_run(features, tokens)"


class PlPython:
    """The functions, on whatever server they are asked for."""

    def __init__(self, pg_config, encoder):
        """Raises OSError with the reason when this server cannot have them; encoder is the program harca_encode."""
        script = subprocess.run(
            [ROOT / "scripts/setup_plpython.sh", pg_config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        if script.returncode != 0:
            raise OSError("this server has no PL/Python, or its packages are missing (scripts/setup_plpython.sh)")
        self._packages = Path(script.stdout.strip())
        self._encoder = Path(encoder)

    def prepare(self, server):
        """Creates the functions unless they are there: WHOLE takes a text, RUN_ALONE the columns features and tokens."""
        found = manifest()
        folder = Path(server.config("--pkglibdir")) / "pg_harca/models" / found["name"]
        load = LOAD.strip("\n").format(packages=str(self.packages(server)), model=str(folder / "model.onnx"))
        text = FUNCTIONS.format(
            load=load, encoder=str(_reachable(server, self._encoder)), manifest=str(folder / "manifest.json"),
            features=found["input"]["name"], labels=found["labels"],
        )  # fmt: skip
        server.psql(text, DATABASE)

    def packages(self, server):
        """The folder of what its functions import, where the server's user can use it."""
        return _reachable(server, self._packages)


def _reachable(server, path):
    """A file or folder where the server's user can use it, as the server's own programs are."""
    if reaches(server.user, path):
        return path
    copy = temporary_root() / path.name
    if path.is_dir():
        shutil.copytree(path, copy, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, copy)
    copy.chmod(0o755)
    return copy


def as_bytea(ids):
    """Numbers as the text form of a bytea, four bytes each."""
    return "\\x" + b"".join(number.to_bytes(4, "little") for number in ids).hex()
