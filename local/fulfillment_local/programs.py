"""Finds the programs that the world on one machine runs, and gets those that are missing.

A program is taken from `KUBEBUILDER_ASSETS` (the variable of Kubernetes' envtest) or PATH, else from this project's
cache, else out of the official envtest archive, else it is built from the Go modules that local/go.mod pins.
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

from fulfillment_local import envtest
from fulfillment_local.go_modules import KUBERNETES, STRIPE_MOCK, build_from_modules

Say = Callable[[str], None]
"""Tells the person who waits what is being done, a line at a time."""
Build = Callable[[str, Path, Mapping[str, str]], None]
"""Builds a Go package (its import path) into a file, in an environment."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A Kubernetes API server, and what it takes to run and use it."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path


@dataclass(frozen=True, slots=True)
class _Program:
    name: str
    package: str
    build_time: str
    ask_version: Sequence[str] = ()
    oldest: tuple[int, ...] = ()


# Selectable fields of custom resources are on by default from Kubernetes 1.31.
_KUBE_APISERVER = _Program(
    "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "about 4 minutes on 2 cores", ("--version",), (1, 31)
)
# The oldest 3.5 whose watch progress the API server trusts (k8s.io/apiserver, storage/feature).
_ETCD = _Program("etcd", "go.etcd.io/etcd/server/v3", "under a minute", ("--version",), (3, 5, 13))
_KUBECTL = _Program(
    "kubectl", "k8s.io/kubernetes/cmd/kubectl", "about a minute", ("version", "--client"), _KUBE_APISERVER.oldest
)
_STRIPE_MOCK = _Program("stripe-mock", "github.com/stripe/stripe-mock", "under a minute")


def _say(line: str) -> None:
    click.echo(line, err=True)


def find_programs(
    environ: Mapping[str, str],
    *,
    index_url: str = envtest.INDEX_URL,
    build: Build = build_from_modules,
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
    wanted = (_KUBE_APISERVER, _ETCD, _KUBECTL)  # the order in which building is quickest
    installed = {each: path for each in wanted if (path := _installed(each, environ, say))}
    folder = _cache(environ) / f"kubernetes-{KUBERNETES}"
    to_make = [each for each in wanted if each not in installed]
    if _missing(to_make, folder):
        with _locked(folder, to_make, say):
            _download(_missing(to_make, folder), folder, index_url, say)
            _build(_missing(to_make, folder), folder, environ, build, say)
    paths = {each: installed.get(each, folder / each.name) for each in wanted}
    return Programs(etcd=paths[_ETCD], kube_apiserver=paths[_KUBE_APISERVER], kubectl=paths[_KUBECTL])


def find_stripe_mock(environ: Mapping[str, str], *, build: Build = build_from_modules, say: Say = _say) -> Path:
    """Find Stripe's mock in the cache, or build it: only the pinned one, as each has its own version of the schema.

    Raises:
        UnavailableError: it is not there, and cannot be built.
    """
    folder = _cache(environ) / f"stripe-mock-{STRIPE_MOCK}"
    if _missing([_STRIPE_MOCK], folder):
        with _locked(folder, [_STRIPE_MOCK], say):
            _build(_missing([_STRIPE_MOCK], folder), folder, environ, build, say)
    return folder / _STRIPE_MOCK.name


def _installed(program: _Program, environ: Mapping[str, str], say: Say) -> Path | None:
    """Find the program in `KUBEBUILDER_ASSETS` or PATH, if it is new enough."""
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


def _missing(programs: Sequence[_Program], folder: Path) -> list[_Program]:
    return [each for each in programs if not (folder / each.name).exists()]


def _download(programs: Sequence[_Program], folder: Path, index_url: str, say: Say) -> None:
    if not programs:  # another process made them meanwhile
        return
    try:
        archive = envtest.find_archive(KUBERNETES, index_url)
        say(f"{_names(programs)}: downloading {archive.url} (about a minute, once)")
        with _adding_to(folder) as partial:
            envtest.download(archive, {each.name for each in programs}, partial)
    except envtest.DownloadError as error:
        say(f"{_names(programs)}: not downloaded: {error}")


def _build(programs: Sequence[_Program], folder: Path, environ: Mapping[str, str], build: Build, say: Say) -> None:
    for program in programs:
        say(f"{program.name}: building from source ({program.build_time}, once)")
        with _adding_to(folder) as partial:
            build(program.package, partial / program.name, environ)


def _names(programs: Sequence[_Program]) -> str:
    return ", ".join(each.name for each in programs)


@contextmanager
def _locked(folder: Path, programs: Sequence[_Program], say: Say) -> Iterator[None]:
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
def main() -> None:
    """Print where each program is, after downloading or building what is missing."""
    programs = find_programs(os.environ)
    for path in (programs.etcd, programs.kube_apiserver, programs.kubectl, find_stripe_mock(os.environ)):
        click.echo(path)


if __name__ == "__main__":
    main()
