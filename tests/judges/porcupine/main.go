// Judges histories of strong appends, linearizable reads, leases and fencing tokens. Reads JSON
// lines from its input, one operation a line, and answers one line of JSON. Linearizability is
// checked by porcupine, after "Faster linearizability checking via P-compositionality"
// (A. Horn, D. Kroening, 2015).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history that can't be judged in this time is not taken for a good one.
const judgeTimeout = 60 * time.Second

type verdict struct {
	Operations int      `json:"operations"`
	Histories  int      `json:"histories"`
	Illegal    []string `json:"illegal"`
	Undecided  []string `json:"undecided"`
}

func main() {
	entities, leases, count, err := readHistory(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "porcupine:", err)
		os.Exit(2)
	}
	found := verdict{Operations: count, Illegal: []string{}, Undecided: []string{}}
	found.judge("entity", entityModel, entities)
	found.judge("lease", leaseModel, leases)
	_ = json.NewEncoder(os.Stdout).Encode(found)
	if len(found.Illegal)+len(found.Undecided) > 0 {
		os.Exit(1)
	}
}

func (v *verdict) judge(kind string, model porcupine.Model, histories map[string][]porcupine.Operation) {
	names := make([]string, 0, len(histories))
	for name := range histories {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		v.Histories++
		result, info := porcupine.CheckOperationsVerbose(model, histories[name], judgeTimeout)
		if result == porcupine.Ok {
			continue
		}
		at := fmt.Sprintf("%s %s", kind, name)
		if folder := os.Getenv("PORCUPINE_PICTURES"); folder != "" {
			path := fmt.Sprintf("%s/%s-%d.html", folder, kind, v.Histories)
			if porcupine.VisualizePath(model, info, path) == nil {
				at += " (" + path + ")"
			}
		}
		if result == porcupine.Illegal {
			v.Illegal = append(v.Illegal, at)
		} else {
			v.Undecided = append(v.Undecided, at)
		}
	}
}
