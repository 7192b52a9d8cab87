"""Writes the bill of materials of the image: CycloneDX, of what requirements.lock puts there.

`python -m fulfillment_local.sbom FILE` does it. cyclonedx-py reads what is installed in an environment, with licences
and dependencies; this one's has more than the image, so it is shown the packages of the lock file alone.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import click
from packaging.requirements import Requirement

from fulfillment_runtime.fatal_errors import UnavailableError

_ROOT = Path(__file__).parents[2]
_IMAGE = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}
"""What the image is, by the names of environment markers; its Python is one that all of the lock file is for."""
_TIME = "SOURCE_DATE_EPOCH"


def locked(lock: str) -> Iterator[Requirement]:
    """Read the requirements of a lock file, as far as the image has them."""
    for line in lock.splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate(_IMAGE):
                yield requirement


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def main(file: Path) -> None:
    """Write the bill of materials of the image into FILE; its time is SOURCE_DATE_EPOCH, if that is set."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sbom-") as folder:
        environment = Path(folder)
        venv.create(environment, symlinks=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        for requirement in locked((_ROOT / "requirements.lock").read_text(encoding="utf-8")):
            _show(_installed(requirement), packages)
        _write(environment / "bin/python", file)
    click.echo(file)


def _installed(requirement: Requirement) -> Distribution:
    found = distribution(requirement.name)
    if not requirement.specifier.contains(found.version, prereleases=True):
        raise UnavailableError(f"{found.name} {found.version} is installed, and not {requirement}: run `make setup`")
    return found


def _show(found: Distribution, packages: Path) -> None:
    """Let an environment have the metadata of a package that is installed here."""
    metadata: Path = found._path  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells the folder
    (packages / metadata.name).symlink_to(metadata)


def _write(python: Path, file: Path) -> None:
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", str(python)),
        "--no-validate",  # which takes ten times as long as all the rest; its test does, more strictly
        *("--pyproject", str(_ROOT / "pyproject.toml"), "--output-reproducible", "--output-file", str(file)),
    ]
    environ = {name: os.environ[name] for name in ("PATH", _TIME) if name in os.environ}
    written = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if written.returncode:
        raise UnavailableError(f"{file} cannot be written:\n{written.stderr.strip()}")


if __name__ == "__main__":
    main()
