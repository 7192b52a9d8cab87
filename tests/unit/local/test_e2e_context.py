"""Which clusters `make e2e` touches."""

from pathlib import Path

import pytest

from fulfillment_local.e2e_context import is_for_trials, trial_context
from fulfillment_runtime.fatal_errors import SettingsError


@pytest.mark.parametrize(
    ("context", "named", "expected"),
    [
        ("kind-kind", None, True),
        ("k3d-shop", None, True),
        ("minikube", None, True),
        ("docker-desktop", None, True),
        ("rancher-desktop", None, True),
        ("local", "local", True),
        ("local", None, False),
        ("production", "production-2", False),
        ("kindergarten", None, False),
        ("minikube-of-production", None, False),
        ("arn:aws:eks:eu-west-1:1:cluster/kind-shop", None, False),
    ],
)
def test_only_a_cluster_for_trials_is_used(context: str, named: str | None, expected: bool) -> None:
    """One that a tool for trials made, or that a person named, to the letter."""
    assert expected == is_for_trials(context, named)


def test_the_guard_reads_the_current_context(tmp_path: Path) -> None:
    """And says in one line what to do about the wrong one."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho $CONTEXT\n")
    kubectl.chmod(0o755)
    assert trial_context(kubectl, {"CONTEXT": "kind-kind"}) == "kind-kind"
    assert trial_context(kubectl, {"CONTEXT": "shop", "E2E_CONTEXT": "shop"}) == "shop"
    with pytest.raises(SettingsError, match="say E2E_CONTEXT=production"):
        trial_context(kubectl, {"CONTEXT": "production"})
    with pytest.raises(SettingsError, match="KUBECONFIG"):
        trial_context(kubectl, {})
