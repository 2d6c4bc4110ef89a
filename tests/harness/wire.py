"""A PostgreSQL connection that does nothing beside the statement: what psql costs would drown the first call.

Protocol 3.0 over the server's socket, simple queries only:
https://www.postgresql.org/docs/15/protocol-message-formats.html
"""

import socket
import struct
import time

from .server import PgError

PROTOCOL = 3 << 16
TIMEOUT = 600


class Connection:
    """A connection to a private server, which trusts everybody who reaches its socket.

    pid is the backend's process id.
    """

    def __init__(self, server, database):
        self.server = server
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(f"{server.socket}/.s.PGSQL.{server.port}")
        self._input = self._socket.makefile("rb")
        self.pid = None
        options = {"user": "postgres", "database": database, "client_encoding": "UTF8"}
        packed = b"".join(f"{word}\0".encode() for pair in options.items() for word in pair)
        self._socket.sendall(struct.pack("!ii", 9 + len(packed), PROTOCOL) + packed + b"\0")
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def query(self, sql):
        """Runs SQL and returns the rows of all its statements, as lists of text or None; raises PgError."""
        data = sql.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", 4 + len(data)) + data)
        return self._answer()

    def value(self, sql):
        """The first column of the only row."""
        ((value, *_),) = self.query(sql)
        return value

    def time(self, sql):
        """Seconds from sending SQL to the last byte of its answer, and the rows."""
        started = time.perf_counter()
        rows = self.query(sql)
        return time.perf_counter() - started, rows

    def close(self):
        """Ends the connection and waits until the backend has closed it as well."""
        self._socket.sendall(b"X" + struct.pack("!i", 4))
        self._input.read()
        self._input.close()
        self._socket.close()

    def _answer(self):
        """Reads messages until the backend is ready for the next query."""
        rows, error = [], None
        while True:
            head = self._input.read(5)
            if len(head) < 5:
                raise PgError(error or "FATAL:  57P01: connection closed")
            kind, length = struct.unpack("!ci", head)
            body = self._input.read(length - 4)
            if kind == b"D":
                rows.append(_columns(body))
            elif kind == b"E":
                fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
                error = f"ERROR:  {fields.get(b'C')}: {fields.get(b'M')}"
            elif kind == b"K":
                (self.pid,) = struct.unpack_from("!i", body)
            elif kind == b"Z":
                if error:
                    raise PgError(error)
                return rows


def _columns(body):
    """The values of a DataRow message."""
    (count,) = struct.unpack_from("!h", body)
    at, values = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return values
