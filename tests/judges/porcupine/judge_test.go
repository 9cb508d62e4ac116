package main

import (
	"strings"
	"testing"
)

func judged(t *testing.T, lines ...string) verdict {
	t.Helper()
	entities, leases, _, err := readHistory(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	v := verdict{}
	v.judge("entity", entityModel, entities)
	v.judge("lease", leaseModel, leases)
	return v
}

const (
	firstAppend  = `{"op":"append","entity":"session/1","id":"a","call":0,"return":10,"result":"ok","sequence":1}`
	secondAppend = `{"op":"append","entity":"session/1","id":"b","call":20,"return":30,"result":"ok","sequence":2}`
	take1        = `{"op":"acquire","lease":"l","holder":"x","ttl":100,"call":0,"return":10,"result":"ok","token":1,"entities":["session/1"]}`
)

func TestJudge(t *testing.T) {
	cases := []struct {
		name  string
		legal bool
		lines []string
	}{
		{"appends and a read in order", true, []string{firstAppend, secondAppend,
			`{"op":"read","entity":"session/1","call":40,"return":50,"result":"ok","sequence":2,"last":"b"}`}},
		{"a stale read", false, []string{firstAppend, secondAppend,
			`{"op":"read","entity":"session/1","call":40,"return":50,"result":"ok","sequence":1,"last":"a"}`}},
		{"a lost append", false, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"b","call":20,"return":30,"result":"ok","sequence":1}`}},
		{"an append whose end nobody knows, seen later", true, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"c","call":20,"return":null,"result":"unknown"}`,
			`{"op":"read","entity":"session/1","call":40,"return":50,"result":"ok","sequence":1,"last":"a"}`,
			`{"op":"read","entity":"session/1","call":60,"return":70,"result":"ok","sequence":2,"last":"c"}`}},
		{"an append that comes and goes", false, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"c","call":20,"return":null,"result":"unknown"}`,
			`{"op":"read","entity":"session/1","call":40,"return":50,"result":"ok","sequence":2,"last":"c"}`,
			`{"op":"read","entity":"session/1","call":60,"return":70,"result":"ok","sequence":1,"last":"a"}`}},
		{"an append whose place was looked up", true, []string{
			`{"op":"append","entity":"session/1","id":"c","call":0,"return":null,"result":"unknown","sequence":2}`, firstAppend,
			`{"op":"read","entity":"session/1","call":40,"return":50,"result":"ok","sequence":1,"last":"a"}`}},
		{"an append that stands where it was not", false, []string{
			`{"op":"append","entity":"session/1","id":"c","call":0,"return":null,"result":"unknown","sequence":3}`, firstAppend, secondAppend,
			`{"op":"append","entity":"session/1","id":"d","call":40,"return":50,"result":"ok","sequence":3}`}},
		{"a condition that held for two", false, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"b","expected":1,"call":20,"return":30,"result":"ok","sequence":2}`,
			`{"op":"append","entity":"session/1","id":"c","expected":1,"call":20,"return":30,"result":"ok","sequence":3}`}},
		{"a conflict that names the sequence", true, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"b","expected":0,"call":20,"return":30,"result":"conflict","sequence":1}`}},
		{"a repetition", true, []string{firstAppend, secondAppend,
			`{"op":"append","entity":"session/1","id":"a","call":40,"return":50,"result":"duplicate","sequence":1}`}},
		{"a repetition that counts", false, []string{firstAppend,
			`{"op":"append","entity":"session/1","id":"a","call":40,"return":50,"result":"ok","sequence":2}`}},
		{"two holders", false, []string{take1,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":20,"return":90,"result":"ok","token":2}`}},
		{"a lease that ran out", true, []string{take1,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":20,"return":120,"result":"ok","token":2}`}},
		{"two holders after a renewal", false, []string{take1,
			`{"op":"acquire","lease":"l","holder":"x","ttl":100,"call":60,"return":70,"result":"ok","token":1}`,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":20,"return":120,"result":"ok","token":2}`}},
		{"a token that went back", false, []string{take1,
			`{"op":"release","lease":"l","holder":"x","call":20,"return":30,"result":"ok","token":1}`,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":40,"return":50,"result":"ok","token":1}`}},
		{"a stale token that gets in", false, []string{take1,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":20,"return":120,"result":"ok","token":2,"entities":["session/1"]}`,
			`{"op":"append","entity":"session/1","id":"a","call":130,"return":140,"token":1,"result":"ok","sequence":1}`}},
		{"an unguarded append on a guarded entity", false, []string{take1, strings.Replace(firstAppend, `"call":0,"return":10`, `"call":20,"return":30`, 1)}},
		{"a guard that ends with its release", true, []string{take1,
			`{"op":"release","lease":"l","holder":"x","call":20,"return":30,"result":"ok","token":1,"entities":["session/1"]}`,
			strings.Replace(firstAppend, `"call":0,"return":10`, `"call":40,"return":50`, 1)}},
		{"an acquisition whose end nobody knows", true, []string{take1,
			`{"op":"acquire","lease":"l","holder":"y","ttl":100,"call":20,"return":null,"result":"unknown","entities":["session/1"]}`,
			`{"op":"append","entity":"session/1","id":"a","call":130,"return":140,"token":1,"result":"stale"}`,
			`{"op":"acquire","lease":"l","holder":"z","ttl":100,"call":150,"return":300,"result":"ok","token":3,"entities":["session/1"]}`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := judged(t, c.lines...)
			if legal := len(v.Illegal) == 0; legal != c.legal || len(v.Undecided) > 0 {
				t.Errorf("legal: %v, want %v (%v)", legal, c.legal, v)
			}
		})
	}
}
