#!/usr/bin/env bash
# kubectl 1.37.2: `kubectl wait --for=condition=Ready` does not end on a condition that is True but of an older generation.
#
# With `observedGeneration` in a condition, kubectl compares it with `metadata.generation`, and goes on waiting while it is
# smaller; `status.observedGeneration` beside the conditions plays no part. So a controller that merges only the conditions
# that a change of the spec touched, and leaves the others as they were, lets every wait for those time out, although
# `kubectl get` shows True. A condition without `observedGeneration` is taken at its word.
#
# Seen, with generation 2 and status.observedGeneration 2:
#   condition of generation 1: timed out
#   condition of generation 2: met
#   condition without one: met
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2> /dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/kubectl"
cat > "$work/kubectl/main.go" <<'G'
package main

import (
	"os"

	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	if cmd.NewDefaultKubectlCommand().Execute() != nil {
		os.Exit(1)
	}
}
G
(
  cd "$work/kubectl"
  go mod init finding
  go get k8s.io/kubectl@v0.37.2
  go mod tidy
  go build -o kubectl .
) > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
cat > "$work/server.py" <<'P'
import http.server
import json

KIND = {"name": "orders", "singularName": "order", "namespaced": True, "kind": "Order", "verbs": ["get", "list", "watch"]}
VERSION = {"groupVersion": "shop.example/v1", "version": "v1"}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": "shop.example", "versions": [VERSION], "preferredVersion": VERSION}],
    },
    "/apis/shop.example/v1": {"kind": "APIResourceList", "groupVersion": "shop.example/v1", "resources": [KIND]},
}
GENERATIONS = {"older": {"observedGeneration": 1}, "newest": {"observedGeneration": 2}, "without": {}}


def order(name):
    condition = {"type": "Ready", "status": "True", "reason": "Fulfilled", "message": "", **GENERATIONS[name]}
    return {
        "apiVersion": "shop.example/v1",
        "kind": "Order",
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": "7", "generation": 2},
        "status": {"observedGeneration": 2, "conditions": [condition]},
    }


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        name = next((each for each in GENERATIONS if f"name%3D{each}" in query or path.endswith(f"/{each}")), None)
        if path in DISCOVERY:
            answer = DISCOVERY[path]
        elif name is None:
            self.send_error(404)
            return
        elif "watch=" in query:  # nothing changes any more
            answer = None
        elif path.endswith("/orders"):
            answer = {
                "kind": "OrderList",
                "apiVersion": "shop.example/v1",
                "metadata": {"resourceVersion": "7"},
                "items": [order(name)],
            }
        else:
            answer = order(name)
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
P
exec 3< <(exec python3 "$work/server.py")
server=$!
read -r port <&3
waited() { # waited NAME
  if HOME=$work "$work/kubectl/kubectl" --kubeconfig=/dev/null --server="http://127.0.0.1:$port" wait --for=condition=Ready \
    "order/$1" --timeout=3s > "$work/said" 2>&1; then echo met; else
    grep -q "timed out" "$work/said" || { cat "$work/said" >&2; exit 1; }
    echo "timed out"
  fi
}
seen="condition of generation 1: $(waited older)
condition of generation 2: $(waited newest)
condition without one: $(waited without)"
echo "$seen"
[ "$seen" = "condition of generation 1: timed out
condition of generation 2: met
condition without one: met" ] || { echo "kubectl behaves otherwise now" >&2; exit 1; }
