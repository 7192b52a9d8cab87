"""`make images` and `make release`: what they need is told at once, and what they run is what the tools take."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fulfillment_local.e2e_context import is_for_trials
from support.repository import ROOT

IMAGES, RELEASE = ROOT / "packaging/images.sh", ROOT / "packaging/release.sh"
_USED = ("sh", "dirname", "sed", "grep", "cat", "git", "mktemp", "rm", "cp")
VERSION = next(
    line.removeprefix("ARG VERSION=")
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line.startswith("ARG VERSION=")
)


class Machine:
    """A machine that has some programs, which do nothing, and tell how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _USED:
            if found := shutil.which(name):
                (folder / name).symlink_to(found)

    def has(self, name: str, does: str = "") -> None:
        (self.folder / name).write_text(f'#!/bin/sh\n{does}\necho "{name} $*" >&3\n', encoding="utf-8")
        (self.folder / name).chmod(0o755)

    def run(self, script: Path, *arguments: str, **environ: str) -> tuple[int, list[str], str]:
        """Run a script: its exit code, the calls of programs, and what it says is wrong."""
        calls = self.folder / "calls"
        run = subprocess.run(  # noqa: S603 - our own script
            [self.folder / "sh", "-c", f'exec 3>>{calls}; exec sh {script} "$@"', "sh", *arguments],
            env={"PATH": str(self.folder), "HOME": str(self.folder), **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, calls.read_text(encoding="utf-8").splitlines(), run.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("context", "tool", "environ", "expected"),
    [
        ("kind-shop", "kind", {}, ["docker build --tag {} {}.", "kind load docker-image {} --name shop"]),
        ("k3d-shop", "k3d", {}, ["docker build --tag {} {}.", "k3d image import {} --cluster shop"]),
        ("minikube", "minikube", {}, ["docker build --tag {} {}.", "minikube image load {}"]),
        ("docker-desktop", "docker", {}, ["docker build --tag {} {}."]),
        ("rancher-desktop", "docker", {}, ["docker build --tag {} {}."]),
        ("local", "ours", {"E2E_CONTEXT": "local", "E2E_IMAGE": "ours build"}, ["ours build . {} {}"]),
        ("kind-shop", "ours", {"E2E_IMAGE": "ours build"}, ["ours build . {} {}"]),
    ],
)
def test_images_are_loaded_by_the_clusters_own_means(
    machine: Machine, context: str, tool: str, environ: dict[str, str], expected: list[str]
) -> None:
    """With kubectl, Docker and the cluster's tool alone; or as a person says."""
    for name in {"kubectl", "docker", tool} - ({"docker"} if tool == "ours" else set()):
        machine.has(name, f"echo {context}" if name == "kubectl" else "")
    code, calls, said = machine.run(IMAGES, **environ)
    assert (code, said) == (0, "")
    wanted = [
        line.format(image, options).strip()
        for image, options in (
            (f"checkout-fulfillment:{VERSION}", ""),
            (
                f"checkout-fulfillment-world:{VERSION}",
                f"--target world --build-arg PRODUCT_IMAGE=checkout-fulfillment:{VERSION} ",
            ),
        )
        for line in expected
    ]
    asked = ("kubectl config", "docker info")
    assert [call.strip() for call in calls if not call.startswith(asked)] == wanted
    assert is_for_trials(context, environ.get("E2E_CONTEXT"))


def test_all_that_is_missing_is_told_at_once(machine: Machine) -> None:
    """Before anything is built."""
    code, calls, said = machine.run(IMAGES)
    assert (code, calls) == (1, [])
    assert "make images cannot begin. It needs:\n  - kubectl: https" in said
    assert "\n  - docker: https" in said

    machine.has("kubectl", "echo kind-shop")
    machine.has("docker", "exit 1")
    assert machine.run(IMAGES)[2] == (
        "make images cannot begin. It needs:\n"
        "  - kind, which made the cluster of kind-shop, and loads images into it\n"
        "  - Docker at work: `docker info` fails\n"
    )


@pytest.mark.parametrize("context", ["production", "kindergarten", "minikube-of-production", "kind-"])
def test_a_cluster_that_people_live_by_is_refused(machine: Machine, context: str) -> None:
    """The message says how to name one that is for trials all the same."""
    machine.has("kubectl", f"echo {context}")
    machine.has("docker")
    code, calls, said = machine.run(IMAGES)
    assert code == 1
    assert f"say E2E_CONTEXT={context}" in said
    assert [call for call in calls if "build" in call] == []


def test_a_cluster_of_which_nobody_knows_how_is_refused(machine: Machine) -> None:
    """The message says what to set."""
    machine.has("kubectl", "echo local")
    machine.has("docker")
    code, _, said = machine.run(IMAGES, E2E_CONTEXT="local")
    assert code == 1
    assert "E2E_IMAGE: nobody knows how images are loaded into the cluster of local" in said


def test_both_images_are_stages_of_the_dockerfile() -> None:
    """The product is the last one, which needs no target."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert " AS world\n" in text
    assert text.endswith("\nFROM product\n")


def test_a_release_says_at_once_what_it_needs(machine: Machine) -> None:
    """Where it goes, Docker and Helm."""
    code, calls, said = machine.run(RELEASE)
    assert (code, calls) == (1, [])
    assert "make release cannot begin. It needs:\n  - REGISTRY: where to push" in said
    assert "\n  - docker, or podman" in said
    assert "\n  - helm 3.14 or newer" in said
