#!/usr/bin/env bash
# stripe 16.1.0 (Python): the error of a 429 has no `code`, although Stripe's answer has one.
#
# A 429 is the pace of the whole account, of one endpoint, or the lock of one object (code `lock_timeout`), which says
# nothing about the pace. Stripe's documents tell them apart by `code`, and every StripeError has such an attribute. It is
# filled for a 400, a 402 and a 404, and is None for a 429: the code is in `error.error.code`, and in the body.
#
# Seen:
#   400 parameter_missing: code='parameter_missing' error.code='parameter_missing'
#   429 lock_timeout: code=None error.code='lock_timeout'
# Whoever backs off for all orders because of one that is locked has read the wrong attribute.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0
cat > "$work/finding.py" <<'P'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe

ANSWERS = {"cs_test_missing": (400, "parameter_missing"), "cs_test_locked": (429, "lock_timeout")}


class Stripe(BaseHTTPRequestHandler):
    def do_GET(self):
        status, code = ANSWERS[self.path.rpartition("/")[2]]
        body = json.dumps({"error": {"type": "invalid_request_error", "code": code, "message": "no"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Stripe)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = stripe.StripeClient(
    "sk_test_1", base_addresses={"api": f"http://127.0.0.1:{server.server_port}"}, max_network_retries=0
)
seen = []
for session in ANSWERS:
    try:
        client.v1.checkout.sessions.retrieve(session)
    except stripe.StripeError as error:
        seen.append((error.http_status, error.code, error.error.code))
        print(f"{error.http_status} {ANSWERS[session][1]}: code={error.code!r} error.code={error.error.code!r}")
server.shutdown()
assert stripe.VERSION == "16.1.0", stripe.VERSION
assert seen == [(400, "parameter_missing", "parameter_missing"), (429, None, "lock_timeout")], seen
P
"$work/venv/bin/python" "$work/finding.py"
