"""An installation as a cluster has it: the chart's objects at a real API server, and behind them workloads at work.

No kubelet is there. What it would do of `kubectl exec` a program called `kubectl` does, which is first on PATH: it runs
the command with the pod's environment, if the API server lets the user exec. All else it leaves to kubectl.
"""

import asyncio
import re
import shlex
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import client

from fulfillment_cli.doctor.in_pod import Executed
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from support import commands
from support.repository import ROOT
from support.running_operator import LEASE_THAT_IS_KEPT, Shop, at_work, open_shop
from support.running_webhook import OLD_SECRET, RULES, SECRET, RunningWebhook, running_webhook, service_settings

IMAGE = "checkout-fulfillment:0.1.0"
WEBHOOK_POD = "checkout-fulfillment-webhook-0"
OPERATOR_POD = socket.gethostname()  # whose name the holder of the Lease has
_PAGE = (ROOT / "docs/doctor.md").read_text()
(_ROLE,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)\n```", _PAGE, re.DOTALL))
RIGHTS = [
    client.V1PolicyRule(api_groups=each["apiGroups"], resources=each["resources"], verbs=each["verbs"])
    for each in _ROLE["rules"]
]
"""What docs/doctor.md says that a person needs, in the namespace."""

_KUBECTL = """\
#!/bin/sh
case " $* " in *" exec "*) ;; *) exec {kubectl} "$@" ;; esac
while [ "$1" != exec ]; do shift; done
namespace=${{2#--namespace=}} pod=$3
if ! {kubectl} auth can-i create pods --subresource exec --namespace "$namespace" >/dev/null 2>&1; then
    echo "Error from server (Forbidden): pods \\"$pod\\" is forbidden: you cannot create resource \\"pods/exec\\"" >&2
    exit 1
fi
if [ ! -x {pods}/"$pod" ]; then
    echo "error: Internal error occurred: unable to upgrade connection: container not found" >&2
    exit 1
fi
shift 5
{pods}/"$pod" "$@"
code=$?
[ $code = 0 ] || echo "command terminated with exit code $code" >&2
exit $code
"""


@dataclass(frozen=True)
class Installation:
    """What is installed in the namespace of a shop."""

    shop: Shop
    webhook: RunningWebhook
    folder: Path
    """For PATH: it has `kubectl`."""

    async def execute(self, pod: str, _container: str, command: tuple[str, ...]) -> Executed:
        """Run a command in a pod, as anybody, and say of its end what kubectl does."""
        process = await asyncio.create_subprocess_exec(self.folder / "pods" / pod, *command, stdout=PIPE, stderr=PIPE)
        output, errors = await process.communicate()
        code = process.returncode or 0
        ended = f"command terminated with exit code {code}\n" if code else ""
        return Executed(code, output.decode(), errors.decode() + ended)

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.shop.api)

    @property
    def apps(self) -> client.AppsV1Api:
        return client.AppsV1Api(self.shop.api)

    def pod_environ(self, pod: str) -> dict[str, str]:
        """Give the environment that a pod's container has."""
        control_plane, stripe = self.shop.control_plane, self.shop.stripe
        if pod == WEBHOOK_POD:
            return {
                "STRIPE_WEBHOOK_SECRETS": f"{SECRET},{OLD_SECRET}",
                "FULFILLMENT_RETENTION": "0s",
                "FULFILLMENT_NAMESPACE": self.shop.namespace,
                "FULFILLMENT_WEBHOOK_PORT": str(self.webhook.port),
                "FULFILLMENT_MANAGEMENT_PORT": str(self.webhook.management_port),
                "KUBECONFIG": str(control_plane.kubeconfigs[User.SERVICE]),
            }
        return {
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": stripe.url,
            "FULFILLMENT_NAMESPACE": self.shop.namespace,
            "FULFILLMENT_SMTP_HOST": self.shop.mailbox.host,
            "FULFILLMENT_SMTP_PORT": str(self.shop.mailbox.port),
            "FULFILLMENT_SMTP_TLS": "none",
            "FULFILLMENT_MAIL_FROM": "orders@shop.example",
            "KUBECONFIG": str(control_plane.kubeconfigs[User.OPERATOR]),
        }

    def run_pod(self, pod: str, **changes: str) -> None:
        """Let commands be executed in a pod, with its environment and these changes of it."""
        environ = {"PATH": f"{commands.plugins()}:/usr/bin:/bin", **self.pod_environ(pod), **changes}
        words = shlex.join(f"{name}={value}" for name, value in environ.items())
        program = self.folder / "pods" / pod
        program.write_text(f'#!/bin/sh\nexec env -i {words} "$@"\n')
        program.chmod(0o755)

    async def make_pod(
        self, name: str, component: str, *, image: str = IMAGE, status: dict[str, Any] | None = None
    ) -> None:
        """Make a pod of a workload, as the kubelet shows it: ready, or as `status` says."""
        metadata = client.V1ObjectMeta(name=name, labels=labels(component))
        spec = client.V1PodSpec(containers=[client.V1Container(name=component, image=image)])
        await self.core.create_namespaced_pod(self.shop.namespace, client.V1Pod(metadata=metadata, spec=spec))
        await self.show_pod(name, status or ready(component, image))

    async def show_pod(self, name: str, status: Mapping[str, Any]) -> None:
        """Show a pod's status as the kubelet does."""
        await self.core.patch_namespaced_pod_status(name, self.shop.namespace, {"status": status})

    async def make_deployment(self, component: str, *, image: str = IMAGE, replicas: int = 1) -> None:
        """Make a workload's Deployment as the chart has it."""
        deployment = {
            "metadata": {
                "name": f"checkout-fulfillment-{component}",
                "labels": {**labels(component), "app.kubernetes.io/part-of": "checkout-fulfillment"},
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels(component)},
                "template": {
                    "metadata": {"labels": labels(component)},
                    "spec": {
                        "containers": [{"name": component, "image": image}],
                        "volumes": [_VOLUMES[component]],
                    },
                },
            },
        }
        body: Any = deployment
        await self.apps.create_namespaced_deployment(self.shop.namespace, body)


_VOLUMES: dict[str, Any] = {
    "operator": {"name": "api-key", "secret": {"secretName": "stripe", "items": [{"key": "api-key", "path": "a"}]}},
    "webhook": {
        "name": "webhook-secrets",
        "projected": {
            "sources": [
                {"secret": {"name": "stripe", "items": [{"key": "webhook-secrets", "path": "w"}]}},
                {"secret": {"name": "extra", "optional": True, "items": [{"key": "webhook-secrets", "path": "x"}]}},
            ]
        },
    },
}


def labels(component: str) -> dict[str, str]:
    """Give the labels that select a workload's pods."""
    return {
        "app.kubernetes.io/name": "checkout-fulfillment",
        "app.kubernetes.io/instance": "checkout-fulfillment",
        "app.kubernetes.io/component": component,
    }


def ready(component: str = "webhook", image: str = IMAGE) -> dict[str, Any]:
    """Give the status of a workload's pod that is ready."""
    status = {"name": component, "image": image, "imageID": f"sha256:{image}", "ready": True, "restartCount": 0}
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [status]}


@asynccontextmanager
async def running_installation(
    control_plane: ControlPlane, namespace: str, folder: Path
) -> AsyncIterator[Installation]:
    """Install it, with an operator and a webhook at work in this process."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    (folder / "pods").mkdir()
    kubectl = folder / "kubectl"
    kubectl.write_text(_KUBECTL.format(kubectl=control_plane.kubectl, pods=folder / "pods"))
    kubectl.chmod(0o755)
    settings = service_settings(control_plane, namespace)
    async with (
        open_shop(control_plane, namespace) as shop,
        running_webhook(control_plane, namespace, settings) as webhook,
        at_work(shop, LEASE_THAT_IS_KEPT),
    ):
        installation = Installation(shop, webhook, folder)
        await installation.core.create_namespaced_service_account(
            namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="default"))
        )
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name="stripe"),
            string_data={"api-key": TEST_KEY, "webhook-secrets": f"{SECRET},{OLD_SECRET}"},
        )
        await installation.core.create_namespaced_secret(namespace, secret)
        for component, pod in (("operator", OPERATOR_POD), ("webhook", WEBHOOK_POD)):
            await installation.make_deployment(component)
            await installation.make_pod(pod, component)
            installation.run_pod(pod)
        yield installation
