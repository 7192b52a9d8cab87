"""What docs/security.md says of rights, tokens and Secrets is what the chart gives, and a real API server tells."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from yaml import safe_load

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import DEFAULTS, VALUES, Manifest, pods, render
from support.fast_yaml import load_all
from support.kubectl import kubectl
from support.order_jobs import TEMPLATE
from support.repository import ROOT
from support.rights import Right, can_i_list, conditions, documented, listed, secrets

pytestmark = pytest.mark.xdist_group("chart on another API server")

ACCOUNTS = ("webhook", "operator", "page", "recovery", "test")
RBAC = {"ServiceAccount", "Role", "RoleBinding"}
RETENTION, RECOVERY, JOB = "`retention` is not 0s", "`recovery.enabled`", "a backend is `job`"
PAGE = "`page.enabled`"
INSTALLATIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "defaults": ({}, {RETENTION}),
    "all that adds rights": (
        {
            "recovery": {"enabled": True},
            "page": {"enabled": True},
            "backend": {"name": "job", "job": {"template": safe_load(TEMPLATE)}},
        },
        {RETENTION, RECOVERY, JOB, PAGE},
    ),
    "nothing that adds rights": ({"retention": "0s"}, set()),
}
EFFECTIVE_WITHIN = 10.0  # seconds until the API server goes by new rules; it takes milliseconds

every_values_file = pytest.mark.parametrize("values", [None, *VALUES.values()], ids=["defaults", *VALUES])


@pytest.mark.parametrize(("values", "switched_on"), INSTALLATIONS.values(), ids=INSTALLATIONS)
def test_each_account_may_do_what_the_table_says(
    control_plane: ControlPlane,
    namespace: str,
    programs: ChartPrograms,
    values: Mapping[str, Any],
    switched_on: set[str],
) -> None:
    """The API server lists exactly that, beside what it lists for an account that nobody gave anything."""
    rendered = render(programs.helm, values, f"--namespace={namespace}")
    kubectl(control_plane, "apply", "-f", "-", manifests=[each for each in rendered if each["kind"] in RBAC])
    for account in ACCOUNTS:
        expected = documented(account, switched_on)
        assert rights(control_plane, f"checkout-fulfillment-{account}", namespace, expected) == expected


def test_no_right_leaves_the_namespace(control_plane: ControlPlane, namespace: str, programs: ChartPrograms) -> None:
    """In another namespace, and for what is in none, each account may do nothing more than any other."""
    values, _ = INSTALLATIONS["all that adds rights"]
    rendered = render(programs.helm, values, f"--namespace={namespace}")
    kubectl(control_plane, "apply", "-f", "-", manifests=[each for each in rendered if each["kind"] in RBAC])
    for account in ACCOUNTS:
        name = f"checkout-fulfillment-{account}"
        said = kubectl(control_plane, *can_i_list(name, "default", of_namespace=namespace))
        assert listed(said) == of_anyone(control_plane, "default")


def test_the_table_names_no_other_condition() -> None:
    """A row whose condition no installation here has would be compared with nothing."""
    assert conditions(ACCOUNTS) == {RETENTION, RECOVERY, JOB, PAGE}


@every_values_file
def test_tokens_are_mounted_only_where_they_are_used(programs: ChartPrograms, values: Path | None) -> None:
    """Each pod has one of an account of its own, which is bound to a Role; no account mounts one by itself."""
    manifests = render(programs.helm, values)
    made = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "ServiceAccount"}
    assert not any(each["automountServiceAccountToken"] for each in made.values())

    used = [each["spec"]["serviceAccountName"] for each in pods(manifests)]
    assert all(each["spec"]["automountServiceAccountToken"] for each in pods(manifests))
    bound = [one["name"] for each in manifests if each["kind"] == "RoleBinding" for one in each["subjects"]]
    if values == VALUES["nothing"]:
        assert bound == []  # the cluster's administrator binds accounts of their own
        return
    assert sorted(used) == sorted(bound) == sorted(made)


def test_the_stand_ins_have_no_token(programs: ChartPrograms) -> None:
    """They call no API server."""
    stand_ins = pods(render(programs.helm, None, chart=ROOT / "local/chart"))
    assert len(stand_ins) == 3
    assert not any(each["spec"]["automountServiceAccountToken"] for each in stand_ins)


def test_each_pod_mounts_the_secrets_of_the_table(programs: ChartPrograms) -> None:
    """With everything switched on, each key of the table and no other, as files: none is in an environment."""
    file = VALUES["everything"]
    (values,) = load_all(file.read_text(encoding="utf-8"))
    found = pods(render(programs.helm, file))
    assert {component(each) for each in found} == set(ACCOUNTS)
    for pod in found:
        rows = secrets(component(pod))
        assert mounted(pod) == {key for row in rows for key in keys(values, row)}
        assert not any("valueFrom" in env and "secretKeyRef" in env["valueFrom"] for env in environment(pod))


def test_each_pod_mounts_no_more_secrets_than_always_by_default(programs: ChartPrograms) -> None:
    """What is not switched on is not mounted."""
    found = pods(render(programs.helm))
    assert {component(each) for each in found} == set(ACCOUNTS) - {"page", "recovery"}
    for pod in found:
        rows = [row for row, when in secrets(component(pod)).items() if when == "always"]
        assert mounted(pod) == {key for row in rows for key in keys(DEFAULTS, row)}


def component(pod: Manifest) -> str:
    found: str = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    return found


def environment(pod: Manifest) -> list[Manifest]:
    return [env for container in pod["spec"]["containers"] for env in container["env"]]


def mounted(pod: Manifest) -> set[tuple[str, str]]:
    """Return the keys that a pod mounts, as (Secret, key)."""
    found = set()
    for volume in pod["spec"]["volumes"]:
        sources = volume.get("projected", {}).get("sources", [])
        for name, source in [
            *((each["secret"]["name"], each["secret"]) for each in sources),
            *((each["secretName"], each) for each in [volume.get("secret")] if each),
        ]:
            found |= {(name, item["key"]) for item in source["items"]}
    return found


def keys(values: Manifest, row: str) -> set[tuple[str, str]]:
    """Return what a value names, as (Secret, key): a key of the Secret beside it, or a list of both."""
    *path, last = row.split(".")
    place = values
    for each in path:
        place = place[each]
    if isinstance(place[last], list):
        return {(each["name"], each["key"]) for each in place[last]}
    return {(place["existingSecret"], place[last])}


def rights(control_plane: ControlPlane, account: str, namespace: str, expected: set[Right]) -> set[Right]:
    """Return what an account may do beside what anyone may, as soon as it is what is expected."""
    deadline = time.monotonic() + EFFECTIVE_WITHIN
    while True:
        said = kubectl(control_plane, *can_i_list(account, namespace, of_namespace=namespace))
        found = listed(said) - of_anyone(control_plane, namespace)
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.1)  # there is no event to wait for


def of_anyone(control_plane: ControlPlane, namespace: str) -> set[Right]:
    """Return what an account may do that has no Role."""
    found = listed(kubectl(control_plane, *can_i_list("nobody", namespace, of_namespace=namespace)))
    assert Right("create", "selfsubjectreviews.authentication.k8s.io") in found
    return found
