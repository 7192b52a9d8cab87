"""`make fuzz`: fuzz every target for a while, one after the other, from the corpus that is kept.

`MINUTES` is how long in all, `TARGETS` which ones. What coverage is new is written to `fuzz/out`, and what breaks a
promise as well: a file of it into `fuzz/corpus/<target>` makes `make test` play it for ever.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from fuzz.targets import TARGETS

ROOT = Path(__file__).parent
CORPUS, OUT = ROOT / "corpus", ROOT / "out"
_LARGEST = 16 * 1024
"""Bytes of an input."""
_SLOWEST = 10
"""Seconds that one input may take."""


def main() -> None:
    """Fuzz; the exit code is 1 when something was found."""
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: `make fuzz` does that, on Linux on x86-64; nowhere else can it fuzz")
    names = (os.environ.get("TARGETS") or ",".join(TARGETS)).split(",")
    if unknown := set(names) - set(TARGETS):
        sys.exit(f"TARGETS: there is no {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    seconds = max(1, round(float(os.environ.get("MINUTES") or 4) * 60 / len(names)))
    found = [name for name in names if not _fuzz(name, seconds)]
    if found:
        sys.exit(f"a promise is broken: {', '.join(found)}; the inputs are in {OUT}")
    print(f"no promise was broken: {', '.join(names)}, {seconds} s each")


def _fuzz(name: str, seconds: int) -> bool:
    kept, new = CORPUS / name, OUT / name
    new.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-timeout={_SLOWEST}", f"-max_len={_LARGEST}", "-print_final_stats=1"]
    print(f"== {name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "fuzz.one", name, *options, f"-artifact_prefix={new}-", str(new), str(kept)]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own program


if __name__ == "__main__":
    main()
