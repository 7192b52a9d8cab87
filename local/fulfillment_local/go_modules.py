"""Builds programs from the Go modules that local/go.mod pins; go.sum holds what their content must be."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fulfillment_runtime.exits import UnavailableError

KUBERNETES = "1.37.2"
"""The version of k8s.io/kubernetes in local/go.mod."""
STRIPE_MOCK = "0.203.0"
"""The version of github.com/stripe/stripe-mock in local/go.mod."""

_MODULES = Path(__file__).parents[1]  # local/, which has the go.mod
_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
_LINKER_FLAGS = (
    f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor={_MAJOR} -X {_VERSION}.gitMinor={_MINOR}"
)
_SHOWN_LINES = 5  # of what Go said when it failed


def build_from_modules(package: str, target: Path, environ: Mapping[str, str]) -> None:
    """Build a program, statically, so that it runs on any machine of this platform.

    Args:
        package: its import path, of a `tool` line in go.mod.
        target: the file to write.
        environ: environment variables, which tell where Go is.

    Raises:
        UnavailableError: there is no Go, or no go.mod, or the build failed.
    """
    go = shutil.which("go", path=environ.get("PATH") or "/nowhere")
    if go is None:
        raise UnavailableError(
            f"{target.name} is not on this machine, and there is no Go to build it: install Go 1.26 or newer "
            f"(https://go.dev/dl), or put {target.name} into PATH"
        )
    if not (_MODULES / "go.mod").exists():
        raise UnavailableError(
            f"{target.name} cannot be built here: this is an installed package, and its Go modules are pinned in the "
            f"source repository. Run from a checkout, or put {target.name} into PATH"
        )
    built = subprocess.run(  # noqa: S603 - our own arguments
        [go, "build", "-trimpath", "-ldflags", _LINKER_FLAGS, "-o", str(target), package],
        cwd=_MODULES,
        env={**environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        said = "\n".join(built.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise UnavailableError(f"{target.name} cannot be built from {_MODULES / 'go.mod'}:\n{said}")
