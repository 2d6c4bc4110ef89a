"""Prometheus and its exporters beside a private server: those that scripts/setup_prometheus.sh has unpacked, or that are installed."""

import atexit
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .places import BUILD, ROOT

MONITORING = ROOT / "monitoring"
NEEDED = ("prometheus", "promtool", "prometheus-postgres-exporter", "prometheus-sql-exporter")


def program(name):
    """Where a program is: unpacked below .build, or installed; none where it is not."""
    unpacked = BUILD / "prometheus/usr/bin" / name
    return str(unpacked) if unpacked.exists() else shutil.which(name)


def missing():
    """Why there is no Prometheus here; none when there is."""
    lacking = [name for name in NEEDED if not program(name)]
    return f"{lacking[0]} is not there: run scripts/setup_prometheus.sh" if lacking else None


def free_port():
    """A port of this host that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def read(url):
    """What an address gives; none as long as nobody is there."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def _ends_with_us():
    """Has a child end when the test does, however that ends: PR_SET_PDEATHSIG of prctl."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Watch:
    """Both exporters on a database of a server, and a Prometheus that asks them every second, with the rules of monitoring/ made hasty."""

    def __init__(self, server, database, user="monitor"):
        self.folder = Path(tempfile.mkdtemp(prefix="harca-prometheus-"))
        self.processes = {}
        atexit.register(self.stop)
        ports = {name: free_port() for name in ("postgres", "sql", "prometheus")}
        self.url = f"http://127.0.0.1:{ports['prometheus']}"
        place = f"host={server.socket} port={server.port} user={user} dbname={database} sslmode=disable"
        self.start(
            "prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{ports['postgres']}", "--disable-default-metrics",
            "--disable-settings-metrics", f"--extend.query-path={MONITORING / 'postgres_exporter.yml'}", DATA_SOURCE_NAME=place,
        )  # fmt: skip
        jobs = (MONITORING / "sql_exporter.yml").read_text(encoding="utf-8")
        inside = f"postgres://{user}@/{database}?" + urllib.parse.urlencode({"host": server.socket, "port": server.port, "sslmode": "disable"})
        jobs = jobs.replace("postgres://monitor@localhost:5432/postgres?sslmode=disable", inside).replace("interval: 30s", "interval: 1s")
        (self.folder / "sql.yml").write_text(jobs, encoding="utf-8")
        self.start("prometheus-sql-exporter", f"-web.listen-address=127.0.0.1:{ports['sql']}", "-config.file", self.folder / "sql.yml")
        self._configure(ports)
        self.start(
            "prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}", "--log.level=warn",
        )  # fmt: skip

    def _configure(self, ports):
        """The configuration and the rules as they are shipped, but for ports, and for how long everything takes."""
        config = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
        config = config.replace("localhost:9187", f"127.0.0.1:{ports['postgres']}").replace("localhost:9237", f"127.0.0.1:{ports['sql']}")
        config = "global:\n  evaluation_interval: 1s\n" + config.replace("scrape_interval: 30s", "scrape_interval: 1s")
        (self.folder / "prometheus.yml").write_text(config, encoding="utf-8")
        lines = (MONITORING / "alerts.yml").read_text(encoding="utf-8").splitlines()
        hasty = [line.partition(":")[0] + ": 1s" if line.strip().startswith("for:") else line for line in lines]
        (self.folder / "alerts.yml").write_text("\n".join(hasty) + "\n", encoding="utf-8")

    def start(self, name, *options, **environment):
        """Starts a program; what it says is in a file of the folder."""
        with open(self.folder / f"{name}.log", "wb") as log:
            own = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
            command = [program(name), *map(str, options)]
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**own, **environment}, cwd=self.folder,
                preexec_fn=_ends_with_us,
            )  # fmt: skip

    def end(self, name):
        """Ends one of the programs."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self):
        """Ends what was started, and deletes its files."""
        for name in list(self.processes):
            self.end(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        """What the programs have said."""
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-2000:]}" for file in sorted(self.folder.glob("*.log")))

    def api(self, path, **parameters):
        """What Prometheus' API has under a path; none as long as it does not answer."""
        text = read(f"{self.url}/api/v1/{path}" + (f"?{urllib.parse.urlencode(parameters)}" if parameters else ""))
        return json.loads(text)["data"] if text else None

    def values(self, expression):
        """The values of an expression now."""
        return [float(one["value"][1]) for one in (self.api("query", query=expression) or {"result": []})["result"]]

    def firing(self, job="pg_harca"):
        """The names of the alerts that fire, on what one exporter tells."""
        alerts = (self.api("alerts") or {"alerts": []})["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing" and one["labels"].get("job", job) == job}

    def until(self, condition, seconds=180):
        """Waits until a condition holds, and gives what it gave last."""
        deadline = time.monotonic() + seconds
        while not (held := condition()) and time.monotonic() < deadline:
            time.sleep(0.3)
        return held
