#!/usr/bin/env python3
"""Writes monitoring/sql_exporter.yml, the queries of sql_exporter, from monitoring/postgres_exporter.yml, those of postgres_exporter.

    scripts/write_sql_exporter.py [--check]

--check writes nothing, and fails where the file is not what would be written.
"""

import re
import sys
from pathlib import Path

MONITORING = Path(__file__).resolve().parents[1] / "monitoring"
SOURCE, RESULT = MONITORING / "postgres_exporter.yml", MONITORING / "sql_exporter.yml"

HEAD = """\
# What pg_harca tells Prometheus by way of sql_exporter: -config.file sql_exporter.yml, with a connection of yours, of a role in pg_monitor.
# Made of postgres_exporter.yml by scripts/write_sql_exporter.py. Prometheus gives its metrics the names of the other: prometheus.yml.
jobs:
  - name: pg_harca
    interval: 30s
    connections:
      - "postgres://monitor@localhost:5432/postgres?sslmode=disable"
    queries:
"""


def queries(text):
    """The queries of a file of postgres_exporter, by name: their SQL, and of each column its name, usage and description.

    It reads the few forms of YAML that the file has, and is an error for any other line.
    """
    found, current, in_query = {}, None, False
    for number, line in enumerate(text.splitlines(), 1):
        if in_query and (line.startswith("    ") or not line.strip()):
            current["query"].append(line[4:])
            continue
        in_query = False
        if not line.strip() or line.startswith("#"):
            continue
        if name := re.fullmatch(r"([a-z_]+):", line):
            current = found[name.group(1)] = {"query": [], "columns": []}
        elif line == "  query: |":
            in_query = True
        elif line == "  metrics:":
            pass
        elif column := re.fullmatch(r"    - ([a-z0-9_]+):", line):
            current["columns"].append({"name": column.group(1)})
        elif value := re.fullmatch(r'        (usage|description): "([^"\\]*)"', line):
            current["columns"][-1][value.group(1)] = value.group(2)
        else:
            raise ValueError(f"line {number} is of a form that is not read: {line}")
    for one in found.values():
        one["query"] = "\n".join(one["query"]).rstrip()
    return found


def metrics(found):
    """The names of the metrics, with the labels of each."""
    return {
        f"{name}_{column['name']}": {c["name"] for c in one["columns"] if c["usage"] == "LABEL"}
        for name, one in found.items()
        for column in one["columns"]
        if column["usage"] != "LABEL"
    }


def sql_exporter(found):
    """The file of sql_exporter."""
    parts = [HEAD]
    for name, one in found.items():
        labels = [column["name"] for column in one["columns"] if column["usage"] == "LABEL"]
        values = [column["name"] for column in one["columns"] if column["usage"] != "LABEL"]
        helped = "; ".join(f"{column['name']}: {column['description']}" for column in one["columns"] if column["name"] in values)
        parts.append(f'      - name: {name}\n        help: "{helped}"\n')
        if labels:
            parts.append("        labels:\n" + "".join(f"          - {label}\n" for label in labels))
        parts.append("        values:\n" + "".join(f"          - {value}\n" for value in values))
        parts.append("        query: |\n" + "".join(f"          {line}\n" for line in one["query"].splitlines()))
    return "".join(parts)


def main():
    """Writes the file, or says that it is another."""
    wanted = sql_exporter(queries(SOURCE.read_text(encoding="utf-8")))
    if "--check" in sys.argv[1:]:
        if not RESULT.exists() or RESULT.read_text(encoding="utf-8") != wanted:
            sys.exit(f"{RESULT.name} is not made of {SOURCE.name}: run scripts/write_sql_exporter.py")
        return
    RESULT.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
