"""`python -m fulfillment_monitoring <folder>` writes the rules for Prometheus and for Grafana, and the dashboard."""

import sys
from pathlib import Path

import yaml

from fulfillment_monitoring.alerts import ALERTS
from fulfillment_monitoring.dashboard import dashboard
from fulfillment_monitoring.rules import Document, grafana_alerts, prometheus_rules


def _yaml(document: Document) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=1000)


folder = Path(sys.argv[1])
(folder / "rules.yaml").write_text(_yaml(prometheus_rules(ALERTS)))
(folder / "grafana-alerts.yaml").write_text(_yaml(grafana_alerts(ALERTS)))
(folder / "dashboard.json").write_text(dashboard())
