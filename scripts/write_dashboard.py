#!/usr/bin/env python3
"""Writes monitoring/dashboard.json, the Grafana dashboard of the metrics of monitoring/postgres_exporter.yml.

    scripts/write_dashboard.py [--check]

--check writes nothing, and fails where the file is not what would be written.
"""

import json
import sys
from pathlib import Path

RESULT = Path(__file__).resolve().parents[1] / "monitoring/dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HERE = 'instance=~"$instance"'
WIDTH, HEIGHT = 8, 7

# A row of panels for each subject: title, kind, unit, and expressions with what the legend says of them.
ROWS = {
    "Is it well": [
        ("Health of each component (1 is well)", "state-timeline", "none", [(f"harca_health_ok{{{HERE}}}", "{{component}}")]),
        ("Rows of harca.advise()", "bargauge", "none", [(f"sum by (severity) (harca_advice_rows{{{HERE}}})", "{{severity}}")]),
        ("Answers given by others, failures, restarts", "timeseries", "none",
         [(f'increase(harca_health_events{{{HERE},component!="query log"}}[$__rate_interval])', "{{component}}")]),
    ],
    "Classification": [
        ("Answers a second", "timeseries", "reqps", [(f"sum by (role, model) (rate(harca_model_answers{{{HERE}}}[$__rate_interval]))", "{{role}} {{model}}")]),
        ("Time of a run", "timeseries", "s",
         [(f"harca_model_p50_seconds{{{HERE}}} > 0", "{{role}} p50"), (f"harca_model_p95_seconds{{{HERE}}} > 0", "{{role}} p95")]),
        ("Drift (0.25 and more has drifted)", "timeseries", "none", [(f"harca_drift_psi{{{HERE}}}", "{{measure}}")]),
    ],
    "Caches": [
        ("Share of hits", "timeseries", "percentunit",
         [(f"rate(harca_cache_hits{{{HERE}}}[$__rate_interval]) / (rate(harca_cache_hits{{{HERE}}}[$__rate_interval])"
           f" + rate(harca_cache_misses{{{HERE}}}[$__rate_interval]))", "{{level}}")]),
        ("Share of hits by size, in times the present one", "bargauge", "percentunit", [(f"harca_hit_curve_hit_ratio{{{HERE}}}", "{{times}}")]),
        ("Evictions and expirations a second", "timeseries", "ops",
         [(f"rate(harca_cache_evictions{{{HERE}}}[$__rate_interval])", "{{level}} evictions"),
          (f"rate(harca_cache_expirations{{{HERE}}}[$__rate_interval])", "{{level}} expirations")]),
    ],
    "Engine": [
        ("Requests a second", "timeseries", "reqps", [(f"rate(harca_engine_model_requests{{{HERE}}}[$__rate_interval])", "{{model}} {{priority}}")]),
        ("95 of 100 requests wait and run", "timeseries", "s",
         [(f'harca_engine_model_wait_p95_seconds{{{HERE},priority="interactive"}}', "{{model}} wait"),
          (f'harca_engine_model_run_p95_seconds{{{HERE},priority="interactive"}}', "{{model}} run")]),
        ("Memory", "timeseries", "bytes", [(f"harca_engine_memory_bytes{{{HERE}}}", "used"), (f"harca_engine_memory_bound_bytes{{{HERE}}}", "bound")]),
        ("Texts that wait", "timeseries", "none", [(f"harca_engine_model_queued{{{HERE}}}", "{{model}} {{priority}}")]),
        ("Tokens a second while it runs", "timeseries", "none", [(f"max by (model) (harca_engine_model_tokens_per_second{{{HERE}}})", "{{model}}")]),
        ("Restarts, and models let go", "timeseries", "none", [(f"harca_engine_restarts{{{HERE}}}", "restarts"), (f"harca_engine_let_go{{{HERE}}}", "let go")]),
    ],
    "Search": [
        ("Changes since the statistics were made", "timeseries", "percentunit",
         [(f"harca_search_target_changed_rows{{{HERE}}} / (harca_search_target_documents{{{HERE}}} > 0)", "{{target}}")]),
        ("Weight of the vector leg", "timeseries", "none", [(f"harca_search_target_vector_weight{{{HERE}}}", "{{target}}")]),
        ("Rows that wait for an embedding", "timeseries", "none",
         [(f"harca_embedding_pending{{{HERE}}}", "{{target}} waiting"), (f"harca_embedding_failed{{{HERE}}}", "{{target}} failed")]),
    ],
    "Memory": [
        ("Memory by part", "timeseries", "bytes", [(f"harca_memory_bytes{{{HERE}}}", "{{part}}")]),
        ("Room taken in the shared cache", "timeseries", "percentunit",
         [(f'harca_cache_entries{{{HERE},level="shared"}} / harca_cache_capacity{{{HERE},level="shared"}}', "answers")]),
        ("Mean confidence", "timeseries", "percentunit", [(f"harca_model_mean_confidence{{{HERE}}}", "{{role}} {{model}}")]),
    ],
}  # fmt: skip


def panel(number, place, title, kind, unit, expressions):
    """A panel at a place of the grid."""
    instant = kind == "bargauge"
    return {
        "id": number, "type": kind, "title": title, "datasource": SOURCE, "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, **({"min": 0} if unit != "none" else {})}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}} if kind == "timeseries" else {},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "instant": instant, "range": not instant}
            for n, (expr, legend) in enumerate(expressions)
        ],
    }  # fmt: skip


def dashboard():
    """The whole of it."""
    panels, top = [], 0
    for subject, row in ROWS.items():
        panels.append({"id": len(panels) + 1, "type": "row", "title": subject, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        for n, one in enumerate(row):
            place = {"x": WIDTH * (n % 3), "y": top + HEIGHT * (n // 3), "w": WIDTH, "h": HEIGHT}
            panels.append(panel(len(panels) + 1, place, *one))
        top += HEIGHT * -(-len(row) // 3)
    return {
        "uid": "pg-harca", "title": "pg_harca", "tags": ["postgresql", "search"], "schemaVersion": 36, "version": 1, "editable": True,
        "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0},
            {"name": "instance", "label": "Server", "type": "query", "datasource": SOURCE, "query": "label_values(harca_health_ok, instance)",
             "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "hide": 0},
        ]},
        "annotations": {"list": [
            {"name": "Alerts", "datasource": SOURCE, "enable": True, "expr": 'ALERTS{alertname=~"Harca.*",alertstate="firing"}', "titleFormat": "{{alertname}}", "iconColor": "red"},
        ]},
        "panels": panels,
    }  # fmt: skip


def main():
    """Writes the file, or says that it is another."""
    wanted = json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        if not RESULT.exists() or RESULT.read_text(encoding="utf-8") != wanted:
            sys.exit(f"{RESULT.name} is another: run scripts/write_dashboard.py")
        return
    RESULT.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
