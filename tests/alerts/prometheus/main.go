// Prometheus's own rules and store, fed with scrapes that somebody else has made: a line of JSON in
// is one round of scrapes at a time, a line out is the alerts after the rules were evaluated then.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"math"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
)

// scrape is what one instance answered; no text: it did not answer.
type scrape struct {
	Job      string  `json:"job"`
	Instance string  `json:"instance"`
	Text     *string `json:"text"`
}

type round struct {
	AtMs    int64    `json:"atMs"`
	Scrapes []scrape `json:"scrapes"`
}

type alert struct {
	Name    string            `json:"name"`
	State   string            `json:"state"`
	Labels  map[string]string `json:"labels"`
	Summary string            `json:"summary"`
}

// prometheus is its store, its rules, and what the last scrape of each instance had.
type prometheus struct {
	db    *tsdb.DB
	rules []*rules.AlertingRule
	query rules.QueryFunc
	last  map[string]map[uint64]labels.Labels
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: alerts RULES FOLDER")
	}
	p, err := open(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	defer p.db.Close()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var r round
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			log.Fatal(err)
		}
		alerts, err := p.take(r)
		if err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(alerts); err != nil {
			log.Fatal(err)
		}
	}
}

func open(file, folder string) (*prometheus, error) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	syntax := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, syntax, quiet)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	db, err := tsdb.Open(folder, quiet, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return nil, err
	}
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: quiet, MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		Parser: syntax,
	})
	p := &prometheus{
		db: db, query: rules.EngineQueryFunc(engine, db), last: map[string]map[uint64]labels.Labels{},
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expr, err := syntax.ParseExpr(rule.Expr)
			if err != nil {
				return nil, err
			}
			p.rules = append(p.rules, rules.NewAlertingRule(
				rule.Alert, expr, time.Duration(rule.For), time.Duration(rule.KeepFiringFor),
				labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "",
				true, quiet,
			))
		}
	}
	return p, nil
}

func (p *prometheus) take(r round) ([]alert, error) {
	for _, s := range r.Scrapes {
		if err := p.store(s, r.AtMs); err != nil {
			return nil, err
		}
	}
	alerts := []alert{}
	for _, rule := range p.rules {
		at := time.UnixMilli(r.AtMs)
		if _, err := rule.Eval(context.Background(), 0, at, p.query, &url.URL{}, 0); err != nil {
			return nil, err
		}
		for _, active := range rule.ActiveAlerts() {
			alerts = append(alerts, alert{
				Name: rule.Name(), State: active.State.String(), Labels: active.Labels.Map(),
				Summary: active.Annotations.Get("summary"),
			})
		}
	}
	return alerts, nil
}

// store keeps a scrape as Prometheus does: with the target's labels, `up`, and a mark where a series
// of the scrape before is gone.
func (p *prometheus) store(s scrape, atMs int64) error {
	seen := map[uint64]labels.Labels{}
	app := p.db.Appender(context.Background())
	add := func(l labels.Labels, v float64) error {
		_, err := app.Append(0, l, atMs, v)
		return err
	}
	target := func(b *labels.Builder) labels.Labels {
		return b.Set("job", s.Job).Set("instance", s.Instance).Labels()
	}
	up := 0.0
	if s.Text != nil {
		up = 1
		parse := textparse.NewPromParser([]byte(*s.Text), labels.NewSymbolTable(), false)
		for {
			entry, err := parse.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if entry != textparse.EntrySeries {
				continue
			}
			_, _, v := parse.Series()
			var l labels.Labels
			parse.Labels(&l)
			l = target(labels.NewBuilder(l))
			seen[l.Hash()] = l
			if err := add(l, v); err != nil {
				return err
			}
		}
	}
	key := s.Job + " " + s.Instance
	for hash, l := range p.last[key] {
		if _, still := seen[hash]; !still {
			if err := add(l, math.Float64frombits(value.StaleNaN)); err != nil {
				return err
			}
		}
	}
	p.last[key] = seen
	if err := add(target(labels.NewBuilder(labels.FromStrings("__name__", "up"))), up); err != nil {
		return err
	}
	return app.Commit()
}
