"""Helm installs the chart into a real API server, upgrades it, takes it away, and installs it again."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from fulfillment_api.names import API_VERSION, GROUP, KIND, PLURAL, request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.programs import ChartPrograms
from fulfillment_runtime.commands.main import main as fulfillment
from support.chart_rendering import CHART, RELEASE, VALUES, HelmError, run_helm
from support.kubectl import kubectl
from support.repository import ROOT

pytestmark = pytest.mark.xdist_group("chart on an API server")

CRD = f"{PLURAL}.{GROUP}"
ADOPTING = "--take-ownership", "--force-conflicts"
"""How Helm 4 is told that a CustomResourceDefinition, of whatever content, is the release's."""

LOG_LEVELS = "{.items[*].spec.template.spec.containers[*].env[?(@.name=='FULFILLMENT_LOG_LEVEL')].value}"

Helm = Callable[..., str]


@pytest.fixture
def cluster(control_plane: ControlPlane, namespace: str, crd: None) -> Callable[[Path], Helm]:  # noqa: ARG001 - it must be there
    """Give what gives a helm that works on the cluster, in the test's namespace."""

    def with_program(program: Path) -> Helm:
        def helm(*arguments: str) -> str:
            kubeconfig = control_plane.kubeconfigs[User.ADMIN]
            return run_helm(program, *arguments, f"--namespace={namespace}", kubeconfig=kubeconfig)

        return helm

    return with_program


@pytest.fixture
def adopted(control_plane: ControlPlane, namespace: str, crd: None) -> None:  # noqa: ARG001 - it must be there
    """Let the release own the CustomResourceDefinition that is there, as the chart's README says."""
    owner = f"meta.helm.sh/release-name={RELEASE}", f"meta.helm.sh/release-namespace={namespace}"
    kubectl(control_plane, "label", "crd", CRD, "app.kubernetes.io/managed-by=Helm", "--overwrite")
    kubectl(control_plane, "annotate", "crd", CRD, "--overwrite", *owner)


@pytest.mark.parametrize(("first", "then"), [("helm", "helm"), ("oldest_helm", "oldest_helm"), ("oldest_helm", "helm")])
@pytest.mark.usefixtures("adopted")
def test_a_release_lives_and_orders_outlive_it(
    control_plane: ControlPlane,
    namespace: str,
    cluster: Callable[[Path], Helm],
    programs: ChartPrograms,
    first: str,
    then: str,
) -> None:
    """Install, upgrade and uninstall leave the orders; the next installation takes the definition over by itself."""
    installing, upgrading = cluster(getattr(programs, first)), cluster(getattr(programs, then))
    installing("install", RELEASE, str(CHART), *(ADOPTING if first == "helm" else ()))
    order(control_plane, namespace)

    upgrading("upgrade", RELEASE, str(CHART), "--set=webhook.replicas=3")
    assert listed(control_plane, namespace, "deployments", "{.items[*].spec.replicas}") == ["1", "3"]

    upgrading("uninstall", RELEASE)
    assert listed(control_plane, namespace, "deployments,roles,services,serviceaccounts") == []
    assert listed(control_plane, namespace, PLURAL) == [request_name("cs_test_1")]

    upgrading("install", RELEASE, str(CHART))
    assert listed(control_plane, namespace, PLURAL) == [request_name("cs_test_1")]
    upgrading("uninstall", RELEASE)


@pytest.mark.usefixtures("foreign_crds")
def test_everything_is_installed(
    control_plane: ControlPlane, namespace: str, cluster: Callable[[Path], Helm], helm: Path
) -> None:
    """With every switch on, either Helm applies each object, and an upgrade that switches all off leaves no more."""
    on_cluster = cluster(helm)
    without_definition = "--set=crds.install=false"

    on_cluster("install", RELEASE, str(CHART), f"--values={VALUES['everything']}", without_definition)
    monitors = "servicemonitors,podmonitors,prometheusrules,httproutes,ingresses,networkpolicies,hpa,pdb"
    assert len(listed(control_plane, namespace, monitors)) == 16

    on_cluster("upgrade", RELEASE, str(CHART), f"--values={VALUES['nothing']}", without_definition)
    assert listed(control_plane, namespace, monitors) == []
    on_cluster("uninstall", RELEASE)


def test_a_definition_that_is_there_is_adopted(
    control_plane: ControlPlane, cluster: Callable[[Path], Helm], programs: ChartPrograms
) -> None:
    """One that was made in another way stops the installation with a reason, until Helm is told to take it over."""
    kubectl(control_plane, "label", "crd", CRD, "app.kubernetes.io/managed-by-")
    helm = cluster(programs.helm)

    with pytest.raises(HelmError, match=f'CustomResourceDefinition "{CRD}".*exists and cannot be imported'):
        helm("install", RELEASE, str(CHART))

    helm("install", RELEASE, str(CHART), *ADOPTING)
    helm("uninstall", RELEASE)


@pytest.mark.usefixtures("adopted")
def test_a_second_release_is_told_whose_the_definition_is(
    control_plane: ControlPlane, cluster: Callable[[Path], Helm], helm: Path
) -> None:
    """It is stopped by our own sentence, which names what to set, before Helm has changed anything."""
    on_cluster = cluster(helm)
    kubectl(control_plane, "annotate", "crd", CRD, "--overwrite", "meta.helm.sh/release-namespace=elsewhere")

    with pytest.raises(HelmError) as refused:
        on_cluster("install", "second", str(CHART))

    said = str(refused.value)
    assert f"belongs to the release elsewhere/{RELEASE}: install this one with --set crds.install=false" in said
    assert f"kubectl annotate crd {CRD} --overwrite meta.helm.sh/release-name=second" in said
    assert "cannot be imported" not in said


@pytest.mark.usefixtures("adopted")
def test_a_namespace_has_one_release(
    control_plane: ControlPlane,
    namespace: str,
    cluster: Callable[[Path], Helm],
    helm: Path,
    programs: ChartPrograms,
) -> None:
    """Two would work on the same orders: either Helm refuses the second, with the definition or without it."""
    cluster(programs.helm)("install", RELEASE, str(CHART), *ADOPTING)
    on_cluster = cluster(helm)

    for options in ((), ("--set=crds.install=false",)):
        with pytest.raises(HelmError, match="one release per namespace, since two would fulfill the same orders"):
            on_cluster("install", "second", str(CHART), *options)

    names = [f"{RELEASE}-operator", f"{RELEASE}-webhook"]
    assert listed(control_plane, namespace, "deployments") == names
    on_cluster("upgrade", RELEASE, str(CHART), *(ADOPTING[1:] if helm == programs.helm else ()))
    on_cluster("uninstall", RELEASE)


@pytest.mark.usefixtures("adopted")
def test_what_was_changed_beside_helm_stops_an_upgrade(
    control_plane: ControlPlane, namespace: str, cluster: Callable[[Path], Helm], programs: ChartPrograms
) -> None:
    """As the chart's README says: Helm 4 ends with a conflict, after the operator was rolled, until it may force it.

    A variable that the chart does not set conflicts with nothing; nor does the number of pods when it sets none.
    """
    helm = cluster(programs.helm)
    helm("install", RELEASE, str(CHART), *ADOPTING)
    webhook = f"deployment/{RELEASE}-webhook"
    kubectl(control_plane, "scale", webhook, "--replicas=5", f"--namespace={namespace}")
    kubectl(control_plane, "set", "env", webhook, "TZ=UTC", f"--namespace={namespace}")

    with pytest.raises(HelmError, match=r'conflict with "kubectl" with subresource "scale".*\.spec\.replicas'):
        helm("upgrade", RELEASE, str(CHART), "--set=log.level=debug")
    levels = listed(control_plane, namespace, "deployments", LOG_LEVELS)
    assert levels == ["debug", "info"]

    helm("upgrade", RELEASE, str(CHART), "--set=log.level=debug", "--set=webhook.replicas=null")
    assert listed(control_plane, namespace, "deployments", LOG_LEVELS) == ["debug", "debug"]
    assert listed(control_plane, namespace, "deployments", "{.items[*].spec.replicas}") == ["1", "5"]

    kubectl(control_plane, "set", "env", webhook, "FULFILLMENT_LOG_LEVEL=warning", f"--namespace={namespace}")
    with pytest.raises(HelmError, match="FULFILLMENT_LOG_LEVEL"):
        helm("upgrade", RELEASE, str(CHART), "--set=log.level=error")
    helm("upgrade", RELEASE, str(CHART), "--set=log.level=error", "--force-conflicts")
    assert listed(control_plane, namespace, "deployments", LOG_LEVELS) == ["error", "error"]
    assert listed(control_plane, namespace, "deployments", "{.items[*].spec.replicas}") == ["1", "2"]
    helm("uninstall", RELEASE)


@pytest.mark.usefixtures("adopted")
def test_a_number_of_pods_that_the_chart_no_longer_sets_is_one(
    control_plane: ControlPlane, namespace: str, cluster: Callable[[Path], Helm], helm: Path, programs: ChartPrograms
) -> None:
    """As the chart's README says: either Helm takes it out, and the API server fills it in, until somebody scales.

    Helm 4 leaves what was scaled before; from then on both leave what is scaled.
    """
    on_cluster = cluster(helm)
    is_newest = helm == programs.helm
    on_cluster("install", RELEASE, str(CHART), "--set=webhook.replicas=3", *(ADOPTING if is_newest else ()))
    scaled, replicas = f"deployment/{RELEASE}-operator", "--set=webhook.autoscaling.enabled=true,operator.replicas=null"
    kubectl(control_plane, "scale", scaled, "--replicas=4", f"--namespace={namespace}")

    on_cluster("upgrade", RELEASE, str(CHART), replicas)
    expected = ["4" if is_newest else "1", "1"]
    assert listed(control_plane, namespace, "deployments", "{.items[*].spec.replicas}") == expected

    kubectl(control_plane, "scale", scaled, "--replicas=2", f"--namespace={namespace}")
    on_cluster("upgrade", RELEASE, str(CHART), replicas, "--set=log.level=debug")
    assert listed(control_plane, namespace, "deployments", "{.items[*].spec.replicas}") == ["2", "1"]
    on_cluster("uninstall", RELEASE)


def test_a_second_release_leaves_the_definition_to_the_first(
    control_plane: ControlPlane, namespace: str, cluster: Callable[[Path], Helm], programs: ChartPrograms
) -> None:
    """Switched off, the CustomResourceDefinition is neither needed in the release nor touched by it."""
    helm = cluster(programs.helm)

    helm("install", "second", str(CHART), "--set=crds.install=false")

    names = ["second-checkout-fulfillment-operator", "second-checkout-fulfillment-webhook"]
    assert listed(control_plane, namespace, "deployments") == names
    helm("uninstall", "second")


@pytest.mark.usefixtures("adopted")
def test_notes_say_what_to_do_next(
    control_plane: ControlPlane,
    namespace: str,
    cluster: Callable[[Path], Helm],
    helm: Path,
) -> None:
    """They ask for the Secret only when it is not there, and every command they give is for this release."""
    on_cluster = cluster(helm)
    dry_run = ("upgrade", "--install", RELEASE, str(CHART), "--dry-run=server")
    create = f"kubectl create secret generic stripe --namespace {namespace} \\"

    notes = on_cluster(*dry_run).partition("NOTES:")[2]
    assert create in notes
    assert f"helm test {RELEASE} --namespace {namespace}" in notes
    assert f"kubectl fulfillment doctor --namespace {namespace}\n" in notes
    assert f"kubectl get fulfillmentrequests --namespace {namespace} --watch" in notes
    assert "stripe listen --forward-to localhost:4242/webhook" in notes

    kubectl(control_plane, "create", "secret", "generic", "stripe", f"--namespace={namespace}")
    notes = on_cluster(*dry_run, "--set=webhook.ingress.enabled=true,webhook.ingress.hosts={checkout.example}")
    assert create not in notes
    assert "stripe webhook_endpoints create --url https://checkout.example/webhook" in notes


@pytest.mark.parametrize("page", ["README.md", "docs/install.md", "charts/checkout-fulfillment/README.md.gotmpl"])
@pytest.mark.usefixtures("adopted")
def test_what_a_page_says_installs_it_and_takes_it_away(
    control_plane: ControlPlane, namespace: str, cluster: Callable[[Path], Helm], programs: ChartPrograms, page: str
) -> None:
    """Command by command. Of what only nodes can do, all that it names is there; `make e2e` does it."""
    helm = cluster(programs.helm)
    for words in (*commands(page, namespace), *commands("docs/upgrade.md", namespace)):
        match words:
            case ["make", *_]:
                continue  # no images are needed here
            case ["helm", "install", release, chart, *options]:
                folder = ROOT / chart if chart != "." else (ROOT / page).parent
                without_nodes = [each for each in options if each != "--wait"]
                helm("install", release, str(folder), *without_nodes, *(ADOPTING if release == RELEASE else ()))
            case ["helm", "test", release, *_]:
                assert "helm.sh/hook: test" in helm("get", "hooks", release)
            case ["helm", *others]:
                helm(*others)
            case ["kubectl", "exec", *where, "--", "fulfillment", command, what, "--webhook-url", url]:
                kubectl(control_plane, "get", *where)
                assert urlsplit(url).hostname in listed(control_plane, namespace, "services")
                known = fulfillment.get_command(click.Context(fulfillment), command)
                assert known is not None
                known.make_context(command, [what, "--webhook-url", url]).close()
            case ["kubectl", *others]:
                kubectl(control_plane, *others)
            case _:
                pytest.fail(f"nothing executes {shlex.join(words)}")
    assert [each for each in listed(control_plane, namespace, "deployments") if each.startswith(RELEASE)] == []


def commands(page: str, namespace: str) -> Iterator[list[str]]:
    """Yield the commands of a page, but those that it says are not run, about a namespace of the test's."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"(?<!-->\n)^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n *", "", block).splitlines():
            yield shlex.split(re.sub(r"\bshop\b", namespace, line), comments=True)


def order(control_plane: ControlPlane, namespace: str) -> None:
    session = {"id": "cs_test_1", "livemode": False}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": request_name("cs_test_1"), "namespace": namespace},
        "spec": {"session": session, "payment": {"status": "unpaid"}},
    }
    kubectl(control_plane, "create", "-f", "-", manifests=[manifest])


def listed(
    control_plane: ControlPlane, namespace: str, kinds: str, field: str = "{.items[*].metadata.name}"
) -> list[str]:
    """Return a field of the objects of kinds in a namespace: their names, if no other."""
    return kubectl(control_plane, "get", kinds, f"--namespace={namespace}", f"--output=jsonpath={field}").split()
