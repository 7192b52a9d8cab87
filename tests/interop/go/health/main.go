// Says how healthy an object is, by the tools that judge objects where clusters follow a Git repository: kstatus, which
// Helm and Flux wait by, Flux' own health check expressions, and Argo CD's Lua in the interpreter that Argo CD has.
//
//	health FLUX.yaml HEALTH.lua < objects.jsonl > verdicts.jsonl
//
// The first file is one entry of a Flux Kustomization's healthCheckExprs. Each line in is an object, each out a verdict.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	fluxstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

type argoHealth struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type verdict struct {
	Kstatus string     `json:"kstatus"`
	Flux    string     `json:"flux"`
	Argo    argoHealth `json:"argo"`
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(fluxFile, luaFile string) error {
	text, err := os.ReadFile(fluxFile)
	if err != nil {
		return err
	}
	var entry kustomize.CustomHealthCheck
	if err := yaml.UnmarshalStrict(text, &entry); err != nil {
		return err
	}
	flux, err := cel.NewStatusEvaluator(&entry.HealthCheckExpressions)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(luaFile)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil { // whole numbers as Kubernetes' clients have them
			return err
		}
		given, err := judge(object, flux, string(script))
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(given); err != nil {
			return err
		}
	}
	return lines.Err()
}

func judge(object *unstructured.Unstructured, flux *cel.StatusEvaluator, script string) (*verdict, error) {
	byKstatus, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	byFork, err := fluxstatus.Compute(object) // the one that Flux and Helm have in them
	if err != nil {
		return nil, err
	}
	if string(byKstatus.Status) != string(byFork.Status) {
		return nil, fmt.Errorf("%s: %s by kstatus, %s by its fork", object.GetName(), byKstatus.Status, byFork.Status)
	}
	byFlux, err := flux.Evaluate(context.Background(), object)
	if err != nil { // such as of an expression that reads a status that is not there: Flux waits
		byFlux = &fluxstatus.Result{Status: fluxstatus.UnknownStatus}
	}
	byArgo, err := evaluate(script, object)
	if err != nil {
		return nil, err
	}
	return &verdict{byKstatus.Status.String(), byFlux.Status.String(), *byArgo}, nil
}

// evaluate runs a health check with what Argo CD lets one have: the object as the global obj, and few libraries.
func evaluate(script string, object *unstructured.Unstructured) (*argoHealth, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName:   lua.OpenPackage,
		lua.BaseLibName:   lua.OpenBase,
		lua.TabLibName:    lua.OpenTable,
		lua.StringLibName: lua.OpenString,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	value, err := luajson.Decode(state, text)
	if err != nil {
		return nil, err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	answer, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return nil, err
	}
	health := &argoHealth{}
	return health, json.Unmarshal(answer, health)
}
