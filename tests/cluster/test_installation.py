"""The chart is installed, and its own test passes."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fulfillment_api.names import PLURAL
from support.commands import PROGRAMS
from support.live_cluster import RELEASE, LiveCluster

pytestmark = pytest.mark.usefixtures("shop", "prometheus")  # which looks at it from its first moment on


@pytest.mark.parametrize(("component", "count"), [("webhook", 2), ("operator", 1), ("page", 1)])
async def test_every_pod_is_ready(cluster: LiveCluster, component: str, count: int) -> None:
    """`helm install --wait` ends when the pods are ready, in a namespace that lets only restricted pods in."""
    pods = await cluster.pods(component)
    assert [(True, 0)] * count == [(pod.ready, pod.restarts) for pod in pods]


async def test_helm_says_what_to_do_next(cluster: LiveCluster, notes: str) -> None:
    """The notes name four commands of this installation, and do not ask for the Secret, which is there."""
    here = f"--namespace {cluster.namespace}"
    assert f"helm test {RELEASE} {here}" in notes
    assert f"kubectl fulfillment doctor {here}" in notes
    assert f"kubectl port-forward {here} service/{RELEASE}-webhook 4242:80" in notes
    assert f"kubectl get fulfillmentrequests {here} --watch" in notes
    assert "kubectl create secret" not in notes


async def test_it_has_no_role_of_the_cluster(cluster: LiveCluster) -> None:
    """Nothing of it is bound, or may be bound, beyond its namespace."""
    selector = f"--selector=app.kubernetes.io/instance={RELEASE}"
    assert await cluster.kubectl("get", "clusterroles,clusterrolebindings", selector, "--output=name") == ""


async def test_helm_test_passes_and_leaves_nothing(cluster: LiveCluster, figure: Callable[[str, str], None]) -> None:
    """It sends an order through the Service to its end; then the order, the pod and its rights are gone."""
    before = await cluster.orders()
    start = time.monotonic()

    said = await cluster.helm("test", RELEASE, "--timeout=5m")

    figure("helm test", f"{time.monotonic() - start:.1f} s")
    assert "Succeeded" in said
    assert before == await cluster.orders()
    marked = "--selector=checkout-fulfillment.dev/self-test"
    assert await cluster.kubectl("get", PLURAL, marked, "--output=name") == ""
    kinds = "pods,serviceaccounts,roles,rolebindings"
    assert await cluster.kubectl("get", kinds, "--selector=app.kubernetes.io/component=test", "--output=name") == ""


async def test_doctor_finds_nothing_that_fails(cluster: LiveCluster) -> None:
    """From outside in, and by kubectl exec inside of the pods; what it sent through them is gone again."""
    before = await cluster.orders()
    kubectl, *where = cluster.kubectl_command
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "kubectl-fulfillment",
        *("doctor", "--output=json", *where),
        env={**os.environ, "PATH": f"{Path(kubectl).parent}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    found = json.loads(output)["findings"]
    assert [each for each in found if each["verdict"] == "failure"] == []
    assert {"pods", "leader", "secrets", "api-key", "round-trip"} <= {
        each["check"] for each in found if each["verdict"] == "ok"
    }
    assert before == await cluster.orders()


async def test_check_config_judges_what_the_pod_has(cluster: LiveCluster) -> None:
    """In the operator's pod it speaks of the operator alone, and nothing is wrong."""
    command = ("exec", f"deploy/{RELEASE}-operator", "--", "fulfillment", "check-config", "--online")
    lines = (await cluster.kubectl(*command)).splitlines()
    assert {line.split()[1] for line in lines} == {"operator:"}
    assert "failure" not in {line.split()[0] for line in lines}
