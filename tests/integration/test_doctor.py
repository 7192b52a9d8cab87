"""`kubectl fulfillment doctor`, before an installation that works, and before each thing that may be broken."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason
from fulfillment_cli.cluster import Cluster
from fulfillment_cli.doctor.checkup import checkup
from fulfillment_cli.doctor.in_pod import Exec, Executed
from fulfillment_cli.doctor.installation import Installation as Examined
from fulfillment_cli.doctor.reader import InstallationReader
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import POWERLESS_KEY
from fulfillment_local.mailbox import mailbox
from fulfillment_local.shop_endpoint import shop_endpoint
from fulfillment_runtime.findings import Check, Finding, Verdict
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support import commands
from support.namespaces import make_namespace
from support.running_installation import (
    IMAGE,
    OPERATOR_POD,
    RIGHTS,
    WEBHOOK_POD,
    Installation,
    ready,
    running_installation,
)
from support.running_operator import ADDRESS
from support.running_webhook import running_webhook, service_settings
from support.serving import serving
from support.stripe_events import snapshot

pytestmark = pytest.mark.usefixtures("crd")

LINE = re.compile(r"(ok|unknown|warning|failure) +([a-z-]+) +(.*)")
LEASE = "checkout-fulfillment-operator"


@pytest.fixture(scope="module")
async def installation(
    control_plane: ControlPlane,
    crd: None,  # noqa: ARG001 - it must be there
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """One for all tests: each puts back what it breaks."""
    namespace = await make_namespace(control_plane)
    await control_plane.grant(User.ALICE, namespace, RIGHTS)
    async with control_plane.connect() as api:
        rule = client.V1PolicyRule(
            api_groups=["apiextensions.k8s.io"], resources=["customresourcedefinitions"], verbs=["get"]
        )
        rbac = client.RbacAuthorizationV1Api(api)
        meta = client.V1ObjectMeta(name="doctor")
        await rbac.create_cluster_role(client.V1ClusterRole(metadata=meta, rules=[rule]))
        await rbac.create_cluster_role_binding(
            client.V1ClusterRoleBinding(
                metadata=meta,
                role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="doctor"),
                subjects=[client.RbacV1Subject(api_group="rbac.authorization.k8s.io", kind="User", name=User.ALICE)],
            )
        )
    async with running_installation(control_plane, namespace, tmp_path_factory.mktemp("kubectl")) as installation:
        yield installation


@dataclass(frozen=True)
class Said:
    """What it printed."""

    code: int | None
    lines: list[tuple[str, str, str]]
    """Verdict, what was looked at, message."""
    output: str
    errors: str


async def doctor(installation: Installation, *arguments: str, user: User = User.ALICE) -> Said:
    """Have a person run it by kubectl."""
    process = await asyncio.create_subprocess_exec(
        installation.folder / "kubectl",
        *("fulfillment", "doctor", "-n", installation.shop.namespace, *arguments),
        env={
            "PATH": f"{installation.folder}:{commands.plugins()}:/usr/bin:/bin",
            "KUBECONFIG": str(installation.shop.control_plane.kubeconfigs[user]),
            "HOME": os.environ["HOME"],
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    lines = [match.groups() for line in output.decode().splitlines() if (match := LINE.fullmatch(line))]
    return Said(process.returncode, [(a, b, c) for a, b, c in lines], output.decode(), errors.decode())


def reader(installation: Installation, api: client.ApiClient | None = None) -> InstallationReader:
    return InstallationReader(LibraryRestClient(api or installation.shop.api), installation.shop.namespace, 10)


async def of_objects(installation: Installation, check: Check, now: datetime | None = None) -> list[str]:
    """Say what the objects show about one thing."""
    examined = Examined(reader(installation), now or datetime.now(UTC))
    return [f"{each.verdict} {each.message}" async for each in examined.examine() if each.check is check]


async def of_all(installation: Installation, **how: Any) -> dict[Check, list[Finding]]:
    """Say what all checks find, in this process."""
    rest, namespace = LibraryRestClient(installation.shop.api), installation.shop.namespace
    requests = FulfillmentRequestClient(rest, namespace, timeout=10)
    cluster = Cluster(rest, namespace, requests, EventSink(rest, namespace, reporter="test", timeout=10))
    execute, now = how.get("execute", installation.execute), how.get("now", datetime.now(UTC))
    found: dict[Check, list[Finding]] = {}
    async for each in checkup(cluster, reader(installation), execute, how.get("prometheus"), now):
        found.setdefault(each.check, []).append(each)
    return found


async def left(installation: Installation) -> list[Any]:
    found: Any = await client.CustomObjectsApi(installation.shop.api).list_namespaced_custom_object(
        **ADDRESS, namespace=installation.shop.namespace
    )
    return list(found["items"])


async def test_an_installation_that_works(installation: Installation) -> None:
    """Each line says ok, the exit code is 0, and the order that was sent through is gone."""
    await installation.webhook.send({**snapshot(), "type": "customer.created"})
    said = await doctor(installation)
    assert (said.errors, {verdict for verdict, _, _ in said.lines}, said.code) == ("", {"ok"}, 0), said.output
    assert [check for _, check, _ in said.lines] == [
        "crd",
        *("pods", "pods"),
        "images",
        "leader",
        "secrets",
        *("settings", "mail", "mail", "rights", "backends", "api-key", "endpoint"),
        *("settings", "settings", "rights", "last-event"),
        "clock",
        "round-trip",
        "orders",
    ]
    assert await left(installation) == []


async def test_as_json_for_machines(installation: Installation) -> None:
    """One object, with the same findings; the exit code is that of the worst."""
    said = await doctor(installation, "-o", "json", "--prometheus", "http://127.0.0.1:9")
    found = json.loads(said.output)["findings"]
    assert found[-1]["check"] == "alerts"
    assert found[-1]["verdict"] == "unknown"
    assert found[-1]["message"].startswith("Prometheus at http://127.0.0.1:9 cannot be asked: ")
    assert said.code == 5


async def test_who_may_nothing_is_told_what_they_lack(installation: Installation) -> None:
    """Nothing of it is called a failure."""
    said = await doctor(installation, user=User.NOBODY)
    assert (said.code, said.errors) == (5, "")
    assert [(verdict, check) for verdict, check, _ in said.lines] == [
        ("unknown", "crd"),
        ("unknown", "pods"),
        ("unknown", "orders"),
    ]
    assert said.lines[1][2] == "you may not list deployments here: ask for that right, or somebody who has it"


async def test_a_namespace_with_nothing_installed(installation: Installation) -> None:
    """Which is the commonest mistake: the wrong namespace."""
    elsewhere = InstallationReader(LibraryRestClient(installation.shop.api), "default", 10)
    found = [each async for each in Examined(elsewhere, datetime.now(UTC)).examine()]
    assert [(each.verdict, each.check) for each in found] == [("ok", "crd"), ("failure", "pods")]
    assert found[1].message.startswith("the namespace default has no Deployment of the chart: is it another one (-n)?")


@asynccontextmanager
async def patched_definition(installation: Installation, patch: dict[str, Any]) -> AsyncIterator[None]:
    definitions = client.ApiextensionsV1Api(installation.shop.api)
    ours: Any = custom_resource_definition()
    name = ours["metadata"]["name"]
    await definitions.patch_custom_resource_definition(name, patch)
    try:
        yield
    finally:
        await definitions.patch_custom_resource_definition(name, {"spec": ours["spec"]})


async def test_another_versions_definition(installation: Installation) -> None:
    """Such as one that `crds.install=false` left behind."""
    versions: Any = custom_resource_definition()["spec"]["versions"]
    old = [{**versions[0], "selectableFields": versions[0]["selectableFields"][:1]}]
    async with patched_definition(installation, {"spec": {"versions": old}}):
        (found,) = await of_objects(installation, Check.CRD)
    assert found.startswith("warning fulfillmentrequests.checkout-fulfillment.dev is not as this version has it")


LAST_WORDS = (
    '{"timestamp": "2026-11-29T15:02:13Z", "level": "error", "event": "process.failed", '
    '"message": "STRIPE_WEBHOOK_SECRETS (stripe.existingSecret) is not set", "exit_code": 78}'
)
NOT_READY = [{"type": "Ready", "status": "False", "message": "containers with unready status: [webhook]"}]


@pytest.mark.parametrize(
    ("status", "event", "message"),
    [
        (
            {
                "containerStatuses": [
                    {
                        **ready()["containerStatuses"][0],
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                        "lastState": {"terminated": {"exitCode": 78, "message": f"{LAST_WORDS}\n"}},
                    }
                ]
            },
            None,
            f"{WEBHOOK_POD} says STRIPE_WEBHOOK_SECRETS (stripe.existingSecret) is not set",
        ),
        (
            {
                "containerStatuses": [
                    {**ready()["containerStatuses"][0], "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                ]
            },
            None,
            f"{WEBHOOK_POD}: ImagePullBackOff",
        ),
        (
            {"containerStatuses": []},
            ("FailedMount", 'MountVolume.SetUp failed for volume "webhook-secrets" : secret "stripe" not found'),
            f'{WEBHOOK_POD}: MountVolume.SetUp failed for volume "webhook-secrets" : secret "stripe" not found',
        ),
        ({"containerStatuses": []}, None, f"{WEBHOOK_POD}: containers with unready status: [webhook]"),
    ],
    ids=["crashes", "image", "mount", "condition"],
)
async def test_pods_that_are_not_ready(
    installation: Installation, status: dict[str, Any], event: tuple[str, str] | None, message: str
) -> None:
    """The line says why: in the pod's own last words, the kubelet's, or the scheduler's."""
    await installation.show_pod(WEBHOOK_POD, {"conditions": NOT_READY, **status})
    if event:
        about = client.V1ObjectReference(kind="Pod", name=WEBHOOK_POD, namespace=installation.shop.namespace)
        meta = client.V1ObjectMeta(generate_name="event-")
        body = client.CoreV1Event(metadata=meta, involved_object=about, reason=event[0], message=event[1])
        await installation.core.create_namespaced_event(installation.shop.namespace, body)
    found = await of_objects(installation, Check.PODS)
    await installation.core.delete_collection_namespaced_event(installation.shop.namespace)
    await installation.show_pod(WEBHOOK_POD, ready())
    assert found[1] == f"failure checkout-fulfillment-webhook: 0 of 1 pods are ready: {message}"


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        ("Failed", {"reason": "Evicted", "message": "The node was low on resource: memory."}),
        ("Failed", {"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}),
        ("Succeeded", {}),
    ],
    ids=["evicted", "node shutdown", "succeeded"],
)
async def test_pods_that_have_ended(installation: Installation, phase: str, status: dict[str, str]) -> None:
    """Beside a pod that took over they are not counted; where there is none, the line says what ended them."""
    ended = {"phase": phase, "conditions": NOT_READY, **status}
    await installation.make_pod("ended", "webhook", image=f"{IMAGE}-before", status=ended)
    beside = [*await of_objects(installation, Check.PODS), *await of_objects(installation, Check.IMAGES)]
    await installation.show_pod(WEBHOOK_POD, ended)
    alone = await of_objects(installation, Check.PODS)
    await installation.core.delete_namespaced_pod("ended", installation.shop.namespace, grace_period_seconds=0)
    await installation.show_pod(WEBHOOK_POD, {**ready(), "reason": None, "message": None})
    assert [each.partition(" ")[0] for each in beside] == ["ok", "ok", "ok"]
    why = f"{status['reason']} ({status['message']})" if status else "containers with unready status: [webhook]"
    assert alone[1].startswith("failure checkout-fulfillment-webhook: 0 of 1 pods are ready: ")
    assert alone[1].endswith(f": {why}")


async def test_pods_that_were_restarted_or_scaled_away(installation: Installation) -> None:
    """The first is a warning for an hour; without pods nothing is done."""
    now = datetime.now(UTC)
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": (now - timedelta(minutes=5)).isoformat()}
    again = {**ready()["containerStatuses"][0], "restartCount": 2, "lastState": {"terminated": ended}}
    await installation.show_pod(WEBHOOK_POD, {**ready(), "containerStatuses": [again]})
    scale: Any = {"spec": {"replicas": 0}}
    name, namespace = "checkout-fulfillment-operator", installation.shop.namespace
    await installation.apps.patch_namespaced_deployment(name, namespace, scale)
    found = await of_objects(installation, Check.PODS, now)
    late = await of_objects(installation, Check.PODS, now + timedelta(hours=2))
    await installation.apps.patch_namespaced_deployment(name, namespace, {"spec": {"replicas": 1}})
    await installation.show_pod(WEBHOOK_POD, ready())
    assert found == [
        (
            "failure checkout-fulfillment-operator is scaled to 0: nothing is done. "
            f"kubectl scale deployment checkout-fulfillment-operator -n {namespace} --replicas=1"
        ),
        (
            f"warning checkout-fulfillment-webhook: {WEBHOOK_POD} was restarted 5m ago, 2 times in all "
            "(exit code 137: OOMKilled)"
        ),
    ]
    assert late[1].startswith("ok ")


async def test_a_lease_that_nobody_renews(installation: Installation) -> None:
    """Or that nobody ever took, or that somebody else holds."""
    leases, namespace = client.CoordinationV1Api(installation.shop.api), installation.shop.namespace
    (gone,) = await of_objects(installation, Check.LEADER, datetime.now(UTC) + timedelta(minutes=60))
    assert re.match(
        r"failure .+ holds the Lease .+, and last renewed it (59|60)m ago: it is gone, and nobody took over", gone
    )
    env = [{"name": "operator", "env": [{"name": "FULFILLMENT_LEASE_NAME", "value": "another"}]}]
    deployment: Any = {"spec": {"template": {"spec": {"containers": env}}}}
    await installation.apps.patch_namespaced_deployment(LEASE, namespace, deployment)
    (nobody,) = await of_objects(installation, Check.LEADER)
    spec = client.V1LeaseSpec(holder_identity="laptop_1", lease_duration_seconds=15)
    another = client.V1Lease(metadata=client.V1ObjectMeta(name="another"), spec=spec)
    await leases.create_namespaced_lease(namespace, another)
    (stranger,) = await of_objects(installation, Check.LEADER)
    env[0]["env"] = [{"$patch": "delete", "name": "FULFILLMENT_LEASE_NAME"}]
    await installation.apps.patch_namespaced_deployment(LEASE, namespace, deployment)
    assert nobody.startswith("failure nobody holds the Lease another: no order is worked on")
    assert stranger.startswith("warning laptop_1 holds the Lease another, and is no pod of this installation")


async def test_images_that_differ(installation: Installation) -> None:
    """Between the workloads, between a Deployment and a pod that is not rolled yet, and under one tag."""
    namespace = installation.shop.namespace
    moved = {**ready()["containerStatuses"][0], "imageID": "sha256:another"}
    await installation.show_pod(WEBHOOK_POD, {**ready(), "containerStatuses": [moved]})
    (under_one_tag,) = await of_objects(installation, Check.IMAGES)
    await installation.show_pod(WEBHOOK_POD, ready())
    images = {}
    for component in ("webhook", "operator"):
        body: Any = {"spec": {"template": {"spec": {"containers": [{"name": component, "image": f"{IMAGE}-new"}]}}}}
        await installation.apps.patch_namespaced_deployment(f"checkout-fulfillment-{component}", namespace, body)
        (images[component],) = await of_objects(installation, Check.IMAGES)
    for component in ("webhook", "operator"):
        back: Any = {"spec": {"template": {"spec": {"containers": [{"name": component, "image": IMAGE}]}}}}
        await installation.apps.patch_namespaced_deployment(f"checkout-fulfillment-{component}", namespace, back)
    assert under_one_tag.startswith("warning pods run 2 different images under the one name ")
    assert images["webhook"].startswith("warning the workloads have different images (checkout-fulfillment-operator: ")
    assert images["operator"].startswith(f"warning {WEBHOOK_POD}, {OPERATOR_POD} still run another image than")


async def test_a_secret_that_is_missing_or_lacks_a_key(installation: Installation) -> None:
    """Its values are asked of nobody: who wrote which key says enough."""
    namespace = installation.shop.namespace
    secret = await installation.core.read_namespaced_secret("stripe", namespace)
    await installation.core.delete_namespaced_secret("stripe", namespace)
    (missing,) = await of_objects(installation, Check.SECRETS)
    lacking = client.V1Secret(metadata=client.V1ObjectMeta(name="stripe"), string_data={"api-key": "sk_test_1"})
    await installation.core.create_namespaced_secret(namespace, lacking)
    (key,) = await of_objects(installation, Check.SECRETS)
    await installation.core.delete_namespaced_secret("stripe", namespace)
    again = client.V1Secret(metadata=client.V1ObjectMeta(name="stripe"), data=secret.data)
    await installation.core.create_namespaced_secret(namespace, again)
    assert missing == (
        "failure there is no Secret stripe, for which the pods wait: "
        f"kubectl create secret generic stripe -n {namespace} --from-literal=api-key=… --from-literal=webhook-secrets=…"
    )
    assert key == "failure the Secret stripe lacks the key webhook-secrets: it has api-key"


async def test_what_only_the_operators_pod_sees(installation: Installation) -> None:
    """The key's rights at Stripe, the backend's endpoint with its signature, and the mail server's login."""
    ours, theirs = ("whsec_c2VjcmV0", "whsec_b3RoZXI=")
    async with shop_endpoint(theirs) as url, mailbox(login=("shop", "secret")) as strict:
        installation.run_pod(
            OPERATOR_POD,
            STRIPE_API_KEY=POWERLESS_KEY,
            FULFILLMENT_BACKEND="http",
            FULFILLMENT_HTTP_URL=f"{url}/orders",
            FULFILLMENT_HTTP_SECRET=ours,
            FULFILLMENT_SMTP_PORT=str(strict.port),
            FULFILLMENT_SMTP_USERNAME="shop",
            FULFILLMENT_SMTP_PASSWORD="wrong",
        )
        found = await of_all(installation)
    installation.run_pod(OPERATOR_POD)
    wrong = {check: each.message for check, all_of in found.items() for each in all_of if each.verdict == "failure"}
    assert wrong.pop(Check.MAIL).startswith("the mail server refused the login with 535")
    assert wrong.pop(Check.BACKENDS).startswith("the http backend's endpoint refused the signature with 401")
    assert wrong.pop(Check.API_KEY).startswith("Stripe does not allow this API key to read Checkout Sessions")
    assert wrong == {}


async def test_an_endpoint_that_is_not_registered_and_settings_that_are_wrong(installation: Installation) -> None:
    """Each in the pod that has it; what cannot be tried for that is unknown."""
    world = installation.shop.stripe.world
    registered, world.webhook_endpoints = world.webhook_endpoints, []
    installation.run_pod(WEBHOOK_POD, FULFILLMENT_WEBHOOK_DEADLINE="1h")
    found = await of_all(installation)
    world.webhook_endpoints = registered
    installation.run_pod(WEBHOOK_POD)
    (endpoint,) = found[Check.ENDPOINT]
    assert endpoint.verdict is Verdict.WARNING
    assert endpoint.message.startswith("Stripe has no enabled webhook endpoint in test mode")
    (wrong,) = (each.message for each in found[Check.SETTINGS] if each.verdict is Verdict.FAILURE)
    assert wrong == "webhook: FULFILLMENT_WEBHOOK_DEADLINE (webhook.deadline) must be more than 0s and less than 10s"
    (trip,) = found[Check.ROUND_TRIP]
    assert trip.verdict is Verdict.FAILURE  # the pod that should send the event does not know its settings
    assert await left(installation) == []


async def test_a_webhook_with_other_secrets(installation: Installation) -> None:
    """The Secret changed, and the process has not taken it: the event comes back as wrongly signed."""
    installation.run_pod(WEBHOOK_POD, STRIPE_WEBHOOK_SECRETS="whsec_another")
    found = await of_all(installation)
    installation.run_pod(WEBHOOK_POD)
    (trip,) = found[Check.ROUND_TRIP]
    assert trip.verdict is Verdict.FAILURE
    assert trip.message.startswith("the webhook rejects an event that is signed with signing secret 1 of 1")
    assert await left(installation) == []


async def test_a_webhook_that_hears_stripe_alone(installation: Installation) -> None:
    """It refuses what comes from its own pod: that says nothing of Stripe's events, and so is no failure."""
    shop = installation.shop
    settings = service_settings(shop.control_plane, shop.namespace, allowed_sources=("3.18.12.63",))
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook:
        installation.run_pod(WEBHOOK_POD, FULFILLMENT_WEBHOOK_PORT=str(webhook.port))
        found = await of_all(installation)
        installation.run_pod(WEBHOOK_POD)
    (trip,) = found[Check.ROUND_TRIP]
    assert trip.verdict is Verdict.UNKNOWN
    assert trip.message.endswith("for doctor, which sends from the webhook's own, 127.0.0.1 and ::1")


def execute_but(refused: str, installation: Installation) -> Exec:
    """Execute in all pods but one, whose node does not answer."""

    async def execute(pod: str, container: str, command: tuple[str, ...]) -> Executed:
        if pod == refused:
            return Executed(1, "", "error: unable to upgrade connection\n")
        return await installation.execute(pod, container, command)

    return execute


async def test_pods_that_cannot_be_asked(installation: Installation) -> None:
    """It is unknown then what they see; and where there is no kubectl, too."""
    found = await of_all(installation, execute=execute_but(WEBHOOK_POD, installation))
    without = await of_all(installation, execute=None)
    assert found[Check.SETTINGS][-1] == Finding(
        Verdict.UNKNOWN,
        Check.SETTINGS,
        f"webhook: {WEBHOOK_POD} could not be asked: error: unable to upgrade connection",
    )
    assert {each.verdict for each in without[Check.SETTINGS]} == {Verdict.UNKNOWN}
    assert "there is no kubectl on PATH" in without[Check.SETTINGS][0].message
    not_tried = Finding(Verdict.UNKNOWN, Check.ROUND_TRIP, "not tried: the lines on pods and settings say why")
    assert found[Check.ROUND_TRIP] == without[Check.ROUND_TRIP] == [not_tried]


async def test_one_of_several_pods_that_cannot_be_asked(installation: Installation) -> None:
    """What the others say is not the whole: a line tells which said nothing; and another one sends the event."""
    await installation.make_pod("another", "webhook")
    found = await of_all(installation, execute=execute_but("another", installation))
    await installation.core.delete_namespaced_pod("another", installation.shop.namespace, grace_period_seconds=0)
    assert [each.message for each in found[Check.SETTINGS] if each.verdict is not Verdict.OK] == [
        "webhook: another could not be asked: error: unable to upgrade connection"
    ]
    assert Check.LAST_EVENT in found
    assert [each.verdict for each in found[Check.ROUND_TRIP]] == [Verdict.OK]  # by the one that could be asked


async def test_a_clock_that_is_wrong(installation: Installation) -> None:
    """A pod's, as it tells the time itself."""

    async def execute(pod: str, container: str, command: tuple[str, ...]) -> Executed:
        done = await installation.execute(pod, container, command)
        if pod != OPERATOR_POD or "check-config" not in command:
            return done
        report = json.loads(done.output)
        report["time"] = (datetime.fromisoformat(report["time"]) - timedelta(minutes=4)).isoformat()
        return Executed(done.code, json.dumps(report), "")

    (clock,) = (await of_all(installation, execute=execute))[Check.CLOCK]
    assert clock.verdict is Verdict.WARNING
    assert re.match(
        rf"the clock of {OPERATOR_POD} is (1\d\d|2[0-4]\d) s behind this machine's: one of both is wrong", clock.message
    )


async def test_orders_that_do_not_decode(installation: Installation) -> None:
    """Nobody works on them, and no list of orders shows them."""
    name = await installation.shop.make_undecodable("cs_test_doctor2")
    (found,) = (await of_all(installation, execute=None))[Check.ORDERS]
    await installation.shop.requests.delete(name)
    assert found.verdict is Verdict.WARNING
    assert found.message.startswith("no other waits; 1 does not decode, and nothing is done for it: kubectl logs -n ")


async def test_orders_that_failed(installation: Installation) -> None:
    """They ask for a person until one says that it is dealt with."""
    name = await installation.shop.make("cs_test_doctor1", PaymentStatus.UNPAID)
    await installation.shop.becomes(name, Phase.FAILED, Reason.SESSION_NOT_FOUND)
    (failed,) = (await of_all(installation, execute=None))[Check.ORDERS]
    await installation.shop.annotate(name, acknowledged=f"{Reason.SESSION_NOT_FOUND}: a test")
    (dealt_with,) = (await of_all(installation, execute=None))[Check.ORDERS]
    await installation.shop.requests.delete(name)
    assert (failed.verdict, failed.message) == (
        Verdict.WARNING,
        (
            "none waits; failed, and not acknowledged: SessionNotFound: 1. "
            f"kubectl fulfillment list -n {installation.shop.namespace} --phase failed"
        ),
    )
    assert (dealt_with.verdict, dealt_with.message) == (Verdict.OK, "none waits")


def alert(health: str, state: str) -> dict[str, str]:
    return {"name": "CheckoutOrderStuck", "health": health, "state": state}


@pytest.mark.parametrize(
    ("rules", "verdict", "message"),
    [
        ([], "failure", "Prometheus has none of the group checkout-fulfillment for the namespace test-"),
        ([alert("err", "inactive")], "warning", "Prometheus cannot evaluate CheckoutOrderStuck: see its log"),
        (
            [alert("ok", "firing")],
            "warning",
            "CheckoutOrderStuck fires: docs/runbooks/CheckoutOrderStuck.md says what to do",
        ),
        ([alert("ok", "inactive")], "ok", "Prometheus has 1 alert, and none fires"),
        ([alert("ok", "inactive")] * 2, "ok", "Prometheus has 2 alerts, and none fires"),
    ],
    ids=["none", "broken", "firing", "well", "several"],
)
async def test_alerts_of_a_prometheus(
    installation: Installation, rules: list[dict[str, str]], verdict: str, message: str
) -> None:
    """As its HTTP API lists them; other groups are not looked at, nor those of another installation."""
    elsewhere = {"name": "CheckoutOrderStuck", "query": 'up{namespace="elsewhere"}', "health": "err", "state": "firing"}
    query = f'max by (namespace) (fulfillment_requests{{namespace="{installation.shop.namespace}"}}) > 0'

    async def answer(_request: web.Request) -> web.Response:
        groups: list[dict[str, Any]] = [{"name": "others", "rules": [{"name": "Watchdog", "state": "firing"}]}]
        groups += [{"name": "checkout-fulfillment", "rules": [elsewhere]}]
        groups += [{"name": "checkout-fulfillment", "rules": [{**each, "query": query} for each in rules]}]
        return web.json_response({"status": "success", "data": {"groups": groups}})

    async with serving(web.get("/api/v1/rules", answer)) as url:
        (alerts,) = (await of_all(installation, execute=None, prometheus=url))[Check.ALERTS]
    assert (alerts.verdict, alerts.message[: len(message)]) == (verdict, message)
