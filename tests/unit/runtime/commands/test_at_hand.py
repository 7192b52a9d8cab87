"""Which namespace a command is about that a person runs."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fulfillment_runtime.commands.at_hand import at_hand
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import WorkloadSettings, load_settings

KUBECONFIG = """
current-context: shop
contexts:
  - {name: shop, context: {cluster: c, user: u, namespace: harbour-goods}}
  - {name: other, context: {cluster: c, user: u}}
"""


def settings_of(environ: Mapping[str, str]) -> WorkloadSettings:
    return at_hand(load_settings(WorkloadSettings, environ), environ)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "harbour-goods"),
        ({"FULFILLMENT_NAMESPACE": "elsewhere"}, "elsewhere"),
    ],
)
def test_it_is_kubectls_own_unless_a_variable_names_one(tmp_path: Path, changes: dict[str, str], expected: str) -> None:
    """An export of another namespace would be empty, and a restore go where no operator looks."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG, encoding="utf-8")
    settings = settings_of({"KUBECONFIG": str(file), **changes})
    assert (settings.namespace, settings.kubeconfig) == (expected, str(file))


def test_files_name_both_as_well(tmp_path: Path) -> None:
    """As each setting may stand in a file."""
    kubeconfig, namespace, named = (tmp_path / name for name in ("kubeconfig", "namespace", "path"))
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    namespace.write_text("elsewhere\n", encoding="utf-8")
    named.write_text(str(kubeconfig), encoding="utf-8")
    environ = {"KUBECONFIG_FILE": str(named)}
    assert settings_of(environ).namespace == "harbour-goods"
    in_a_file = environ | {"FULFILLMENT_NAMESPACE_FILE": str(namespace)}
    assert settings_of(in_a_file).namespace == "elsewhere"


def test_without_a_kubeconfig_it_says_so(tmp_path: Path) -> None:
    """There is no cluster to ask, either."""
    with pytest.raises(SettingsError, match="which is not there: set it to a kubeconfig file"):
        settings_of({"KUBECONFIG": str(tmp_path / "none")})
