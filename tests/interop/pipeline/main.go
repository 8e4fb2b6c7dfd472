// Runs a Pipeline script on log points as DataKit does, with the engine and the limits of DataKit.
//
// The script is the argument. A line of the standard input is one point: its tags and fields as
// JSON. A line of the output is what became of it, and how large it is as DataKit encodes it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/GuanceCloud/cliutils/pipeline/manager"
	"github.com/GuanceCloud/cliutils/pipeline/ptinput"
	"github.com/GuanceCloud/cliutils/point"
)

const source = "k8s-audit"

type input struct {
	Tags   map[string]string `json:"tags"`
	Fields map[string]any    `json:"fields"`
}

type result struct {
	Tags   map[string]string `json:"tags"`
	Fields map[string]any    `json:"fields"`
	Warns  []*point.Warn     `json:"warns"`
	Size   int               `json:"size"`
	Error  string            `json:"error"`
}

func main() {
	script, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	decoder, encoder := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for decoder.More() {
		var one input
		if err := decoder.Decode(&one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := encoder.Encode(run(script, one)); err != nil {
			os.Exit(1)
		}
	}
}

func load(path string) (*manager.PlScript, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	name := source + ".p"
	scripts, failed := manager.NewScripts(map[string]string{name: string(text)}, nil, "", point.Logging)
	if err := failed[name]; err != nil {
		return nil, err
	}
	return scripts[name], nil
}

func run(script *manager.PlScript, one input) result {
	kvs := append(point.NewTags(one.Tags), point.NewKVs(one.Fields)...)
	made := point.NewPointV2(source, kvs, point.DefaultLoggingOptions()...)
	held := ptinput.WrapPoint(point.Logging, made)
	failed := ""
	if err := script.Run(held, nil, nil); err != nil {
		failed = err.Error()
	}
	return result{held.Tags(), held.Fields(), made.Warns(), held.Point().PBSize(), failed}
}
