"""The Job that is made of an order: from the template, with the order, and without anything personal in it."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from fulfillment_api.names import request_name
from fulfillment_api.spec import Amount, ReversalKind
from fulfillment_operator.backends.job.manifest import (
    Owner,
    Purpose,
    environment_of,
    for_order,
    for_reversal,
    job_manifest,
    job_name,
)
from fulfillment_operator.backends.job.template import parse_template
from fulfillment_operator.backends.order import PaidOrder, ReversalNotice
from support.builders import make_request, make_session

TEMPLATE = """
metadata:
  labels: {team: orders}
  annotations: {note: x}
spec:
  backoffLimit: 2
  template:
    metadata:
      labels: {app: ship}
    spec:
      containers:
        - name: ship
          image: shop/ship:7
          args: [--order, $(ORDER_FILE)]
          env: [{name: REGION, value: eu}]
          volumeMounts: [{name: scratch, mountPath: /scratch}]
      initContainers: [{name: wait, image: shop/wait:1}]
      volumes: [{name: scratch, emptyDir: {}}]
"""
SESSION = make_session()
ORDER = PaidOrder("cs-1", "shop", make_request().spec.session, SESSION, uid="u-1")
DEADLINE = timedelta(hours=72)


PURPOSE = Purpose("cs-1", Owner("cs-1", "u-1"), {"checkout-fulfillment.dev/request": "cs-1"}, {"ORDER_KEY": "cs-1"})
SETTING = "FULFILLMENT_JOB_TEMPLATE"


def made(template: str = TEMPLATE) -> dict[str, Any]:
    return job_manifest(parse_template(template, SETTING), PURPOSE, DEADLINE)


def test_the_template_is_kept_and_the_order_is_added() -> None:
    """Every container finds the order at one place, and what identifies it in its environment."""
    mount = {"name": "checkout-fulfillment-order", "mountPath": "/order", "readOnly": True}
    assert made() == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "cs-1",
            "labels": {
                "app.kubernetes.io/managed-by": "checkout-fulfillment",
                "team": "orders",
                "checkout-fulfillment.dev/request": "cs-1",
            },
            "annotations": {"note": "x"},
            "ownerReferences": [
                {
                    "apiVersion": "checkout-fulfillment.dev/v1alpha1",
                    "kind": "FulfillmentRequest",
                    "name": "cs-1",
                    "uid": "u-1",
                }
            ],
        },
        "spec": {
            "backoffLimit": 2,
            "ttlSecondsAfterFinished": 86400,
            "activeDeadlineSeconds": 259200,
            "template": {
                "metadata": {"labels": {"app": "ship", "checkout-fulfillment.dev/request": "cs-1"}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "containers": [
                        {
                            "name": "ship",
                            "image": "shop/ship:7",
                            "args": ["--order", "$(ORDER_FILE)"],
                            "env": [{"name": "ORDER_KEY", "value": "cs-1"}, {"name": "REGION", "value": "eu"}],
                            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, mount],
                        }
                    ],
                    "initContainers": [
                        {
                            "name": "wait",
                            "image": "shop/wait:1",
                            "env": [{"name": "ORDER_KEY", "value": "cs-1"}],
                            "volumeMounts": [mount],
                        }
                    ],
                    "volumes": [
                        {"name": "scratch", "emptyDir": {}},
                        {"name": "checkout-fulfillment-order", "secret": {"secretName": "cs-1"}},
                    ],
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [("ttlSecondsAfterFinished", 60), ("activeDeadlineSeconds", 90)],
)
def test_what_the_template_says_wins(key: str, value: int) -> None:
    """How long it may run, and how long it stays."""
    template = yaml.safe_load(TEMPLATE)
    template["spec"][key] = value
    assert made(yaml.safe_dump(template))["spec"][key] == value


def test_the_template_itself_is_not_changed() -> None:
    """One order's Job leaves nothing in the next one's."""
    template = parse_template(TEMPLATE, SETTING)
    first = job_manifest(template, PURPOSE, DEADLINE)
    assert first == job_manifest(template, PURPOSE, DEADLINE)


def test_nothing_personal_stands_in_the_job() -> None:
    """Whoever may read Jobs may not read customers."""
    assert environment_of(ORDER) == {
        "ORDER_KEY": "cs-1",
        "ORDER_FILE": "/order/order.json",
        "SESSION_ID": SESSION.id,
        "LIVEMODE": "false",
        "MODE": "payment",
        "AMOUNT": "1099",
        "CURRENCY": "usd",
    }


def test_each_try_that_a_person_asks_for_has_a_job_of_its_own() -> None:
    """The same request for another try always the same one, and every name fits into a label."""
    orders = [
        PaidOrder(request_name("cs_test_1"), "shop", ORDER.reference, SESSION, retry=each) for each in ("", "a", "b")
    ]
    names = [job_name(each) for each in orders]
    assert names == [job_name(each) for each in orders]
    assert len({*names}) == 3
    assert all(each.startswith(request_name("cs_test_1")) and len(each) <= 63 for each in names)


@pytest.mark.parametrize("kind", [ReversalKind.REFUNDED, ReversalKind.DISPUTED])
def test_what_comes_after_the_sale_has_a_job_of_its_own(kind: ReversalKind) -> None:
    """Told from the Job that fulfills the order by its name, its label and a variable; another try is no other Job."""
    order = PaidOrder("cs-1", "shop", ORDER.reference, SESSION, uid="u-1", retry="once more")
    fulfilling = for_order(ORDER)
    assert fulfilling.labels == {"checkout-fulfillment.dev/request": "cs-1"}
    assert for_reversal(order, ReversalNotice(kind, f"cs-1.{kind}")) == Purpose(
        f"cs-1-{kind}",
        fulfilling.owner,
        {**fulfilling.labels, "checkout-fulfillment.dev/reversal": kind},
        {**fulfilling.environment, "REVERSAL": kind},
    )


def test_a_second_refund_has_another_job() -> None:
    """And a partial one has one for each sum, which is a variable."""
    refunded = replace(SESSION, amount_refunded=Amount(total=500, currency="usd", display="5.00 USD"))
    order = PaidOrder(request_name("cs_test_1"), "shop", ORDER.reference, refunded, uid="u-1")
    keys = [f"{order.key}.refunded", f"{order.key}.refunded.2", f"{order.key}.partially-refunded.500"]
    kinds = [ReversalKind.REFUNDED, ReversalKind.REFUNDED, ReversalKind.PARTIALLY_REFUNDED]
    jobs = [for_reversal(order, ReversalNotice(kind, key)) for kind, key in zip(kinds, keys, strict=True)]
    assert len({each.name for each in jobs}) == 3
    assert all(len(each.name) <= 63 for each in jobs)
    assert {each.environment["AMOUNT_REFUNDED"] for each in jobs} == {"500"}
