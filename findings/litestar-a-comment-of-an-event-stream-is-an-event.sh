#!/usr/bin/env bash
# litestar 2.25.0 (Python): a server-sent comment is also an event, with an empty text.
#
# A comment (": …") keeps the connection of an event stream open, and a browser ignores it (HTML, "Server-sent events").
# `ServerSentEventMessage(comment="still here")` is Litestar's way to send one: but its `data` is the empty text unless
# it is told to be None, so the message ends with "data: ", and the browser dispatches an event. Whatever listens, such
# as a script that puts the event's data into the page, empties the page at the first heartbeat.
#
# Seen:
#   comment alone: b': still here\r\ndata: \r\n\r\n'
#   with data=None: b': still here\r\n\r\n'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litestar==2.25.0
cat > "$work/finding.py" <<'P'
from litestar.response import ServerSentEventMessage

alone = ServerSentEventMessage(comment="still here").encode()
without = ServerSentEventMessage(comment="still here", data=None).encode()
print(f"comment alone: {alone}")
print(f"with data=None: {without}")
assert alone == b": still here\r\ndata: \r\n\r\n", alone
assert without == b": still here\r\n\r\n", without
P
"$work/venv/bin/python" "$work/finding.py"
