"""The model code of the engine in a process of its own, without a server, a socket or a queue."""

import subprocess
from functools import cache

from ..loop import compiled, environment


class TransformerLoop:
    """crates/harca_engine/examples/transformer_loop.rs at work on the model in a folder."""

    def __init__(self, folder, threads):
        command = [_program(), str(folder), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment(), bufsize=1
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(self, text):
        """Seconds that reading a text and running it took, and its scores."""
        self._process.stdin.write(f"{text}\n")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("transformer_loop has ended; see the lines above")
        nanoseconds, *numbers = line.split()
        return int(nanoseconds) / 1e9, [float(number) for number in numbers]


@cache
def _program():
    return compiled("harca_engine", "--example", "transformer_loop")["transformer_loop"]
