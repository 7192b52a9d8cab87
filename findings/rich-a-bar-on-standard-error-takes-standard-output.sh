#!/usr/bin/env bash
# rich 15.0.0: a progress bar that is shown on standard error takes standard output with it.
#
# What is printed while the bar lasts goes to the terminal, and the file or the pipe that standard output is gets nothing.
# `Progress` has redirect_stdout=True by default, so that prints stand above the bar: it puts a proxy in the place of
# sys.stdout that writes to the bar's own console, whatever sys.stdout was.
#
# Seen:
#   default: the pipe got b'', the terminal also the line
#   off: the pipe got b'cs-1 retried\n', the terminal not the line
# Whoever pipes the output of a command must turn it off, unless standard output is a terminal, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0
cat > "$work/bar.py" <<'P'
import sys

from rich.console import Console
from rich.progress import Progress

with Progress(console=Console(stderr=True), redirect_stdout=sys.argv[1] == "default") as bar:
    bar.add_task("orders", total=1)
    print("cs-1 retried")
P
cat > "$work/finding.py" <<'P'
import os
import pty
import subprocess
import sys

seen = {}
for how in ("default", "off"):
    terminal, end = pty.openpty()
    command, environ = [sys.executable, sys.argv[1], how], {**os.environ, "TERM": "xterm"}
    piped = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, env=environ, check=True).stdout
    seen[how] = piped, b"cs-1" in os.read(terminal, 65536)
    print(f"{how}: the pipe got {piped!r}, the terminal {'also' if seen[how][1] else 'not'} the line")
assert seen == {"default": (b"", True), "off": (b"cs-1 retried\n", False)}, seen
P
"$work/venv/bin/python" "$work/finding.py" "$work/bar.py"
