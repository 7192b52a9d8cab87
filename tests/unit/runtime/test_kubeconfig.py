"""Which namespace and which contexts a kubeconfig names: the rules are kubectl's."""

import os
from pathlib import Path

import pytest

from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.kubernetes.kubeconfig import contexts_at_hand, is_of_a_pod, namespace_at_hand

SHOP = "{name: shop, context: {cluster: c, user: u, namespace: orders}}"
BARE = "{name: bare, context: {cluster: c}}"


def written(folder: Path, *contents: str) -> str:
    """Write kubeconfig files, and name them as KUBECONFIG does."""
    files = [folder / f"{number}.yaml" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    return os.pathsep.join(map(str, files))


@pytest.mark.parametrize(
    ("contents", "context", "namespace"),
    [
        ([f"current-context: shop\ncontexts: [{BARE}, {SHOP}]"], None, "orders"),
        ([f"current-context: shop\ncontexts: [{BARE}, {SHOP}]"], "bare", "default"),
        ([f"contexts: [{SHOP}]", "current-context: shop"], None, "orders"),
        (["current-context: shop", f"current-context: bare\ncontexts: [{SHOP}, {BARE}]"], None, "orders"),
        ([f"current-context: shop\ncontexts: [{SHOP}]", f"contexts: [{SHOP.replace('orders', 'x')}]"], None, "orders"),
    ],
)
def test_the_namespace_is_the_contexts(
    tmp_path: Path, contents: list[str], context: str | None, namespace: str
) -> None:
    """Of several files, what the first one says of a thing holds."""
    assert namespace_at_hand(written(tmp_path, *contents), context) == namespace


@pytest.mark.parametrize(
    ("content", "context", "why"),
    [
        (f"contexts: [{SHOP}]", None, "it has no current context: kubectl config use-context NAME"),
        ("current-context: gone", None, "it has no context 'gone'"),
        (f"current-context: shop\ncontexts: [{SHOP}]", "gone", "it has no context 'gone'"),
        ("[1]", None, "it is none"),
        ("a: b: c", None, "it is none"),
        ("contexts: [{name: shop}]", None, "it is none"),
    ],
)
def test_a_wrong_kubeconfig_is_said_to_be_one(tmp_path: Path, content: str, context: str | None, why: str) -> None:
    """In one line, which says what is wrong with it."""
    with pytest.raises(SettingsError) as caught:
        namespace_at_hand(written(tmp_path, content), context)
    assert caught.value.message == f"no Kubernetes API to talk to: the kubeconfig is wrong: {why}"


@pytest.mark.parametrize(
    ("has_kubeconfig", "context", "namespace"),
    [(False, None, "of-the-pod"), (True, None, "orders"), (True, "bare", "default")],
)
def test_in_a_pod_a_kubeconfig_goes_before_the_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_kubeconfig: bool, context: str | None, namespace: str
) -> None:
    """As kubectl has it, which carries the plugin's requests: both must mean the same cluster."""
    of_kubectl, of_pod = tmp_path / "config", tmp_path / "namespace"
    of_pod.write_text("of-the-pod")
    if has_kubeconfig:
        of_kubectl.write_text(f"current-context: shop\ncontexts: [{BARE}, {SHOP}]")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setattr("fulfillment_runtime.kubernetes.kubeconfig._OF_KUBECTL", of_kubectl)
    monkeypatch.setattr("fulfillment_runtime.kubernetes.kubeconfig._OF_POD", of_pod)
    assert namespace_at_hand(None, context) == namespace
    assert is_of_a_pod(None, context) is not has_kubeconfig


def test_the_contexts_of_all_files_are_listed_once(tmp_path: Path) -> None:
    """In the order of the files."""
    kubeconfig = written(tmp_path, f"contexts: [{SHOP}]", f"contexts: [{BARE}, {SHOP}]", "")
    assert contexts_at_hand(kubeconfig) == ["shop", "bare"]
