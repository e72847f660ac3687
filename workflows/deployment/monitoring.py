"""Prometheus and Grafana: where Argo's controller tells the metrics, what to show, when to call.

The names are made from the metrics that workflows declare (`seatrial.workflows.metrics`), so that
a panel cannot ask for a series that nobody emits.
"""

from __future__ import annotations

from collections.abc import Sequence

from hera.workflows.metrics import Counter, Gauge, Histogram

from seatrial.verdict import Json
from seatrial.workflows import metrics
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.settings import Settings

#: What Argo's controller puts before every custom metric.
PREFIX = "argo_workflows_"
CONTROLLER_NAMESPACE = "argo"
#: The night's campaign and its rerun after a late start must have ended by then.
NIGHT_HOURS = 26


def emitted() -> dict[str, str]:
    """Every series that trials cause → its kind: counter, gauge or histogram."""
    kinds = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    declared = (*metrics.verdicts("", ""), *metrics.ops("", ""), *metrics.seconds("", ""))
    return {PREFIX + metric.name: kinds[type(metric)] for metric in declared}


def _series(ending: str) -> str:
    (found,) = [name for name in emitted() if name.endswith(ending)]
    return found


VERDICTS = _series("verdicts_total")
RECOVERY = _series("recovery_seconds")
OPS = _series("ops_total")
SECONDS = _series("trial_duration_seconds")


def pod_monitor(settings: Settings) -> dict[str, Json]:
    """Scrapes Argo's controller, which serves metrics over TLS with a certificate of its own."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _metadata("seatrial-argo", settings),
        "spec": {
            "namespaceSelector": {"matchNames": [CONTROLLER_NAMESPACE]},
            "selector": {"matchLabels": {"app": "workflow-controller"}},
            "podMetricsEndpoints": [
                {
                    "port": "metrics",
                    "path": "/metrics",
                    "scheme": "https",
                    "tlsConfig": {"insecureSkipVerify": True},
                    "interval": "15s",
                }
            ],
        },
    }


def rules(settings: Settings) -> dict[str, Json]:
    """Alerts: a guarantee broke, trials prove nothing, no green night, the reaper failed."""
    verdict = f"sum by (case, target) (increase({VERDICTS}{{verdict=%s}}[1h])) > 0"
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata("seatrial", settings),
        "spec": {
            "groups": [
                {
                    "name": "seatrial",
                    "rules": [
                        _alert(
                            "SeatrialGuaranteeBroken",
                            "critical",
                            # A counter that appears with 1 has no increase yet (the controller was
                            # restarted during the trial): its first appearance counts too.
                            f"({verdict % _quoted('invalid')}) or sum by (case, target) "
                            f'({VERDICTS}{{verdict="invalid"}} unless '
                            f'{VERDICTS}{{verdict="invalid"}} offset 1h) > 0',
                            "{{ $labels.case }} on {{ $labels.target }} is invalid",
                            "A checker found a violation. The Workflow's report shows the ops.",
                        ),
                        _alert(
                            "SeatrialProvesNothing",
                            "warning",
                            f'sum by (case, target) (increase({VERDICTS}{{verdict="unknown"}}[3d]))'
                            f" > 2",
                            "{{ $labels.case }} on {{ $labels.target }}: unknown 3 times in 3 days",
                            "Trials end without evidence: faults without effect, no final reads, "
                            "or checkers out of budget.",
                        ),
                        _alert(
                            "SeatrialNoGreenNight",
                            "warning",
                            f'sum(increase({VERDICTS}{{verdict="valid"}}[{NIGHT_HOURS}h])) < 1 '
                            f'or absent({VERDICTS}{{verdict="valid"}})',
                            f"no valid trial within {NIGHT_HOURS} hours",
                            "The nightly did not run, did not end, or nothing in it was valid.",
                            minutes=60,
                        ),
                    ],
                }
            ]
        },
    }


def dashboard() -> dict[str, Json]:
    """The Grafana dashboard of the nights."""
    panels = [
        _panel(
            "Verdicts of the last day",
            "bargauge",
            [(f"sum by (verdict) (increase({VERDICTS}[1d]))", "{{verdict}}")],
        ),
        _panel(
            "Verdicts by case",
            "timeseries",
            [(f"sum by (case, verdict) (increase({VERDICTS}[1h]))", "{{case}}: {{verdict}}")],
        ),
        _panel(
            "Recovery after healing (p50, p90)",
            "timeseries",
            [
                (
                    f"histogram_quantile({share}, sum by (le, case) "
                    f"(increase({RECOVERY}_bucket[1d])))",
                    f"{{{{case}}}} p{round(share * 100)}",
                )
                for share in (0.5, 0.9)
            ],
            unit="s",
        ),
        _panel("Ops sent", "timeseries", [(f"sum by (case) (increase({OPS}[1h]))", "{{case}}")]),
        _panel(
            "Length of the last trial",
            "timeseries",
            [(f"max by (case, status) ({SECONDS})", "{{case}}: {{status}}")],
            unit="s",
        ),
    ]
    return {
        "uid": "seatrial",
        "title": "seatrial: verdicts, recovery, load",
        "schemaVersion": 39,
        "version": 1,
        "timezone": "browser",
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "1m",
        "tags": ["seatrial"],
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": [
            {**panel, "id": number, "gridPos": _place(number - 1)}
            for number, panel in enumerate(panels, 1)
        ],
    }


#: Grafana's grid is 24 columns wide.
_WIDTH, _HEIGHT, _ACROSS = 12, 8, 2


def _place(number: int) -> Json:
    return {
        "x": number % _ACROSS * _WIDTH,
        "y": number // _ACROSS * _HEIGHT,
        "w": _WIDTH,
        "h": _HEIGHT,
    }


def _panel(
    title: str, kind: str, queries: Sequence[tuple[str, str]], unit: str = "short"
) -> dict[str, Json]:
    source: Json = {"type": "prometheus", "uid": "${source}"}
    return {
        "title": title,
        "type": kind,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "expr": expr,
                "legendFormat": legend,
                "datasource": source,
            }
            for place, (expr, legend) in enumerate(queries)
        ],
    }


def _alert(
    name: str, severity: str, expr: str, summary: str, description: str, minutes: int = 0
) -> Json:
    return {
        "alert": name,
        "expr": expr,
        **({"for": f"{minutes}m"} if minutes else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }


def _metadata(name: str, settings: Settings) -> Json:
    return {"name": name, "namespace": settings.namespace, "labels": {**MANAGED_BY}}


def _quoted(text: str) -> str:
    return f'"{text}"'
