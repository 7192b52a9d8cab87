"""The Jobs that are made of an order: one to fulfill it, and one for each refund or dispute. Pure."""

import base64
import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fulfillment_api import names
from fulfillment_operator.backends.job.template import JobTemplate
from fulfillment_operator.backends.order import PaidOrder, ReversalNotice

ORDER_FOLDER = "/order"
ORDER_FILE = "order.json"
REQUEST_LABEL = f"{names.GROUP}/request"
"""The label by which a Job and its pods say which order they are about."""
REVERSAL_LABEL = f"{names.GROUP}/reversal"
"""The label by which they say that they do not fulfill it, but see to its refund or dispute."""

_VOLUME = "checkout-fulfillment-order"
_TTL = timedelta(days=1)
"""How long a Job stays after its end, unless the template says otherwise: longer than an operator is ever away."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The FulfillmentRequest that a Job belongs to, and goes with."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Purpose:
    """What one Job is made for."""

    name: str
    """The Job's name, and that of the Secret that holds the order."""
    owner: Owner | None
    """The order's request; None for a dry run."""
    labels: Mapping[str, str]
    """Labels of the Job and its pods, over those of the template."""
    environment: Mapping[str, str]
    """Variables for every container, before those of the template, which may refer to them."""


DRY_RUN = Purpose("checkout-fulfillment-template", None, {}, {})
"""What a Job is made for that only the API server is to check."""


def job_manifest(template: JobTemplate, purpose: Purpose, deadline: timedelta) -> dict[str, Any]:
    """Make a Job's manifest.

    Args:
        template: what the settings say.
        purpose: what it is made for.
        deadline: how long it may run, unless the template says otherwise.
    """
    name, owner = purpose.name, purpose.owner
    spec = copy.deepcopy(template.spec)
    spec.setdefault("ttlSecondsAfterFinished", int(_TTL.total_seconds()))
    spec.setdefault("activeDeadlineSeconds", max(1, int(deadline.total_seconds())))
    pod = spec["template"]
    metadata = pod["metadata"] = pod.get("metadata") or {}
    metadata["labels"] = {**(metadata.get("labels") or {}), **purpose.labels}
    pod_spec = pod["spec"]
    pod_spec.setdefault("restartPolicy", "Never")
    pod_spec.setdefault("automountServiceAccountToken", False)
    pod_spec["volumes"] = [*(pod_spec.get("volumes") or []), {"name": _VOLUME, "secret": {"secretName": name}}]
    variables = [{"name": key, "value": value} for key, value in purpose.environment.items()]
    for container in (*pod_spec["containers"], *(pod_spec.get("initContainers") or [])):
        container["env"] = [*variables, *(container.get("env") or [])]
        mount = {"name": _VOLUME, "mountPath": ORDER_FOLDER, "readOnly": True}
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "checkout-fulfillment",
                **template.metadata.labels,
                **purpose.labels,
            },
            "annotations": template.metadata.annotations,
            "ownerReferences": [
                {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner.name, "uid": owner.uid}
            ]
            if owner
            else [],
        },
        "spec": spec,
    }


def for_order(order: PaidOrder) -> Purpose:
    """Make the one Job of an order, or of another try that a person asked for."""
    return Purpose(job_name(order), _owner(order), {REQUEST_LABEL: order.key}, environment_of(order))


def for_reversal(order: PaidOrder, notice: ReversalNotice) -> Purpose:
    """Make the one Job that sees to a refund or a dispute of an order, or to how that went on."""
    refunded = order.session.amount_refunded
    is_the_first = notice.key == f"{order.key}.{notice.kind}"
    return Purpose(
        f"{order.key}-{notice.kind}" + ("" if is_the_first else f"-{_digest(notice.key)}"),
        _owner(order),
        {REQUEST_LABEL: order.key, REVERSAL_LABEL: notice.kind},
        {
            **environment_of(order),
            "REVERSAL": notice.kind,
            **({"AMOUNT_REFUNDED": str(refunded.total)} if refunded else {}),
        },
    )


def fulfillment_selector(key: str) -> str:
    """Return the label selector of the Jobs that fulfill an order, or did."""
    return f"{REQUEST_LABEL}={key},!{REVERSAL_LABEL}"


def job_name(order: PaidOrder) -> str:
    """Name the one Job of an order, or of another try that a person asked for."""
    if not order.retry:
        return order.key
    return f"{order.key}-{_digest(order.retry)}"


def _digest(text: str) -> str:
    """Tell one text from another in a Job's name."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:5]).decode().lower()


def environment_of(order: PaidOrder) -> dict[str, str]:
    """Return the variables that tell a container what the order is, without anything personal."""
    amount = order.session.amount
    return {
        "ORDER_KEY": order.key,
        "ORDER_FILE": f"{ORDER_FOLDER}/{ORDER_FILE}",
        "SESSION_ID": order.reference.id,
        "LIVEMODE": str(order.reference.livemode).lower(),
        "MODE": order.session.mode,
        **({"AMOUNT": str(amount.total), "CURRENCY": amount.currency} if amount else {}),
    }


def _owner(order: PaidOrder) -> Owner:
    return Owner(order.key, order.uid)
