"""What the pods are told is what the programs in them take."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import yaml

from fulfillment_cli.doctor.objects import Deployment
from fulfillment_cli.doctor.workloads import component_of, container_of, lease_name, secrets_of
from fulfillment_local.programs import ChartPrograms
from fulfillment_operator.settings import OperatorSettings
from fulfillment_page.settings import PageSettings
from fulfillment_runtime.chart_values import CHART_VALUES
from fulfillment_runtime.settings import LogFormat, known_settings, load_settings
from fulfillment_service.events.rules import EventRules
from fulfillment_service.recovery.command import command as recover_command
from fulfillment_service.settings import EventSettings, RecoverSettings, ServiceSettings
from support.chart_rendering import DEFAULTS, VALUES, HelmError, Manifest, render
from support.chart_values import get, leaves, put

S = TypeVar("S", bound=msgspec.Struct)
Environ = dict[str, str]

# What Secrets and ConfigMaps hold, by the path at which a pod has it.
MOUNTED = {
    "webhook-secrets": "whsec_1",
    "stripe/api-key": "sk_test_1",
    "http/secret": "whsec_c2VjcmV0",
    "backend/routes.yaml": "- {backend: log}",
    "backend/job.yaml": "spec: {template: {spec: {containers: []}}}",
    "backend/reversal-job.yaml": "spec: {template: {spec: {containers: [{}]}}}",
    "smtp/username": "shop",
    "smtp/password": "secret",
    "mail-templates/payment_failed.txt": "Sorry.",
    "page-templates/unknown.html": "<p>Nothing here.</p>",
    "page-catalogues/de.po": 'msgid ""\nmsgstr ""\n',
    "page-logo/logo.png": "a picture",
}
MOUNTED_AT = "/etc/checkout-fulfillment"

PAGE = {"page": {"enabled": True}}

TEXTS = {path: get(DEFAULTS, path) for path in leaves() if isinstance(get(DEFAULTS, path), str)}

# A pod has one way only: the ports are what the Service and the probes name, its account is its kubeconfig, and the
# Lease is the same for whatever operator is in the namespace.
NOT_IN_A_POD = {
    "FULFILLMENT_BIND_ADDRESS",
    "FULFILLMENT_LEASE_NAME",
    "FULFILLMENT_MANAGEMENT_PORT",
    "FULFILLMENT_PAGE_PORT",
    "FULFILLMENT_WEBHOOK_PORT",
    "KUBECONFIG",
}


@pytest.fixture
def environ(tmp_path: Path) -> Callable[[list[Manifest], str], Environ]:
    """Give what makes the environment of a container, its mounted files among it."""
    for path, content in MOUNTED.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)

    def environ(manifests: list[Manifest], container: str) -> Environ:
        def value(variable: Any) -> str:
            match variable:
                case {"value": str(text)}:
                    return text.replace(MOUNTED_AT, str(tmp_path))
                case {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}:
                    return "shop"
                case _:
                    raise ValueError(f"a pod cannot be told {variable}")

        return {each["name"]: value(each) for each in containers(manifests)[container]["env"]}

    return environ


def pod_specs(manifests: list[Manifest]) -> Iterator[Any]:
    for each in manifests:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        if each["kind"] == "CronJob":
            yield each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        if each["kind"] == "Pod":
            yield each["spec"]


def containers(manifests: list[Manifest]) -> dict[str, Any]:
    return {container["name"]: container for spec in pod_specs(manifests) for container in spec["containers"]}


def test_doctor_reads_the_charts_objects(programs: ChartPrograms) -> None:
    """Which Secrets the pods wait for, with their keys, and which Lease the operator holds."""
    deployments = [
        msgspec.convert(each, Deployment)
        for each in render(programs.helm, VALUES["everything"])
        if each["kind"] == "Deployment"
    ]
    assert sorted(map(component_of, deployments)) == ["operator", "page", "webhook"]
    assert {container_of(each).name for each in deployments} == {"operator", "page", "webhook"}
    (operator,) = (each for each in deployments if component_of(each) == "operator")
    assert lease_name(operator) == load_settings(OperatorSettings, {"STRIPE_API_KEY": "sk_test_1"}).lease_name
    values = yaml.safe_load(VALUES["everything"].read_text())
    stripe, smtp, http = values["stripe"], values["mail"]["smtp"], values["backend"]["http"]
    page = values["page"]["apiKey"]
    assert secrets_of(deployments) == {
        stripe["existingSecret"]: {stripe["apiKeyKey"], stripe["webhookSecretsKey"]},
        smtp["existingSecret"]: {smtp["usernameKey"], smtp["passwordKey"]},
        http["existingSecret"]: {http["secretKey"]},
        page["existingSecret"]: {page["key"]},
    }


def test_every_setting_has_a_value(programs: ChartPrograms) -> None:
    """Whatever docs/settings.md lets a pod be told, the chart can tell it."""
    told = {
        variable["name"].removesuffix("_FILE")
        for container in containers(render(programs.helm, VALUES["everything"])).values()
        for variable in container["env"]
    }
    others = {"TZ", "HTTPS_PROXY", "NO_PROXY", "CHECK_CONFIG_SETTINGS"}
    assert told - others == known_settings().keys() - NOT_IN_A_POD


def test_check_config_in_a_pod_judges_that_pods_settings(programs: ChartPrograms) -> None:
    """The workload's name is what `fulfillment check-config` goes by there."""
    judged = {
        (container["args"][0], variable["value"])
        for container in containers(render(programs.helm, VALUES["everything"])).values()
        for variable in container["env"]
        if variable["name"] == "CHECK_CONFIG_SETTINGS"
    }
    assert judged == {(each, each) for each in ("service", "operator", "page", "recover")}


@pytest.mark.parametrize("values", [None, *VALUES.values()], ids=["defaults", *VALUES])
def test_the_programs_take_what_the_pods_tell_them(
    programs: ChartPrograms, environ: Callable[[list[Manifest], str], Environ], values: Path | None
) -> None:
    """Each of them starts with the settings of its pod; that of `helm test` reads the settings of both."""
    manifests = render(programs.helm, values)

    service = load_settings(ServiceSettings, environ(manifests, "webhook"))
    operator = load_settings(OperatorSettings, environ(manifests, "operator"))
    tested = environ(manifests, "self-test")

    assert (service.namespace, operator.namespace) == ("shop", "shop")
    assert load_settings(ServiceSettings, tested).webhook_secrets == service.webhook_secrets == ("whsec_1",)
    assert load_settings(OperatorSettings, tested).stripe_api_key == operator.stripe_api_key == "sk_test_1"


def test_the_recovery_is_told_what_both_workloads_are(
    programs: ChartPrograms, environ: Callable[[list[Manifest], str], Environ]
) -> None:
    """It asks Stripe as the operator does, and takes the events that the webhook takes."""
    manifests = render(programs.helm, VALUES["everything"])
    told = environ(manifests, "recovery")

    recovery, events = load_settings(RecoverSettings, told), load_settings(EventSettings, told)
    operator = load_settings(OperatorSettings, environ(manifests, "operator"))
    service = load_settings(ServiceSettings, environ(manifests, "webhook"))

    assert recovery.recovery_name == "shop-fulfillment-recovery"
    assert (recovery.stripe_api_base, recovery.stripe_timeout) == (operator.stripe_api_base, operator.stripe_timeout)
    assert events.rules == service.rules
    assert events.rules.filters != EventRules().filters
    assert events.rules.stored != EventRules().stored
    arguments = containers(manifests)["recovery"]["args"]
    assert arguments == ["recover", "--since", "168h", "--all"]
    assert recover_command.make_context("recover", arguments[1:]).params == {
        "since": timedelta(hours=168),
        "every": True,
        "dry_run": False,
    }


def test_the_page_is_told_what_both_workloads_are(
    programs: ChartPrograms, environ: Callable[[list[Manifest], str], Environ]
) -> None:
    """It asks Stripe as the operator does, and makes the requests that the webhook makes."""
    manifests = render(programs.helm, VALUES["everything"])
    told = environ(manifests, "page")

    page, events = load_settings(PageSettings, told), load_settings(EventSettings, told)
    operator = load_settings(OperatorSettings, environ(manifests, "operator"))
    service = load_settings(ServiceSettings, environ(manifests, "webhook"))

    assert (page.stripe_api_base, page.stripe_timeout) == (operator.stripe_api_base, operator.stripe_timeout)
    assert (page.shop_name, page.shop_url) == (operator.shop_name, operator.shop_url)
    assert events.rules == service.rules
    assert events.rules.filters != EventRules().filters
    assert events.rules.stored != EventRules().stored


def test_the_charts_defaults_are_the_programs(
    programs: ChartPrograms, environ: Callable[[list[Manifest], str], Environ]
) -> None:
    """Installed with no values, each behaves as its page of settings says, but for what a pod needs otherwise."""
    manifests = render(programs.helm)
    shared = {"namespace": "shop", "log_format": LogFormat.JSON}

    assert changed(ServiceSettings, environ(manifests, "webhook")) == {
        **shared,
        "webhook_secrets": ("whsec_1",),
        "drain": timedelta(seconds=5),  # a pod has load balancers before it
    }
    assert changed(OperatorSettings, environ(manifests, "operator")) == {**shared, "stripe_api_key": "sk_test_1"}

    page = changed(PageSettings, environ(render(programs.helm, PAGE), "page"))
    assert page.pop("trusted_proxies")  # a pod has an Ingress before it, which tells who visits
    assert page == {**shared, "stripe_api_key": "sk_test_1", "page_drain": timedelta(seconds=5)}


def test_messages_name_the_values_that_the_variables_are_of(programs: ChartPrograms) -> None:
    """What stands in the one value is what a pod is told by the other: in its environment, or in what is mounted."""
    values = yaml.safe_load(VALUES["everything"].read_text())
    manifests = render(programs.helm, VALUES["everything"])
    told = {variable: text for pod in pod_specs(manifests) for variable, text in told_to(pod, manifests).items()}
    wrong = {variable: path for variable, path in CHART_VALUES.items() if not is_of(get(values, path), told[variable])}
    assert wrong == {}


def told_to(pod: Any, manifests: list[Manifest]) -> dict[str, str]:
    """Give what a pod is told by each variable: the text, or of a file where it is mounted from."""
    sources = {
        mount["mountPath"]: next(each for each in pod["volumes"] if each["name"] == mount["name"])
        for container in pod["containers"]
        for mount in container.get("volumeMounts", [])
    }
    found = {}
    for variable in (each for container in pod["containers"] for each in container["env"]):
        text = str(variable.get("value"))
        source = next((volume for path, volume in sources.items() if text.startswith(path)), None)
        configmap = (source or {}).get("configMap", {}).get("name")
        mounted = [each["data"] for each in manifests if configmap and each["metadata"]["name"] == configmap]
        found[variable["name"].removesuffix("_FILE")] = f"{text} {source} {mounted}" if source else text
    return found


def is_of(value: Any, told: str) -> bool:
    """Tell whether a pod is told what stands in a value."""
    match value:
        case bool():
            return told == str(value).lower() or (value and told.endswith("-recovery"))
        case list() | dict():
            return bool(value) and all(
                key in told for each in value for key in (each if isinstance(each, dict) else [each])
            )
        case _:
            return str(value) in told


def test_ports_are_those_of_the_programs(programs: ChartPrograms) -> None:
    """The containers' ports are where the programs listen, and the probes ask at one of them."""
    service = load_settings(ServiceSettings, {"STRIPE_WEBHOOK_SECRETS": "whsec_1"})
    page = load_settings(PageSettings, {"STRIPE_API_KEY": "sk_test_1"})
    found = containers(render(programs.helm, PAGE))

    ports = {
        name: {each["name"]: each["containerPort"] for each in found[name]["ports"]}
        for name in ("webhook", "operator", "page")
    }

    assert ports == {
        "webhook": {"http": service.webhook_port, "metrics": service.management_port},
        "operator": {"metrics": service.management_port},
        "page": {"http": page.page_port, "metrics": page.management_port},
    }


@pytest.mark.parametrize("path", [path for path, default in TEXTS.items() if default])
def test_an_empty_value_is_refused_by_its_name(programs: ChartPrograms, path: str) -> None:
    """No program finds an empty value where there should be one: the chart refuses it."""
    with pytest.raises(HelmError, match=rf"at '/{path.replace('.', '/')}'"):
        render(programs.helm, put({}, path, ""))


def changed(settings: type[S], environ: Environ) -> dict[str, Any]:
    """Return what differs from the settings that a program has when it is told nothing."""
    loaded = msgspec.structs.asdict(load_settings(settings, environ))
    defaults = {each.name: each.default for each in msgspec.structs.fields(settings)}
    return {name: value for name, value in loaded.items() if value != defaults[name]}
