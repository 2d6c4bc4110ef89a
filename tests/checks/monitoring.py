#!/usr/bin/env python3
"""monitoring/: both exporters are asked the same, every expression names a metric that there is, every alert has its lines, and promtool's word on it."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_, ok, skip  # noqa: E402
from harness.monitoring import MONITORING, missing, program  # noqa: E402
from harness.places import ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "scripts"))
import write_dashboard  # noqa: E402
import write_sql_exporter  # noqa: E402

PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
QUERIES = write_sql_exporter.queries((MONITORING / "postgres_exporter.yml").read_text(encoding="utf-8"))
METRICS = write_sql_exporter.metrics(QUERIES)
# What Prometheus adds to each.
ADDED = {"instance", "job"}

# The queries

for script in ("write_sql_exporter.py", "write_dashboard.py"):
    done_ = subprocess.run([sys.executable, ROOT / "scripts" / script, "--check"], capture_output=True, text=True, check=False)
    is_((done_.returncode, done_.stderr), (0, ""), f"what {script} makes is as it makes it")
usages = {column.get("usage") for one in QUERIES.values() for column in one["columns"]}
is_(usages, {"LABEL", "GAUGE", "COUNTER"}, "every column is a label, a gauge or a counter")
ok(all(column.get("description") for one in QUERIES.values() for column in one["columns"]), "and says what it is")
is_([name for name, one in QUERIES.items() for column in one["columns"] if not re.search(rf"\b{column['name']}\b", one["query"])], [], "and is in its query")
try:
    write_sql_exporter.queries("harca_health:\n  cache_seconds: 30\n")
    ok(False, "a line of another form is refused")
except ValueError:
    ok(True, "a line of another form is refused")


def unknown(expression):
    """What an expression names and nobody gives: metrics, and labels that its metrics do not have."""
    text = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\bharca_[a-z0-9_]+", text))
    lacking = names - METRICS.keys()
    labels = set.union(ADDED, *(METRICS[name] for name in names & METRICS.keys()))
    used = set(re.findall(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*""', text))
    for listed in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", text):
        used |= {label.strip() for label in listed.split(",")}
    return sorted(lacking | (used - labels)), names


is_(unknown('sum by (level, colour) (rate(harca_cache_hits{level="x",size!="y"}[5m])) / harca_cache_hats')[0], ["colour", "harca_cache_hats", "size"], "an expression is looked through")

# The alerts

TEXT = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
TESTS = (MONITORING / "alerts_test.yml").read_text(encoding="utf-8")
ALERTS = re.split(r"^      - alert: ", TEXT, flags=re.M)[1:]
ANCHORS = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.M)}
ok(len(ALERTS) >= 10, f"there are {len(ALERTS)} alerts")
for alert in ALERTS:
    name = alert.partition("\n")[0]
    expr = re.search(r"^        expr: (.+)$", alert, re.M).group(1)
    lacking, names = unknown(expr)
    is_((lacking, bool(names)), ([], True), f"{name}: its expression names what there is")
    ok(re.search(r"^          severity: (critical|warning)$", alert, re.M) and 'summary: "' in alert, f"{name}: it has a severity and a summary")
    runbook = re.search(r"runbook: docs/metrics\.md#(\S+)$", alert, re.M)
    is_((runbook and runbook.group(1), name.lower() in ANCHORS), (name.lower(), True), f"{name}: its runbook is a section of the page")
    outcomes = set(re.findall(rf"alertname: {name}\n        exp_alerts:( \[\]|)\n", TESTS))
    is_(outcomes, {"", " []"}, f"{name}: a test makes it fire, and another one does not")
told = {title for title in re.findall(r"^#+ (Harca\w+)$", PAGE, re.M)}
is_(told, {alert.partition("\n")[0] for alert in ALERTS}, "the page tells of these alerts and no others")

# The dashboard

NUMBER, TEXT_, FLAG = (int, float), str, bool
REFERENCE = {"type": "prometheus", "uid": "${datasource}"}
TARGET = {"refId": TEXT_, "datasource": REFERENCE, "expr": TEXT_, "legendFormat": TEXT_, "instant": FLAG, "range": FLAG}
PLACE = {"x": NUMBER, "y": NUMBER, "w": NUMBER, "h": NUMBER}
ROW = {"id": NUMBER, "type": "row", "title": TEXT_, "collapsed": FLAG, "panels": [], "gridPos": PLACE}
PANEL = {"id": NUMBER, "type": {"timeseries", "bargauge", "state-timeline"}, "title": TEXT_, "datasource": REFERENCE, "gridPos": PLACE,
         "fieldConfig": {"defaults": dict, "overrides": list}, "options": dict, "targets": [TARGET]}  # fmt: skip
SCHEMA = {
    "uid": TEXT_, "title": TEXT_, "tags": [TEXT_], "schemaVersion": NUMBER, "version": NUMBER, "editable": FLAG, "refresh": TEXT_,
    "time": {"from": TEXT_, "to": TEXT_}, "timezone": TEXT_, "templating": {"list": list}, "annotations": {"list": list}, "panels": list,
}  # fmt: skip


def faults(value, schema, place="dashboard"):
    """Where a value is not as a schema has it: a type, a literal, a set of literals, a list of one kind, or the keys of an object."""
    if isinstance(schema, dict):
        if not isinstance(value, dict) or value.keys() != schema.keys():
            return [f"{place} has the keys {sorted(value) if isinstance(value, dict) else value}"]
        return [fault for key in schema for fault in faults(value[key], schema[key], f"{place}.{key}")]
    if isinstance(schema, list):
        if not isinstance(value, list) or (not schema and value):
            return [f"{place} is {value!r}"]
        return [fault for n, one in enumerate(value) for fault in faults(one, schema[0], f"{place}[{n}]")]
    if isinstance(schema, set):
        return [] if value in schema else [f"{place} is {value!r}"]
    if isinstance(schema, str):
        return [] if value == schema else [f"{place} is {value!r}"]
    return [] if isinstance(value, schema) and (schema is bool or not isinstance(value, bool)) else [f"{place} is {value!r}"]


DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
is_(faults(DASHBOARD, SCHEMA), [], "the dashboard has the keys that it should have")
for panel in DASHBOARD["panels"]:
    is_(faults(panel, ROW if panel["type"] == "row" else PANEL, panel["title"]), [], f"panel: {panel['title']}")
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
is_(faults({**PANELS[0], "type": "graph"}, PANEL, "it"), ["it.type is 'graph'"], "a panel of a kind that Grafana has given up is a fault")
is_(len({panel["id"] for panel in DASHBOARD["panels"]}), len(DASHBOARD["panels"]), "panels have numbers of their own")
cells = [(x, y) for panel in DASHBOARD["panels"] for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
         for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])]  # fmt: skip
ok(len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24, "and places of their own")
variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
is_((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"), "the data source is a variable")
is_(unknown(variables["instance"]["query"].split("(")[1].split(",")[0])[0], [], "the servers are those of a metric")
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
is_([(title, found) for title, target in TARGETS if (found := unknown(target["expr"])[0])], [], "every expression names metrics and labels that there are")
is_([title for title, target in TARGETS if target["expr"].count('instance=~"$instance"') != len(re.findall(r"\bharca_", target["expr"]))], [], "and the servers that were chosen")
legends = [(title, label) for title, target in TARGETS for label in re.findall(r"{{(\w+)}}", target["legendFormat"])
           if not all(label in METRICS[name] for name in unknown(target["expr"])[1])]  # fmt: skip
is_(legends, [], "legends name labels of the metric")
shown = set().union(*(unknown(target["expr"])[1] for _, target in TARGETS))
alerted = set().union(*(unknown(re.search(r"expr: (.+)", alert).group(1))[1] for alert in ALERTS))
print(f"# {len(METRICS)} metrics, {len(shown)} on the dashboard, {len(alerted)} in alerts")
is_(write_dashboard.dashboard(), DASHBOARD, "it is the one that is made")

# promtool

if why := missing():
    skip("promtool", why)
else:
    for what in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        ran = subprocess.run([program("promtool"), *what], cwd=MONITORING, capture_output=True, text=True, check=False)
        is_((ran.returncode, ran.stderr), (0, ""), f"promtool {' '.join(what)}")
done()
