"""Which clusters `make images` and `make e2e` touch, and how they are given images."""

from pathlib import Path

import pytest

from fulfillment_local.e2e_context import is_for_trials, trial_context
from fulfillment_local.images import IMAGES, commands
from fulfillment_runtime.fatal_errors import SettingsError
from support.repository import ROOT


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


@pytest.mark.parametrize(
    ("context", "command", "expected"),
    [
        ("kind-shop", None, ["docker build --tag a:1 --target b .", "kind load docker-image a:1 --name shop"]),
        ("k3d-shop", None, ["docker build --tag a:1 --target b .", "k3d image import a:1 --cluster shop"]),
        ("minikube", None, ["docker build --tag a:1 --target b .", "minikube image load a:1"]),
        ("docker-desktop", None, ["docker build --tag a:1 --target b ."]),
        ("rancher-desktop", None, ["docker build --tag a:1 --target b ."]),
        ("local", "my/image build", ["my/image build . a:1 --target b"]),
        ("kind-shop", "my/image build", ["my/image build . a:1 --target b"]),
    ],
)
def test_an_image_is_loaded_by_the_clusters_own_means(context: str, command: str | None, expected: list[str]) -> None:
    """Unless a person says how."""
    found = commands(context, command, ".", "a:1", ("--target", "b"))
    assert [each.split() for each in expected] == found


def test_a_cluster_of_which_nobody_knows_how_is_refused() -> None:
    """The message says what to set."""
    with pytest.raises(SettingsError, match="E2E_IMAGE, a command"):
        commands("local", None, ".", "a:1", ())


def test_both_images_are_stages_of_the_dockerfile() -> None:
    """The product is the last one, which needs no target."""
    text = (ROOT / "Dockerfile").read_text()
    assert [("checkout-fulfillment", ()), ("checkout-fulfillment-world", ("--target", "world"))] == [
        (image.name, image.options) for image in IMAGES
    ]
    assert " AS world\n" in text
    assert "FROM runtime\n" in text


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
