#!/usr/bin/env bash
# A printer column of a CustomResourceDefinition shows the first match of its path, and with `..` that is any match: the
# JSONPath of client-go walks maps in Go's order, which differs from call to call. So `kubectl get` shows one value now,
# and another one the next time. A union has an order, but a path must begin with a dot (the API server refuses another),
# and a union after a single dot finds nothing; after two it does, as far as its members are whole paths.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'G'
package main

import (
	"fmt"
	"sort"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

func main() {
	order := map[string]any{
		"spec":   map[string]any{"amount": map[string]any{"display": "10.99 USD"}},
		"status": map[string]any{"amount": map[string]any{"display": "5.00 USD"}},
	}
	for _, path := range []string{
		"..amount.display",
		".['status.amount.display','spec.amount.display']",
		"..['status.amount.display','spec.amount.display']",
	} {
		seen := map[string]bool{}
		for range 500 {
			parsed := jsonpath.New("column").AllowMissingKeys(true)
			if err := parsed.Parse("{" + path + "}"); err != nil {
				panic(err)
			}
			found, err := parsed.FindResults(order)
			if err != nil {
				panic(err)
			}
			first := "nothing"
			if len(found) > 0 && len(found[0]) > 0 {
				first = fmt.Sprint(found[0][0].Interface())
			}
			seen[first] = true
		}
		firsts := []string{}
		for each := range seen {
			firsts = append(firsts, each)
		}
		sort.Strings(firsts)
		fmt.Println(path, "->", strings.Join(firsts, " or "))
	}
}
G
go mod init finding 2>/dev/null
go get k8s.io/client-go@v0.37.2 2>/dev/null
go mod tidy 2>/dev/null
said=$(go run .)
echo "$said"
[ "$said" = "..amount.display -> 10.99 USD or 5.00 USD
.['status.amount.display','spec.amount.display'] -> nothing
..['status.amount.display','spec.amount.display'] -> 5.00 USD" ]
