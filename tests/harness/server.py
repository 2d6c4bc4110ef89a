"""A private PostgreSQL server: own data, a socket in a private folder, no network."""

import atexit
import locale
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

from .places import BUILD, as_user, cluster_folder, fail, own_folder, programs, server_user, temporary_root

Result = namedtuple("Result", "out err rc")

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "fsync": "off",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "max_worker_processes": "16",
}


class PgError(Exception):
    """An error that the server raised, with its SQLSTATE."""

    def __init__(self, stderr):
        found = re.search(r"(?:ERROR|FATAL|PANIC):  (?:([0-9A-Z]{5}): )?(.*)", stderr)
        self.sqlstate = found.group(1) if found else None
        self.message = found.group(2) if found else stderr.strip()
        self.stderr = stderr
        super().__init__(f"{self.sqlstate}: {self.message}")


def copy(table, rows):
    """What psql is to read in order to fill a table, or the columns that its name is given with; rows of values as text."""
    escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    data = "".join("\t".join(str(value).translate(escapes) for value in row) + "\n" for row in rows)
    return f"COPY {table} FROM STDIN;\n{data}\\.\n"


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _utf8_locale():
    try:
        before = locale.setlocale(locale.LC_CTYPE)
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
        locale.setlocale(locale.LC_CTYPE, before)
        return "C.UTF-8"
    except locale.Error:
        return "C"


class Server:
    """A cluster named NAME of the installation that pg_config belongs to.

    It stops when the process ends, unless keep is true. A fresh one starts with an empty data folder.
    """

    def __init__(self, name, pg_config=None, settings=None, keep=False, fresh=True):
        self.name = name
        self.pg_config = str(pg_config or os.environ.get("HARCA_PG_CONFIG") or BUILD / "pg18/bin/pg_config")
        self.user = server_user()
        self.bindir = programs(self.config("--bindir"), self.user)
        self.major = int(re.search(r"\d+", self.config("--version")).group())
        self.port = 5432
        self.folder = cluster_folder(self.user) / name
        self.data = self.folder / "data"
        self.log_file = self.folder / "log"
        self.socket = temporary_root() / name
        self.settings = {**SETTINGS, **(settings or {})}
        if fresh:
            self.remove()
        if not keep:
            atexit.register(self.remove if fresh else self.stop)

    @classmethod
    def attach(cls):
        """The server that the test driver started for this script."""
        self = cls.__new__(cls)
        self.name = "driver"
        self.pg_config = os.environ["HARCA_PG_CONFIG"]
        self.user = server_user()
        self.bindir = Path(os.environ["HARCA_PGBIN"])
        self.major = int(os.environ["HARCA_SERVER_VERSION"])
        self.port = int(os.environ["HARCA_PGPORT"])
        self.socket = Path(os.environ["HARCA_PGHOST"])
        self.data = Path(os.environ["HARCA_PGDATA"])
        self.folder = self.data.parent
        self.log_file = self.folder / "log"
        self.settings = dict(SETTINGS)
        return self

    def config(self, option):
        """One value of pg_config."""
        return subprocess.run([self.pg_config, option], check=True, capture_output=True, text=True).stdout.strip()

    def environment(self):
        """The environment of a libpq client of this server."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("PG") or k.startswith("PGRX")}
        own.pop("RUST_BACKTRACE", None)  # a developer's setting; it would add 0.1 s and 20 MB to a backend's first error
        own.update(PGHOST=str(self.socket), PGPORT=str(self.port), PGUSER="postgres", PGDATABASE="postgres")
        own.update(PGCLIENTENCODING="UTF8", LC_ALL=_utf8_locale())
        return own

    def as_server(self, *command, check=True):
        """Runs one of the server's programs as the server's user; pg_ctl leaves children behind, so no pipes."""
        with open(self.folder / "command.log", "w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(
                [str(self.bindir / command[0]), *map(str, command[1:])],
                cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**self.environment(), "HOME": str(self.folder)}, check=False, **as_user(self.user),
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        if check and done.returncode != 0:
            fail(f"{command[0]} of the private server '{self.name}' failed:\n{text}\n{self.log()[-3000:]}")
        return Result(text, "", done.returncode)

    def initdb(self):
        """Creates the cluster unless it exists."""
        own_folder(self.folder, self.user)
        if not (self.data / "PG_VERSION").exists():
            self.as_server(
                "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", f"--locale={_utf8_locale()}", "-N"
            )
            with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
                conf.write("include 'harca.conf'\n")
        return self

    def configure(self, **settings):
        """Adds settings; they count from the next start, restart or reload. None removes one."""
        self.settings.update({k.replace("__", "."): v for k, v in settings.items()})
        conf = self.data / "harca.conf"
        with open(conf, "w", encoding="utf-8") as out:
            for name, value in {**self.settings, "unix_socket_directories": str(self.socket)}.items():
                if value is not None:
                    quoted = str(value).replace("'", "''")
                    out.write(f"{name} = '{quoted}'\n")
        if self.user:
            os.chown(conf, self.user.pw_uid, self.user.pw_gid)
        return self

    def start(self, check=True):
        """Starts the server and waits until it answers."""
        self.initdb()
        self.running()
        self.configure()
        own_folder(temporary_root() / self.name, self.user)
        log = ["-l", self.log_file]
        return self.as_server("pg_ctl", "start", "-w", "-t", "60", "-s", "-D", self.data, *log, "-o", f"-p {self.port}", check=check)

    def running(self):
        """Whether a postmaster of this cluster lives."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return False
        if _alive(pid):
            return True
        # In a container whose first process reaps nobody a killed postmaster stays as a zombie, which PostgreSQL takes for alive.
        pid_file.unlink(missing_ok=True)
        shutil.rmtree(self.socket, ignore_errors=True)
        return False

    def stop(self, mode="fast", check=True):
        """Stops the server if it runs."""
        if self.running():
            return self.as_server("pg_ctl", "stop", "-w", "-s", "-m", mode, "-D", self.data, check=check)
        return None

    def restart(self, mode="fast", check=True):
        """Stops and starts it again."""
        self.stop(mode)
        return self.start(check=check)

    def reload(self):
        """Makes the server read its settings again."""
        self.as_server("pg_ctl", "reload", "-s", "-D", self.data)

    def postmaster_pid(self):
        """The process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def kill(self, pid=None, number=signal.SIGKILL):
        """Sends a signal to one of this server's processes; without a pid to the postmaster, and waits until all are gone."""
        if pid is not None:
            os.kill(pid, number)
            return
        postmaster = self.postmaster_pid()
        family = [postmaster, *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]
        os.kill(postmaster, number)
        deadline = time.monotonic() + 20
        while any(map(_alive, family)) and time.monotonic() < deadline:
            time.sleep(0.05)

    def wait_ready(self, seconds=30):
        """Waits until the server accepts connections, after a crash for example."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.run("SELECT 1").rc == 0:
                return True
            time.sleep(0.1)
        return False

    def remove(self):
        """Stops the server and deletes its files."""
        if self.folder.exists():
            self.stop("immediate", check=False)
            shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.socket, ignore_errors=True)
        try:
            self.socket.parent.rmdir()
        except OSError:
            pass  # Others of this checkout are still in it.

    def log(self):
        """The text of the server's log so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def _psql(self, db, user):
        return [str(self.bindir / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"] + [
            "-U", user, "-d", db,
        ]  # fmt: skip

    def run(self, sql, db="postgres", user="postgres", timeout=120):
        """Runs SQL in a new connection; the result carries the return code, and nothing is raised."""
        done = subprocess.run(
            self._psql(db, user), input=sql, capture_output=True, text=True, encoding="utf-8", errors="replace",
            env=self.environment(), timeout=timeout, check=False,
        )  # fmt: skip
        return Result(done.stdout.rstrip("\n"), done.stderr, done.returncode)

    def psql(self, sql, db="postgres", user="postgres", timeout=120):
        """Runs SQL in a new connection and returns what it prints; raises PgError."""
        done = self.run(sql, db, user, timeout)
        if done.rc != 0:
            raise PgError(done.err)
        return done.out

    def sqlstate(self, sql, db="postgres", user="postgres"):
        """The SQLSTATE that the SQL raises, or None when it succeeds."""
        try:
            self.psql(sql, db, user)
        except PgError as error:
            return error.sqlstate
        return None

    def refused(self, sql, db="postgres", user="postgres"):
        """The SQLSTATE that the SQL raises and all that is told with it, ("none", "") when it succeeds."""
        try:
            self.psql(sql, db, user)
        except PgError as error:
            return error.sqlstate, error.stderr
        return "none", ""

    def session(self, db="postgres", user="postgres"):
        """A connection that stays open."""
        return Session(self, db, user)


class Session:
    """A psql process fed statement by statement, for what one connection sees over time or two see of each other."""

    def __init__(self, server, db, user):
        command = server._psql(db, user)
        command[command.index("ON_ERROR_STOP=1")] = "ON_ERROR_STOP=0"
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", bufsize=1, env=server.environment(),
        )  # fmt: skip
        self.lines = queue.Queue()
        self.marks = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.pid = int(self.psql("SELECT pg_backend_pid()"))

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def send(self, sql):
        """Starts SQL without waiting for it."""
        self.marks += 1
        try:
            self.process.stdin.write(f"{sql}\n;\n\\echo :::{self.marks}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def wait(self, timeout=60):
        """What the SQL that was sent printed, messages included; raises PgError."""
        seen = []
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("\n".join(seen)) from None
            if line == f":::{self.marks}":
                break
            if line is None:
                raise PgError("\n".join(seen) or "FATAL:  57P01: connection closed")
            seen.append(line)
        text = "\n".join(seen)
        if re.search(r"^(?:psql:[^\n]*)?(ERROR|FATAL|PANIC):  ", text, re.M):
            raise PgError(text)
        return text

    def psql(self, sql, timeout=60):
        """Runs SQL and returns what it prints; raises PgError."""
        self.send(sql)
        return self.wait(timeout)

    def close(self):
        """Ends the connection."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait(timeout=20)
