package main

import (
	"fmt"
	"hash/fnv"

	"github.com/anishathalye/porcupine"
)

// appended is a list of event ids that only grows, newest first, so that states share it.
type appended struct {
	id       string
	sequence int
	digest   uint64
	before   *appended
}

func (a *appended) with(id string) *appended {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%x %s", a.digest, id)
	return &appended{id: id, sequence: a.sequence + 1, digest: hash.Sum64(), before: a}
}

func (a *appended) find(id string) int {
	for it := a; it.before != nil; it = it.before {
		if it.id == id {
			return it.sequence
		}
	}
	return 0
}

// entityState is a strong entity: its events, and what its head knows of the lease that guards it.
type entityState struct {
	events *appended
	token  int
	// While a guard stands, an append needs a token.
	isGuarded bool
}

// entityModel: appends and linearizable reads of one strong entity, with the fencing tokens of one
// lease. From the answer to an acquisition on, no lower token gets in.
var entityModel = (&porcupine.NondeterministicModel{
	Init: func() []interface{} { return []interface{}{entityState{events: &appended{}}} },
	Step: func(state, input, _ interface{}) []interface{} {
		return stepEntity(state.(entityState), input.(*op))
	},
	Equal: func(a, b interface{}) bool {
		x, y := a.(entityState), b.(entityState)
		return x.events.digest == y.events.digest && x.events.sequence == y.events.sequence &&
			x.token == y.token && x.isGuarded == y.isGuarded
	},
	DescribeOperation: describe,
}).ToModel()

func stepEntity(s entityState, o *op) []interface{} {
	switch o.Op {
	case "read":
		return when(o.Sequence == s.events.sequence && o.Last == s.events.id, s)
	case "append":
		return stepAppend(s, o)
	case "acquire":
		return stepGuard(s, o)
	case "release":
		freed := s
		freed.isGuarded = false
		isHolder := o.Token == s.token && s.isGuarded
		switch {
		case o.isUnknown() && isHolder:
			return []interface{}{s, freed}
		case o.Result == "ok" && isHolder:
			return []interface{}{freed}
		}
		return []interface{}{s}
	}
	return nil
}

func stepAppend(s entityState, o *op) []interface{} {
	known := s.events.find(o.ID)
	fits := o.Expected == nil || *o.Expected == s.events.sequence
	admitted := o.Token >= s.token && o.Token > 0 || o.Token == 0 && !s.isGuarded
	next := s
	next.events = s.events.with(o.ID)
	switch o.Result {
	case "ok":
		return when(known == 0 && fits && admitted && o.Sequence == next.events.sequence, next)
	case "duplicate":
		return when(known > 0 && o.Sequence == known, s)
	case "conflict":
		return when(!fits && o.Sequence == s.events.sequence, s)
	case "stale":
		// The token of a lease that was given back need not be good any more.
		return when(o.Token > 0 && (o.Token < s.token || o.Token == s.token && !s.isGuarded), s)
	case "required":
		return when(o.Token == 0 && s.isGuarded, s)
	case "unknown":
		// Found in the history afterwards: where it stands is known, when it was done is not.
		if o.Sequence > 0 {
			isThere := fits && admitted && o.Sequence == next.events.sequence
			if known > 0 {
				return []interface{}{s}
			}
			return when(isThere, next)
		}
		if known == 0 && fits && admitted {
			return []interface{}{s, next}
		}
		return []interface{}{s}
	}
	return nil
}

// An acquisition whose end nobody knows has taken one of the next tokens, or none.
const unknownTokens = 3

func stepGuard(s entityState, o *op) []interface{} {
	switch o.Result {
	case "ok":
		return when(o.Token >= s.token, entityState{events: s.events, token: o.Token, isGuarded: true})
	case "held":
		return []interface{}{s}
	}
	states := []interface{}{s}
	for i := 0; i <= unknownTokens; i++ {
		states = append(states, entityState{events: s.events, token: s.token + i, isGuarded: s.token+i > 0})
	}
	return states
}

func when(holds bool, next interface{}) []interface{} {
	if holds {
		return []interface{}{next}
	}
	return nil
}

func describe(input, _ interface{}) string {
	o := input.(*op)
	switch o.Op {
	case "append":
		return fmt.Sprintf("append %s token %d -> %s %d", o.ID, o.Token, o.Result, o.Sequence)
	case "read":
		return fmt.Sprintf("read -> %d %s", o.Sequence, o.Last)
	}
	return fmt.Sprintf("%s by %s -> %s %d", o.Op, o.Holder, o.Result, o.Token)
}
