"""One order's way through the installation: a webhook's pod sends a signed event, and the person sees it end.

The signing secrets stay in the pod, and only the person needs the right to delete what it made.
"""

import asyncio

from fulfillment_api.names import PLURAL, request_name
from fulfillment_cli.cluster import Cluster
from fulfillment_cli.doctor.in_pod import Exec
from fulfillment_cli.self_test_order import SelfTestError, SelfTestOrder, SenderNotAllowedError, unknown_session
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_runtime.kubernetes.errors import ForbiddenError, KubernetesError

_WITHIN = 30.0  # seconds; it takes one or two


async def judge_round_trip(execute: Exec, pod: str, container: str, cluster: Cluster, *, livemode: bool) -> Finding:
    """Send the event of a Session that Stripe does not know, see its order end as that, and delete the order.

    Args:
        execute: runs a command in a pod.
        pod: one of the webhook's.
        container: its container.
        cluster: the orders, as the person.
        livemode: the mode of the operator's API key.
    """
    session = unknown_session(livemode=livemode)
    order = SelfTestOrder(cluster.requests, cluster.namespace, request_name(session))
    try:
        await order.delete()  # there is none: it shows that the person may, before anything is made
    except ForbiddenError:
        message = f"not tried: you may not delete {PLURAL} here, and it would leave one behind"
        return Finding(Verdict.UNKNOWN, Check.ROUND_TRIP, message)
    try:
        try:
            done = await execute(pod, container, ("fulfillment", "self-test", "--send-only", session))
            if done.code:
                problem = done.last_words.removeprefix("Error: ")
                problem = problem or f"{pod} could not send an event: it ended with exit code {done.code}"
                refused = done.code == SenderNotAllowedError.exit_code  # which says nothing of Stripe's own
                return Finding(Verdict.UNKNOWN if refused else Verdict.FAILURE, Check.ROUND_TRIP, problem)
            await order.await_end(asyncio.get_running_loop().time() + _WITHIN)
        finally:
            await order.delete()
    except SelfTestError as error:
        return Finding(Verdict.FAILURE, Check.ROUND_TRIP, error.message)
    except TimeoutError:
        return Finding(Verdict.FAILURE, Check.ROUND_TRIP, f"{pod} could not send an event in time")
    except KubernetesError as error:
        return Finding(Verdict.UNKNOWN, Check.ROUND_TRIP, str(error))
    return Finding(
        Verdict.OK,
        Check.ROUND_TRIP,
        "a signed event became an order, the operator asked Stripe about it, and it is deleted again",
    )
