"""Finds the programs that the world on one machine runs, and gets those that are missing.

A program is taken from `KUBEBUILDER_ASSETS` (the variable of Kubernetes' envtest) or PATH, else from this project's
cache, else out of the official envtest archive, else it is built from the Go module in local/modules that pins it.
`python -m fulfillment_local.programs` does it ahead of time, and prints where they are.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from fulfillment_local import envtest, versions
from fulfillment_local.go_modules import GoModule, build_from_module
from fulfillment_local.versions import Program
from fulfillment_runtime.progress import progress

Say = Callable[[str], None]
"""Tells the person who waits what is being done, a line at a time."""
Build = Callable[[GoModule, str, Path, Mapping[str, str]], None]
"""Builds a Go package (its import path) of a module into a file, in an environment."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A Kubernetes API server, and what it takes to run and use it."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus, and the tool that tries its rules."""

    prometheus: Path
    promtool: Path


@dataclass(frozen=True, slots=True)
class ChartPrograms:
    """What renders the chart, checks it, and writes its README."""

    helm: Path
    oldest_helm: Path
    """Helm 3.14: the oldest that the chart supports."""
    kubeconform: Path
    helm_unittest: Path
    helm_docs: Path


def _say(line: str) -> None:
    click.echo(line, err=True)


def find_programs(
    environ: Mapping[str, str],
    *,
    index_url: str = envtest.INDEX_URL,
    build: Build = build_from_module,
    say: Say = _say,
) -> Programs:
    """Find what runs a Kubernetes API; download or build what is missing. The first time may take minutes.

    Args:
        environ: environment variables, such as `os.environ`.
        index_url: where the list of envtest archives is.
        build: how a missing program is built.
        say: told each step.

    Raises:
        UnavailableError: a program is not there, and cannot be had.
    """
    wanted = (versions.KUBE_APISERVER, versions.ETCD, versions.KUBECTL)  # the order in which building is quickest
    kube_apiserver, etcd, kubectl = _find(wanted, environ, build, say, index_url)
    return Programs(etcd=etcd, kube_apiserver=kube_apiserver, kubectl=kubectl)


def find_older_kubernetes(
    version: str,
    environ: Mapping[str, str],
    *,
    index_url: str = envtest.INDEX_URL,
    build: Build = build_from_module,
    say: Say = _say,
) -> Path:
    """Find a kube-apiserver of an older Kubernetes, with its kubectl; download or build what is missing.

    Args:
        version: its minor version, one of `versions.OLDER_KUBERNETES`.
        environ: environment variables, such as `os.environ`.
        index_url: where the list of envtest archives is.
        build: how a missing program is built.
        say: told each step.

    Returns:
        The folder that has both, to be named by `KUBEBUILDER_ASSETS`.

    Raises:
        UnavailableError: a program cannot be had.
    """
    kube_apiserver, _ = _find(versions.OLDER_KUBERNETES[version], environ, build, say, index_url)
    return kube_apiserver.parent


def find_stripe_mock(environ: Mapping[str, str], *, build: Build = build_from_module, say: Say = _say) -> Path:
    """Find Stripe's mock in the cache, or build it: only the pinned one, as each has its own version of the schema.

    Raises:
        UnavailableError: it is not there, and cannot be built.
    """
    (stripe_mock,) = _find([versions.STRIPE_MOCK], environ, build, say)
    return stripe_mock


def find_prometheus(environ: Mapping[str, str], *, build: Build = build_from_module, say: Say = _say) -> Prometheus:
    """Find Prometheus and promtool, or build them: they discover targets in Kubernetes and in files, and have no UI.

    Raises:
        UnavailableError: they are not there, and cannot be built.
    """
    prometheus, promtool = _find([versions.PROMETHEUS, versions.PROMTOOL], environ, build, say)
    return Prometheus(prometheus, promtool)


def find_helm(environ: Mapping[str, str], *, build: Build = build_from_module, say: Say = _say) -> Path:
    """Find Helm 4, or build it.

    Raises:
        UnavailableError: it is not there, and cannot be built.
    """
    (helm,) = _find([versions.HELM], environ, build, say)
    return helm


def find_registry(environ: Mapping[str, str], *, build: Build = build_from_module, say: Say = _say) -> Path:
    """Find a registry of images and charts in the cache, or build it.

    Raises:
        UnavailableError: it is not there, and cannot be built.
    """
    (registry,) = _find([versions.REGISTRY], environ, build, say)
    return registry


def find_chart_programs(
    environ: Mapping[str, str], *, build: Build = build_from_module, say: Say = _say
) -> ChartPrograms:
    """Find what the chart's tests and its README need, or build it.

    Raises:
        UnavailableError: a program is not there, and cannot be built.
    """
    helm = find_helm(environ, build=build, say=say)
    others = (versions.OLDEST_HELM, versions.KUBECONFORM, versions.HELM_UNITTEST, versions.HELM_DOCS)
    return ChartPrograms(helm, *(_find([each], environ, build, say)[0] for each in others))


def _find(
    wanted: Sequence[Program],
    environ: Mapping[str, str],
    build: Build,
    say: Say,
    index_url: str | None = None,
) -> list[Path]:
    """Find the programs of one module; `index_url` is where to look for a ready-made archive of them."""
    installed = {each: path for each in wanted if (path := _installed(each, environ, say))}
    folder = _cache(environ) / f"{wanted[0].module.name}-{wanted[0].module.version}"
    to_make = [each for each in wanted if each not in installed]
    if _missing(to_make, folder):
        with _locked(folder, to_make, say):
            if index_url is not None:
                _download(_missing(to_make, folder), folder, index_url, say)
            _build(_missing(to_make, folder), folder, environ, build, say)
    return [installed.get(each, folder / each.name) for each in wanted]


def _installed(program: Program, environ: Mapping[str, str], say: Say) -> Path | None:
    """Find the program in `KUBEBUILDER_ASSETS` or PATH, if any but the pinned one will do, and it is new enough."""
    if not program.oldest:
        return None
    for variable in ("KUBEBUILDER_ASSETS", "PATH"):
        found = shutil.which(program.name, path=environ.get(variable) or os.devnull)
        if found is None:
            continue
        version = _version([found, *program.ask_version])
        if version >= program.oldest:
            return Path(found)
        needed = ".".join(map(str, program.oldest))
        has = "does not tell its version" if not version else f"is {'.'.join(map(str, version))}"
        say(f"{program.name}: {found} ({variable}) {has}, and {needed} or newer is needed: passed over")
    return None


def _version(command: Sequence[str]) -> tuple[int, ...]:
    """Ask a program for its version; an empty one is older than any."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - our own arguments
    except (OSError, subprocess.TimeoutExpired):
        return ()
    version = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in version.groups()) if version else ()


def _cache(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home(), ".cache")
    return Path(base, "checkout-fulfillment")


def _missing(programs: Sequence[Program], folder: Path) -> list[Program]:
    return [each for each in programs if not (folder / each.name).exists()]


def _download(programs: Sequence[Program], folder: Path, index_url: str, say: Say) -> None:
    if not programs:  # another process made them meanwhile
        return
    try:
        archive = envtest.find_archive(programs[0].module.version, index_url)
        say(f"{_names(programs)}: downloading {archive.url} (about a minute, once)")
        with _adding_to(folder) as partial:
            envtest.download(archive, {each.name for each in programs}, partial)
    except envtest.DownloadError as error:
        say(f"{_names(programs)}: not downloaded: {error}")


def _build(programs: Sequence[Program], folder: Path, environ: Mapping[str, str], build: Build, say: Say) -> None:
    for program in programs:
        say(f"{program.name}: building from source ({program.build_time}, once)")
        with progress(program.name), _adding_to(folder) as partial:
            build(program.module, program.package, partial / program.name, environ)


def _names(programs: Sequence[Program]) -> str:
    return ", ".join(each.name for each in programs)


@contextmanager
def _locked(folder: Path, programs: Sequence[Program], say: Say) -> Iterator[None]:
    """Let one process at a time fill the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{_names(programs)}: another process is getting them; waiting for it (a few minutes at most)")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _adding_to(folder: Path) -> Iterator[Path]:
    """Give a folder to make programs in. They appear in the other one whole, or not at all."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    partial.mkdir()
    try:
        yield partial
        for made in partial.iterdir():
            made.chmod(0o755)
            made.replace(folder / made.name)
    finally:
        shutil.rmtree(partial)


@click.command()
@click.option("--chart", is_flag=True, help="What tries the chart and its alerts, instead of what the demo runs.")
@click.option(
    "--kubernetes",
    type=click.Choice(tuple(versions.OLDER_KUBERNETES)),
    help="The folder of an older API server and its kubectl, for KUBEBUILDER_ASSETS, instead of what the demo runs.",
)
def main(*, chart: bool, kubernetes: str | None) -> None:
    """Print where each program is, after downloading or building what is missing."""
    if kubernetes:
        click.echo(find_older_kubernetes(kubernetes, os.environ))
        return
    for path in _chart_paths() if chart else _demo_paths():
        click.echo(path)


def _demo_paths() -> list[Path]:
    programs = find_programs(os.environ)
    return [programs.etcd, programs.kube_apiserver, programs.kubectl, find_stripe_mock(os.environ)]


def _chart_paths() -> list[Path]:
    tools, monitoring = find_chart_programs(os.environ), find_prometheus(os.environ)
    return [
        *(tools.helm, tools.oldest_helm, tools.kubeconform, tools.helm_unittest, tools.helm_docs),
        *(monitoring.prometheus, monitoring.promtool),
        find_registry(os.environ),
    ]


if __name__ == "__main__":
    main()
