"""`python -m fulfillment_monitoring <folder>` writes the rules for Prometheus and for Grafana."""

import sys
from pathlib import Path

import yaml

from fulfillment_monitoring.alerts import ALERTS
from fulfillment_monitoring.rules import grafana_alerts, prometheus_rules

folder = Path(sys.argv[1])
for name, document in (("rules.yaml", prometheus_rules(ALERTS)), ("grafana-alerts.yaml", grafana_alerts(ALERTS))):
    (folder / name).write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
