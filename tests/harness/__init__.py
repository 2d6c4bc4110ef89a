"""What the test scripts in tests/t, the test driver, the demo and scripts/server share: private servers and TAP output."""

from .server import PgError, Result, Server, Session, copy
from .tap import done, is_, like, ok, skip

__all__ = ["PgError", "Result", "Server", "Session", "copy", "done", "is_", "like", "ok", "skip"]
