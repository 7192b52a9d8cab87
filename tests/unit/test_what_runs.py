"""`make demo` installs what runs, and no more: that is enough for the product and the stand-ins."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from packaging.utils import canonicalize_name

from support.repository import ROOT

PROGRAM = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is not installed by `make demo`", name=name)

missing = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Missing())
for name in ("api", "runtime", "service", "operator", "page", "cli", "local"):
    package = importlib.import_module(f"fulfillment_{name}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        print(module.name)
"""


def locked(*names: str) -> set[str]:
    """Give what lock files install."""
    text = "".join((ROOT / f"requirements-{name}.lock").read_text(encoding="utf-8") for name in names)
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_what_runs_imports_nothing_that_only_work_on_it_needs() -> None:
    """Every module of the product and of the stand-ins, without what `make setup` installs besides."""
    only_for_work = locked("dev") - locked("local", "build")
    assert {"mypy", "pytest"} <= only_for_work
    missing = {
        module
        for module, distributions in packages_distributions().items()
        if {canonicalize_name(each) for each in distributions} <= only_for_work
    }
    assert {"mypy", "pytest"} <= missing
    run = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", PROGRAM, ",".join(sorted(missing))], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert "fulfillment_local.demo" in run.stdout.splitlines()
