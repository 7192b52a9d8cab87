"""Which namespace and which contexts a kubeconfig names: the rules are kubectl's."""

import os
from pathlib import Path

import pytest

from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.kubernetes.kubeconfig import contexts_at_hand, namespace_at_hand

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


def test_the_contexts_of_all_files_are_listed_once(tmp_path: Path) -> None:
    """In the order of the files."""
    kubeconfig = written(tmp_path, f"contexts: [{SHOP}]", f"contexts: [{BARE}, {SHOP}]", "")
    assert contexts_at_hand(kubeconfig) == ["shop", "bare"]
