"""What a figure depends on beside the code: processor, cores, memory, versions. No names of hosts, users or folders."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from harness.places import ROOT


def describe(connection):
    """Label → text, for the head of the report."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    model = connection.value("SELECT harca.load_model()")
    runtime = connection.value("SELECT runtime_version FROM harca.backend_status()")
    runtime = f"ONNX Runtime {runtime}" if runtime else "without ONNX Runtime"
    extension = connection.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_harca'")
    compiler = subprocess.run(["rustc", "--version"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    return {
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {int(memory.group(1)) / 2**20:.0f} GB of memory",
        "System": f"{_system()}, Linux {platform.release().split('-')[0]}",
        "Versions": f"pg_harca {extension}, model {model}, {server(connection)}, {runtime}, "
        f"rustc {compiler[1] if len(compiler) > 1 else 'unknown'}",
        "Date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def server(connection):
    """Name and version of a server."""
    return connection.value("SELECT split_part(version(), ' on ', 1)")


def _processor():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found.group(1).strip() if found else platform.machine()


def _system():
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(encoding="utf-8"), re.M)
    return found.group(1) if found else "Linux"
