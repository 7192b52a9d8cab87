"""All checks of an installation, in the order in which a person would make them."""

from collections.abc import AsyncIterator
from datetime import datetime

from fulfillment_cli.cluster import TIMEOUT, Cluster
from fulfillment_cli.doctor.alerts import judge_alerts
from fulfillment_cli.doctor.in_pod import Exec
from fulfillment_cli.doctor.inside import PodCheckup
from fulfillment_cli.doctor.installation import Installation
from fulfillment_cli.doctor.orders import judge_orders
from fulfillment_cli.doctor.reader import InstallationReader
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.kubernetes.fulfillment_requests import UNFULFILLED


async def checkup(
    cluster: Cluster, reader: InstallationReader, execute: Exec | None, prometheus: str | None, now: datetime
) -> AsyncIterator[Finding]:
    """Look at an installation.

    Args:
        cluster: where it is, and as whom.
        reader: reads its objects.
        execute: runs commands in pods; None where there is no kubectl.
        prometheus: where Prometheus is; None: nobody asks it.
        now: the time.

    Raises:
        KubernetesError: the cluster cannot be asked anything.
    """
    installation = Installation(reader, now)
    async for finding in installation.examine():
        yield finding
    async for finding in PodCheckup(execute, cluster, installation).examine():
        yield finding
    yield await _orders(cluster, now)
    if prometheus is not None:
        yield await judge_alerts(prometheus, cluster.namespace)


async def _orders(cluster: Cluster, now: datetime) -> Finding:
    try:
        pages = cluster.requests.list_pages(field_selector=UNFULFILLED, timeout=TIMEOUT)
        listed = [each.request async for page in pages for each in page]
    except KubernetesError as error:
        return Finding(Verdict.UNKNOWN, Check.ORDERS, str(error))
    found = [each for each in listed if each is not None]
    return judge_orders(found, cluster.namespace, now, undecodable=len(listed) - len(found))
