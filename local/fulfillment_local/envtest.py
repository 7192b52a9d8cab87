"""Downloads the archive of programs that the Kubernetes project publishes for tests such as ours.

Source of the format: sigs.k8s.io/controller-runtime/tools/setup-envtest, remote/http_client.go and store/store.go.
"""

import hashlib
import http.client
import platform
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

INDEX_URL = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"

_CONNECT_WITHIN = 3  # seconds for each address: where there is no way out, building is to begin soon
_READ_WITHIN = 30  # seconds between two pieces of the archive
_PIECE = 1 << 20  # bytes
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # others have one name everywhere


class DownloadError(Exception):
    """The archive cannot be had, or must not be used."""


class Archive(msgspec.Struct, frozen=True):
    """An archive as the index names it: the programs of one version for one platform."""

    sha512: str = msgspec.field(name="hash")
    url: str = msgspec.field(name="selfLink")


class _Index(msgspec.Struct, frozen=True):
    releases: dict[str, dict[str, Archive]]
    """Version → the archive's file name → archive."""


def find_archive(version: str, index_url: str) -> Archive:
    """Find the archive for this platform.

    Args:
        version: the one wanted, such as "1.37.2". Not each is published: the newest of its minor version will do.
        index_url: where the index is.

    Raises:
        DownloadError: the index cannot be read, or has no such archive.
    """
    try:
        with _opened(index_url, timeout=_CONNECT_WITHIN) as response:
            index = msgspec.yaml.decode(response.read(), type=_Index)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise DownloadError(f"{index_url} cannot be read ({_reason(error)})") from error
    minor = version.rpartition(".")[0]
    platform_name = f"{sys.platform}-{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
    archives = {
        int(match[1]): archive
        for release, files in index.releases.items()
        if (match := re.fullmatch(rf"v{re.escape(minor)}\.(\d+)", release))
        and (archive := files.get(f"envtest-{release}-{platform_name}.tar.gz"))
    }
    if not archives:
        raise DownloadError(f"{index_url} has no Kubernetes {minor} for {platform_name}")
    return archives.get(int(version.rpartition(".")[2]), archives[max(archives)])


def download(archive: Archive, names: Collection[str], folder: Path) -> None:
    """Download an archive, and take these programs out of it into the folder.

    Raises:
        DownloadError: it cannot be had, its content is not what was published, or it lacks a program.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _fetch(archive, file)
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as content:
                _unpack(content, names, folder)
    except (OSError, http.client.HTTPException, tarfile.TarError) as error:
        raise DownloadError(f"{archive.url} cannot be had ({_reason(error)})") from error


def _fetch(archive: Archive, file: IO[bytes]) -> None:
    digest = hashlib.sha512()
    with _opened(archive.url, timeout=_READ_WITHIN) as response:
        while piece := response.read(_PIECE):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != archive.sha512.lower():
        raise DownloadError(f"{archive.url} is refused: its SHA-512 is not the published one")


@contextmanager
def _opened(url: str, *, timeout: float) -> Iterator[IO[bytes]]:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - ours, or its content is checked
            yield response
    except urllib.error.HTTPError as error:
        error.close()  # it holds the answer
        raise


def _unpack(content: tarfile.TarFile, names: Collection[str], folder: Path) -> None:
    missing = set(names)
    for member in content:
        name = PurePosixPath(member.name).name  # the folders in the archive have no meaning
        source = content.extractfile(member) if member.isfile() and name in missing else None
        if source:
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)
            missing.remove(name)
    if missing:
        raise DownloadError(f"the archive lacks {', '.join(sorted(missing))}")


def _reason(error: Exception) -> object:
    return error.reason if isinstance(error, urllib.error.URLError) else error
