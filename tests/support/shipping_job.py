"""The Job that ships an order, as a shop's own image would: the template of the job backend in `tests/cluster`."""

from importlib.metadata import version
from typing import Any

_PROGRAM = """
import json, os, pathlib, time

order = json.loads(pathlib.Path(os.environ["ORDER_FILE"]).read_text(encoding="utf-8"))
assert order["key"] == os.environ["ORDER_KEY"]
for item in order["lineItems"]:
    print("packed", item["quantity"], "of", item["price"])
metadata = order["session"]["metadata"]
if "slowly" in metadata:
    time.sleep(600)
if metadata.get("from") == os.environ.get("CLOSED", "none"):
    print("the warehouse is closed")
    raise SystemExit(1)
"""
"""Fails while the order's warehouse is closed, and takes ten minutes for one that is to go slowly."""

CLOSED = {"name": "warehouse", "key": "closed"}
"""The key of a ConfigMap that names a warehouse from which nothing is shipped; without it all are open."""

KEPT = 60
"""Seconds after its end for which a Job stays."""

JOB: dict[str, Any] = {
    "spec": {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT,
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 1,  # the first process of a container hears no SIGTERM
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "ship",
                        "image": f"checkout-fulfillment:{version('checkout-fulfillment')}",  # for its Python
                        "command": ["python", "-c", _PROGRAM],
                        "env": [
                            {"name": "CLOSED", "valueFrom": {"configMapKeyRef": CLOSED | {"optional": True}}},
                        ],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            }
        },
    }
}
"""As a CronJob's `jobTemplate`."""
