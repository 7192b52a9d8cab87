"""`make release` publishes the chart to a registry on loopback, and what is installed from there pulls its image."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from fulfillment_local.programs import ChartPrograms, find_registry
from fulfillment_runtime.sockets import listen
from support.chart_rendering import run_helm
from support.fast_yaml import load_all
from support.repository import ROOT

_STARTS_WITHIN = 30  # seconds


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    """Run a registry, and give its address."""
    with listen(0, what="the registry's port", setting="") as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
    }
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(find_registry(os.environ), "serve", file)
    try:
        async with asyncio.timeout(_STARTS_WITHIN), aiohttp.ClientSession() as http:
            while not await answers(http, f"http://{address}/v2/"):  # noqa: ASYNC110 - it tells nobody when it listens
                await asyncio.sleep(0.05)
        yield address
    finally:
        process.terminate()
        await process.wait()


async def answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.ok
    except aiohttp.ClientConnectionError:
        return False


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """Commit the files at hand to a repository of their own: what is released is clean."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for each in ("Dockerfile", "Makefile", "packaging", "charts"):
        source = ROOT / each
        (shutil.copytree if source.is_dir() else shutil.copy)(source, clone / each)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Release"]):
        git(clone, *command)
    yield clone
    shutil.rmtree(clone)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@shop.example")
    return subprocess.run(  # noqa: S603 - our own arguments
        ["git", *who, *arguments],  # noqa: S607 - the PATH's git
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


Release = Callable[..., Awaitable[tuple[int | None, str]]]
Calls = Callable[[], list[str]]


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Give what tells what Docker was asked for: there is no engine here, so that is what is tried."""
    return lambda: (tmp_path / "docker.calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def release(registry: str, clone: Path, programs: ChartPrograms, tmp_path: Path) -> Release:
    """Give what runs `make release` with options, and returns its exit code and what it says."""
    tools = tmp_path / "bin"
    tools.mkdir()
    docker = tools / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/docker.calls\n', encoding="utf-8")
    docker.chmod(0o755)
    (tools / "helm").symlink_to(programs.helm)
    path = f"{tools}:{os.environ['PATH']}"

    async def release(*options: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *("make", "release", f"REGISTRY={registry}/acme", *options),
            cwd=clone,
            env={"PATH": path, "HOME": str(tmp_path), "HELM_PUSH_FLAGS": "--plain-http"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        return process.returncode, output

    return release


async def test_a_release_can_be_installed(
    registry: str,
    clone: Path,
    calls: Calls,
    release: Release,
    programs: ChartPrograms,
    tmp_path: Path,
) -> None:
    """Image and chart have one version, the image is labelled with the commit, and the chart names the image."""
    code, output = await release()
    assert code == 0, output

    version = yaml.safe_load((clone / "charts/checkout-fulfillment/Chart.yaml").read_text(encoding="utf-8"))["version"]
    image = f"{registry}/acme/checkout-fulfillment:{version}"
    revision = git(clone, "rev-parse", "HEAD")
    assert calls() == [
        f"build --build-arg REVISION={revision} --tag {image} .",
        f"push {image}",
    ]
    chart = f"oci://{registry}/acme/charts/checkout-fulfillment"
    assert f"helm install checkout-fulfillment {chart} --version {version} " in output
    pulled = run_helm(
        programs.helm,
        *("template", "checkout-fulfillment", chart, f"--version={version}", "--plain-http"),
        "--kube-version=1.31.0",
        kubeconfig=tmp_path / "none",
    )
    pods = [each["spec"]["template"]["spec"] for each in load_all(pulled) if each["kind"] == "Deployment"]
    assert [pod["containers"][0]["image"] for pod in pods] == [image, image]


async def test_a_version_is_of_one_commit(clone: Path, calls: Calls, release: Release) -> None:
    """It may be released again, with another base image, say; one of another commit is refused before the build."""
    assert (await release())[0] == 0
    pinned = "--build-arg PYTHON_IMAGE=docker.io/library/python@sha256:0"
    for options in ((), ("PLATFORMS=linux/amd64,linux/arm64",)):
        code, output = await release(f"IMAGE_OPTIONS={pinned}", *options)
        assert code == 0, output
    asked = calls()
    assert [each for each in asked if pinned in each] == [asked[2], asked[4]]
    assert asked[4].startswith(f"buildx build --platform linux/amd64,linux/arm64 {pinned} ")

    git(clone, "commit", "--allow-empty", "-q", "-m", "Go on")
    code, output = await release()
    assert code != 0
    assert "of another commit already. Give this one a version of its own" in output
    assert calls() == asked


def test_what_is_not_committed_is_not_released(clone: Path) -> None:
    """The label would name a commit that does not hold it."""
    dockerfile = clone / "Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text(encoding='utf-8')}\n", encoding="utf-8")
    run = subprocess.run(
        ["/bin/sh", "packaging/release.sh"],
        cwd=clone,
        env={"PATH": os.environ["PATH"], "REGISTRY": "registry.example"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "a clean working tree" in run.stderr
