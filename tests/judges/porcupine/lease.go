package main

import "github.com/anishathalye/porcupine"

// leaseState is the record of a lease. Its token is never given twice.
type leaseState struct {
	token  int
	holder string
	isHeld bool
	// Nobody else may be answered that he holds it before: what the holder counts from when he sent
	// his last renewal.
	validUntil int64
}

// leaseModel: a lease with fencing tokens. Time is part of it: whoever takes it over without its
// having been given back is answered after the holder's time has run out, on the one clock that all
// clients of a history share.
var leaseModel = (&porcupine.NondeterministicModel{
	Init: func() []interface{} { return []interface{}{leaseState{}} },
	Step: func(state, input, _ interface{}) []interface{} {
		return stepLease(state.(leaseState), input.(*op))
	},
	DescribeOperation: describe,
}).ToModel()

func stepLease(s leaseState, o *op) []interface{} {
	if o.Op == "release" {
		freed := s
		freed.isHeld = false
		isHolder := s.isHeld && o.Token == s.token
		switch {
		case o.Result == "ok":
			// Whoever gives it back twice is told that it is free.
			return when(isHolder || !s.isHeld && o.Token == s.token, freed)
		case o.Result == "gone":
			return when(!isHolder, s)
		case isHolder:
			return []interface{}{s, freed}
		}
		return []interface{}{s}
	}
	isMine := s.isHeld && s.holder == o.Holder
	renewed := s
	renewed.validUntil = max(s.validUntil, o.Call+o.TTL)
	isFree := !s.isHeld || isMine || o.returned() >= s.validUntil
	taken := leaseState{token: s.token + 1, holder: o.Holder, isHeld: true, validUntil: o.Call + o.TTL}
	switch o.Result {
	case "ok":
		if isMine && o.Token == s.token {
			return []interface{}{renewed}
		}
		return when(isFree && o.Token == taken.token, taken)
	case "held":
		return when(s.isHeld && !isMine, s)
	}
	states := []interface{}{s}
	if isMine {
		states = append(states, renewed)
	}
	if isFree {
		states = append(states, taken)
	}
	return states
}
