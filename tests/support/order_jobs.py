"""Jobs of orders, on an API server where no controller runs them: the tests end them, and take away what is deleted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio import client

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.running_operator import Shop, open_shop

RULES = (
    client.V1PolicyRule(api_groups=["batch"], resources=["jobs"], verbs=["create", "get", "list", "delete"]),
    client.V1PolicyRule(api_groups=[""], resources=["secrets"], verbs=["create"]),
    client.V1PolicyRule(api_groups=[""], resources=["pods"], verbs=["list"]),
    client.V1PolicyRule(api_groups=[""], resources=["pods/log"], verbs=["get"]),
)
"""What the chart's Role allows the operator for this backend, beside the rest."""

TEMPLATE = """
spec:
  template:
    spec:
      containers:
        - name: ship
          image: shop/ship:7
"""
JOB = {"backend": "job", "FULFILLMENT_JOB_TEMPLATE": TEMPLATE}


@asynccontextmanager
async def open_shop_with_jobs(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop whose operator may do what this backend needs."""
    async with open_shop(control_plane, namespace) as shop:
        for rule in RULES:
            await control_plane.grant(User.OPERATOR, namespace, [rule])
        yield shop


async def end(shop: Shop, name: str, kind: str, **why: str) -> None:
    """End a Job as the Job controller does."""
    jobs = client.BatchV1Api(shop.api)
    job = await jobs.read_namespaced_job(name, shop.namespace)
    assert job.metadata is not None
    now = job.metadata.creation_timestamp
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
    conditions = [
        client.V1JobCondition(type=each, status="True", last_transition_time=now, last_probe_time=now, **why)
        for each in (before, kind)
    ]
    job.status = client.V1JobStatus(
        start_time=now, completion_time=now if kind == "Complete" else None, conditions=conditions
    )
    await jobs.replace_namespaced_job_status(name, shop.namespace, job)


async def collect(shop: Shop, name: str) -> None:
    """Take away a Job that is being deleted, as the garbage collector does once its pods are gone."""
    jobs = client.BatchV1Api(shop.api)
    job = await jobs.read_namespaced_job(name, shop.namespace)
    assert job.metadata
    assert job.metadata.deletion_timestamp
    assert job.metadata.finalizers == ["foregroundDeletion"]
    await jobs.patch_namespaced_job(name, shop.namespace, {"metadata": {"finalizers": None}})


async def job_names(shop: Shop) -> list[str]:
    """List the Jobs that there are; one that is being deleted is marked so."""
    jobs = await client.BatchV1Api(shop.api).list_namespaced_job(shop.namespace)
    return sorted(
        f"{each.metadata.name}{' (going)' if each.metadata.deletion_timestamp else ''}"
        for each in jobs.items
        if each.metadata
    )
