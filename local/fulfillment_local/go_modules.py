"""Builds programs from the Go modules in local/modules, each with versions of its own; go.sum holds their content."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fulfillment_runtime.fatal_errors import UnavailableError

MODULES = Path(__file__).parents[1] / "modules"
"""The folder whose folders have a go.mod each: in a checkout, not in an installed package."""

_SHOWN_LINES = 5  # of what Go said when it failed


@dataclass(frozen=True, slots=True)
class GoModule:
    """A folder in local/modules: programs that are built together, with versions that suit no other program."""

    name: str
    """The folder's."""
    version: str
    """That of its programs, which its go.mod pins."""
    linked: tuple[str, ...] = ()
    """What the linker sets, as variable=value: how the programs learn their version."""
    tags: tuple[str, ...] = ()
    """Go's build tags."""


def build_from_module(module: GoModule, package: str, target: Path, environ: Mapping[str, str]) -> None:
    """Build a program, statically, so that it runs on any machine of this platform.

    Args:
        module: the one that pins its version.
        package: its import path, of a `tool` line in go.mod.
        target: the file to write.
        environ: environment variables, which tell where Go is.

    Raises:
        UnavailableError: there is no Go, or no go.mod, or the build failed.
    """
    folder = MODULES / module.name
    go = shutil.which("go", path=environ.get("PATH") or "/nowhere")
    if go is None:
        raise UnavailableError(
            f"{target.name} is not on this machine, and there is no Go to build it: install Go 1.26 or newer "
            f"(https://go.dev/dl), or put {target.name} into PATH"
        )
    if not (folder / "go.mod").exists():
        raise UnavailableError(
            f"{target.name} cannot be built here: this is an installed package, and its Go modules are pinned in the "
            f"source repository. Run from a checkout, or put {target.name} into PATH"
        )
    flags = [
        *("-trimpath", "-ldflags", " ".join(["-s -w", *(f"-X {each}" for each in module.linked)])),
        *(("-tags", ",".join(module.tags)) if module.tags else ()),
        *("-o", str(target)),
    ]
    built = subprocess.run(  # noqa: S603 - our own arguments
        [go, "build", *flags, package],
        cwd=folder,
        env={**environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        said = "\n".join(built.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise UnavailableError(f"{target.name} cannot be built from {folder / 'go.mod'}:\n{said}")
