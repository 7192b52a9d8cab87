#!/usr/bin/env bash
# kstatus, by which Helm 4, Flux and kpt wait, calls a custom resource Current that no controller has seen: it has no
# conditions, and so, it is assumed, none to give. A `helm install --wait` goes on at once. What helps is a default in the
# CustomResourceDefinition (status.observedGeneration: -1, as Flux' own have it), or a wait for the condition by name.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'G'
package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	for _, observed := range []any{nil, int64(-1)} {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Order", "metadata": map[string]any{"name": "a", "generation": int64(1)},
		}}
		if observed != nil {
			object.Object["status"] = map[string]any{"observedGeneration": observed}
		}
		result, err := status.Compute(object)
		if err != nil {
			panic(err)
		}
		fmt.Println(observed, result.Status)
	}
}
G
go mod init finding 2>/dev/null
go get sigs.k8s.io/cli-utils@v0.37.2 2>/dev/null
go mod tidy 2>/dev/null
said=$(go run .)
echo "$said"
[ "$said" = $'<nil> Current\n-1 InProgress' ]
