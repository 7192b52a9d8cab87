"""The API server and etcd are away, slow, or refuse; what is installed in them is taken away, and put back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import NotFoundException

from faults.case import Case
from faults.pod import FULFILLMENT
from faults.world import Staging, World
from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import GROUP, PLURAL, request_name
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.control import sent_event
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from fulfillment_local.webhook_sender import delivery_of

_AWAY = 12.0  # seconds: longer than a Lease may go without being renewed
_SLOW_FOR = 60.0
_REFUSED_FOR = 20.0  # longer than a client tries
_DELETED = 5  # orders
_LOOK_EVERY = 0.2
_GONE_WITHIN = 900.0  # its finalizer deletes every order of the cluster: those of the cases before this one, too
_HELD_WITHIN = 60.0
_COMPARED_WITHIN = 8.0  # of what is held with what there is, after the watch is back
_LOOKED_AT_WITHIN = 6.0


async def api_server_killed(world: World) -> None:
    """Kill the API server, and start it again."""
    async with world.control_plane.down():
        await asyncio.sleep(_AWAY)


async def api_server_restarted(world: World) -> None:
    """Restart the API server again and again."""
    for _ in range(3):
        async with world.control_plane.down(in_order=True):
            pass
        await asyncio.sleep(1)


async def api_server_hangs(world: World) -> None:
    """Let the API server take connections, and answer nothing."""
    with world.control_plane.hanging():
        await asyncio.sleep(_AWAY)


async def etcd_hangs(world: World) -> None:
    """Let etcd hang."""
    with world.control_plane.etcd_hanging():
        await asyncio.sleep(_AWAY)


async def compacted(world: World) -> None:
    """Cut the watch, and forget what it has missed: 410 Gone."""
    assert world.proxy is not None
    for _ in range(2):
        with world.proxy.swallowing(watches_only=True):
            world.proxy.cut()
            await asyncio.sleep(2)
            await _forget_changes(world)
        await asyncio.sleep(1)


async def _forget_changes(world: World) -> None:
    """Let nobody know which changes there were: etcd's are compacted, and the API server keeps some in memory, too."""
    await world.control_plane.compact()
    async with world.control_plane.down():
        pass


async def deleted_unheard(world: World) -> None:
    """Delete orders that wait for their payment while nobody can hear of it; then let them be paid."""
    assert world.proxy is not None
    sold = [world.stripe.world.play(Order(outcome=Outcome.UNPAID)) for _ in range(_DELETED)]
    names = {request_name(session.id): session.id for session, _ in sold}
    events = [delivery_of(bytes(sent_event(event).snapshot)) for _, event in sold if event is not None]
    await world.sale.webhook.post(events)
    async with asyncio.timeout(_HELD_WITHIN):
        while not names.keys() <= await _reconciled(world):  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(_LOOK_EVERY)
    with world.proxy.swallowing(watches_only=True):
        world.proxy.cut()
        for name in names:
            await client.CustomObjectsApi(world.api).delete_namespaced_custom_object(**world.address, name=name)
        world.deleted.update(names.values())
        await _forget_changes(world)
    await asyncio.sleep(_COMPARED_WITHIN)
    for session_id in names.values():
        world.stripe.world.settle(session_id, Settlement.SUCCEEDED)  # its event is lost
    await asyncio.sleep(_LOOKED_AT_WITHIN)


async def _reconciled(world: World) -> set[str]:
    return {each["metadata"]["name"] for each in await world.stored() if "status" in each}


async def throttled(world: World) -> None:
    """Answer half of all requests with 429 and Retry-After."""
    assert world.proxy is not None
    world.proxy.throttled = 0.5
    await asyncio.sleep(_REFUSED_FOR)
    world.proxy.throttled = 0.0


async def slow(world: World) -> None:
    """Hold each request back, for a minute."""
    assert world.proxy is not None
    world.proxy.slow = 1.0
    await asyncio.sleep(_SLOW_FOR)
    world.proxy.slow = 0.0


async def connections_cut(world: World) -> None:
    """Reset every connection, every second."""
    assert world.proxy is not None
    for _ in range(10):
        world.proxy.cut()
        await asyncio.sleep(1)


async def swallowed(world: World) -> None:
    """Let the network swallow all that is sent to the API server, and its answers."""
    assert world.proxy is not None
    with world.proxy.swallowing():
        await asyncio.sleep(_SLOW_FOR)


async def watch_swallowed(world: World) -> None:
    """Let the network swallow what the watch brings; all else passes."""
    assert world.proxy is not None
    with world.proxy.swallowing(watches_only=True):
        await asyncio.sleep(_SLOW_FOR)


def without(user: User, resources: str | None = None, verbs: str = "") -> Callable[[World], Awaitable[None]]:
    """Make what takes rights away for a while."""

    async def play(world: World) -> None:
        async with world.rights.without(user, resources=resources, verbs=verbs):
            await asyncio.sleep(_REFUSED_FOR)

    return play


async def crd_deleted(world: World) -> None:
    """Delete the CustomResourceDefinition with all orders, make it again, and recover them from Stripe."""
    definitions, name = client.ApiextensionsV1Api(world.api), f"{PLURAL}.{GROUP}"
    await definitions.delete_custom_resource_definition(name)
    await asyncio.sleep(_AWAY)
    with suppress(NotFoundException):
        async with asyncio.timeout(_GONE_WITHIN):
            while True:
                await definitions.read_custom_resource_definition(name)
                await asyncio.sleep(_LOOK_EVERY)
    await world.control_plane.install(custom_resource_definition())
    await _recover(world)


async def namespace_deleted(world: World) -> None:
    """Delete the namespace with all that it holds, make it again, and recover the orders from Stripe."""
    core, rbac = client.CoreV1Api(world.api), client.RbacAuthorizationV1Api(world.api)
    await core.delete_namespace(world.namespace)
    # What the namespace's controller does, which is no part of an API server.
    await client.CustomObjectsApi(world.api).delete_collection_namespaced_custom_object(**world.address)
    await client.CoordinationV1Api(world.api).delete_collection_namespaced_lease(world.namespace)
    await rbac.delete_collection_namespaced_role(world.namespace)
    await rbac.delete_collection_namespaced_role_binding(world.namespace)
    found = await core.read_namespace(world.namespace)
    if found.spec is not None:
        found.spec.finalizers = []
    await core.replace_namespace_finalize(world.namespace, found)
    await asyncio.sleep(_AWAY)
    await core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=world.namespace)))
    await world.rights.grant_all()
    await _recover(world)


async def _recover(world: World) -> None:
    """Bring in every event anew, as a person does after such a loss: docs/recovery.md."""
    environ = {
        **{name: value for name, value in world.operator_environ.items() if not name.startswith("FULFILLMENT_")},
        "KUBECONFIG": str(world.control_plane.kubeconfigs[User.ADMIN]),
        "FULFILLMENT_NAMESPACE": world.namespace,
    }
    process = await asyncio.create_subprocess_exec(
        FULFILLMENT,
        *("recover", "--all"),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


_PROXY = Staging(behind_proxy=True)

CASES = (
    Case(
        name="api-server-killed",
        what="the API server is killed, and away for 12 s",
        second_mails=1,
        play=api_server_killed,
    ),
    Case(
        name="api-server-restarted",
        what="the API server is restarted three times",
        second_mails=1,
        play=api_server_restarted,
    ),
    Case(
        name="api-server-hangs",
        what="the API server answers nothing for 12 s (SIGSTOP)",
        second_mails=1,
        play=api_server_hangs,
    ),
    Case(name="etcd-hangs", what="etcd answers nothing for 12 s (SIGSTOP)", second_mails=1, play=etcd_hangs),
    Case(
        name="compacted",
        what="etcd is compacted, and the API server restarted, under a watch that was cut, twice (410 Gone)",
        play=compacted,
        staging=_PROXY,
    ),
    Case(
        name="deleted-unheard",
        what="orders are deleted while the watch is cut, and the change is forgotten; later they are paid",
        play=deleted_unheard,
        staging=Staging(behind_proxy=True, settings={"FULFILLMENT_RECHECK_INTERVAL": "4s"}),
    ),
    Case(
        name="throttled",
        what="the API server answers half of all requests with 429 and Retry-After for 20 s",
        play=throttled,
        staging=_PROXY,
    ),
    Case(
        name="slow",
        what="the API server takes a second for each request, for a minute",
        second_mails=1,
        play=slow,
        staging=_PROXY,
    ),
    Case(
        name="connections-cut",
        what="all connections to the API server are reset, ten times in ten seconds",
        play=connections_cut,
        staging=_PROXY,
    ),
    Case(
        name="swallowed",
        what="the network swallows all that goes to the API server, for a minute",
        second_mails=1,
        play=swallowed,
        staging=_PROXY,
    ),
    Case(
        name="watch-swallowed",
        what="the network swallows what the watch brings, for a minute",
        play=watch_swallowed,
        staging=_PROXY,
    ),
    Case(
        name="crd-deleted",
        what="the CustomResourceDefinition is deleted and made again; then `fulfillment recover --all`",
        second_mails=None,
        play=crd_deleted,
    ),
    Case(
        name="namespace-deleted",
        what="the namespace is deleted and made again; then `fulfillment recover --all`",
        second_mails=None,
        play=namespace_deleted,
    ),
    Case(
        name="no-rights-operator",
        what="the operator has no rights for 20 s",
        second_mails=1,
        play=without(User.OPERATOR),
    ),
    Case(name="no-rights-service", what="the service has no rights for 20 s", play=without(User.SERVICE)),
    Case(
        name="no-right-to-patch",
        what="the operator may not patch status for 20 s",
        play=without(User.OPERATOR, f"{PLURAL}/status", "patch"),
    ),
    Case(
        name="no-right-to-watch",
        what="the operator may not list and watch for 20 s",
        play=without(User.OPERATOR, PLURAL, "list watch"),
    ),
    Case(
        name="no-right-to-watch-of-two",
        what="two operators may not list and watch for 20 s",
        play=without(User.OPERATOR, PLURAL, "list watch"),
        staging=Staging(operators=2),
    ),
)
