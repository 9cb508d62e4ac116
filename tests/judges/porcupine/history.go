package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/anishathalye/porcupine"
)

// op is one line of a history: what a client asked, when, and what it was answered.
type op struct {
	Client int    `json:"client"`
	Op     string `json:"op"` // append, read, acquire, release
	// Nanoseconds of one monotonic clock; an operation whose end nobody knows has no return.
	Call   int64  `json:"call"`
	Return *int64 `json:"return"`
	// ok, duplicate, conflict, stale, required, held, gone, unknown
	Result string `json:"result"`

	Entity   string `json:"entity"`
	ID       string `json:"id"`
	Expected *int   `json:"expected"`
	Sequence int    `json:"sequence"`
	Last     string `json:"last"`

	Lease    string   `json:"lease"`
	Holder   string   `json:"holder"`
	TTL      int64    `json:"ttl"`
	Token    int      `json:"token"`
	Entities []string `json:"entities"`
}

func (o *op) returned() int64 {
	if o.Return == nil {
		return math.MaxInt64
	}
	return *o.Return
}

func (o *op) isUnknown() bool { return o.Result == "unknown" }

// readHistory takes JSON lines apart into histories that can be judged by themselves: one of each
// entity, and one of each lease. An operation on a lease that guards entities is in all of theirs.
func readHistory(input io.Reader) (entities, leases map[string][]porcupine.Operation, count int, err error) {
	entities = map[string][]porcupine.Operation{}
	leases = map[string][]porcupine.Operation{}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		o := &op{}
		if err := json.Unmarshal(lines.Bytes(), o); err != nil {
			return nil, nil, 0, fmt.Errorf("line %d: %w", count+1, err)
		}
		count++
		operation := porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Output: o, Return: o.returned()}
		switch o.Op {
		case "append", "read":
			entities[o.Entity] = append(entities[o.Entity], operation)
		case "acquire", "release":
			leases[o.Lease] = append(leases[o.Lease], operation)
			for _, entity := range o.Entities {
				entities[entity] = append(entities[entity], operation)
			}
		default:
			return nil, nil, 0, fmt.Errorf("line %d: there is no operation %q", count, o.Op)
		}
	}
	return entities, leases, count, lines.Err()
}
