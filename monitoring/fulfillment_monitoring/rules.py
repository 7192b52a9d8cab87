"""The alerts as a PrometheusRule has them, and as Grafana provisions them."""

from collections.abc import Sequence

from fulfillment_monitoring.alert import Alert

Document = dict[str, object]

GROUP = "checkout-fulfillment"
_INTERVAL = "30s"


def prometheus_rules(alerts: Sequence[Alert]) -> Document:
    """Write the `groups` of a PrometheusRule."""
    rules = [
        {
            "alert": each.name,
            "expr": each.expression,
            "for": each.hold,
            "labels": {"severity": each.severity.value},
            "annotations": _annotations(each),
        }
        for each in alerts
    ]
    return {"groups": [{"name": GROUP, "interval": _INTERVAL, "rules": rules}]}


def grafana_alerts(alerts: Sequence[Alert]) -> Document:
    """Write Grafana's provisioning file.

    It names no contact point: one that does not exist stops Grafana. A Grafana may have several releases' files, each
    of its namespace: uids and folders must differ, so both are made from the namespace (`${hash}` is 8 digits of it).
    """
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": GROUP,
                "folder": GROUP + " ${namespace}",
                "interval": _INTERVAL,
                "rules": [_grafana_rule(each) for each in alerts],
            }
        ],
    }


def _grafana_rule(alert: Alert) -> Document:
    return {
        "uid": alert.name.lower() + "-${hash}",
        "title": alert.name,
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "${datasource}",
                "model": {"refId": "A", "expr": alert.expression, "instant": True, "range": False},
            },
            {
                "refId": "B",
                "relativeTimeRange": {"from": 0, "to": 0},
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "B",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
                },
            },
        ],
        "noDataState": "OK",  # an expression without a result is one that holds nowhere
        "execErrState": "Error",
        "for": alert.hold,
        "labels": {"severity": alert.severity.value},
        "annotations": _annotations(alert),
    }


def _annotations(alert: Alert) -> dict[str, str]:
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": "${runbooks}/" + alert.name + ".md",
    }
