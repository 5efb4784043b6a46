package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// chooseCmd chooses the next best action.
type chooseCmd struct {
	Model        modelRef   `arg:"" placeholder:"MODEL[@VERSION]" help:"The model, whose catalogue has the actions: MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	File         string     `arg:"" optional:"" help:"Customers as rows: a CSV or JSON Lines file, or one as JSON; \"-\" or nothing for standard input."`
	Actions      []string   `placeholder:"NAME" help:"Actions to choose from (default: all of the model)."`
	Filter       string     `placeholder:"FILTER" help:"Choose from actions that this AIP-160 filter admits, such as 'attributes.channel = \"email\"'."`
	Count        int        `short:"n" placeholder:"N" help:"Actions for each customer, the best first (default: 1)."`
	Time         *time.Time `placeholder:"TIME" help:"Reckon beginning and expiry of actions from this time, such as 2026-03-01T00:00:00Z (default: now)."`
	Language     string     `placeholder:"TAG" help:"Language of the titles, such as ru."`
	Unprofitable bool       `help:"Answer actions of which no profit is expected too."`
	Thompson     bool       `help:"Choose by a draw from what was counted so far (Thompson sampling), and tell each action's propensity, its probability to be drawn."`
	Counts       string     `placeholder:"FILE" help:"A CSV file of what was counted: action, creative (may be empty), successes, failures. Implies --thompson."`
	Weight       float64    `placeholder:"NUMBER" help:"Observations that the model's probability weighs beside the counts (default: 10)."`
	Seed         *uint64    `help:"Seed of the draws: the same seed chooses the same (default: one that is drawn, and told)."`
	Draws        int        `placeholder:"N" help:"Draws from which each propensity is counted (default: 1000)."`
	rowsFlags
	servedFlag
}

// choosePart is how many items one call of choose or sendtime takes.
const choosePart = 500

func (c *chooseCmd) Run(ctx context.Context, app *app) error {
	options := &scoringv1.ChooseActionOptions{
		Actions: c.Actions, Filter: c.Filter, Count: int32(c.Count), Language: c.Language, IncludeUnprofitable: c.Unprofitable,
		Time: timestamppb.Now(), // the same for all
	}
	if c.Time != nil {
		options.Time = timestamppb.New(*c.Time)
	}
	if err := c.thompson(options, app.output); err != nil {
		return err
	}
	server, version, rows, err := c.rows(ctx, app, c.Model, c.File)
	if err != nil {
		return err
	}
	defer rows.Close()
	results := inParts(rows.all(), choosePart, func(part []*scoringv1.Instance) ([]*scoringv1.ActionChoice, error) {
		resp, err := server.ChooseAction(ctx, &scoringv1.ChooseActionRequest{
			Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion()), Instances: part, Options: options,
		})
		return resp.GetResults(), err
	}, func(r *scoringv1.ActionChoice, place int64) { r.Index = place })
	write, flush, err := c.printer(app.output)
	if err != nil {
		return err
	}
	t, left := &tally{items: "customers"}, map[string]int{}
	err = each(rows, results, t, func(r *scoringv1.ActionChoice, failed error) error {
		for _, e := range r.GetExcluded() {
			left[e.GetName()+": "+exclusionText(e.GetReason())]++
		}
		return write(r, failed)
	})
	t.absent = rows.absent
	err = t.finish(app.output, err, rows.err, flush)
	for i, what := range slices.SortedFunc(maps.Keys(left), func(a, b string) int {
		if left[a] != left[b] {
			return left[b] - left[a]
		}
		return strings.Compare(a, b)
	}) {
		if i == mostWarnings {
			app.output.remark("and %d more reasons", len(left)-i)
			break
		}
		app.output.remark("not chosen from: %s: %d of %s", what, left[what], counted(t.answered, "customers"))
	}
	return err
}

// thompson reads the options of the draws.
func (c *chooseCmd) thompson(options *scoringv1.ChooseActionOptions, o *output) error {
	if !c.Thompson && c.Counts == "" {
		if c.Seed != nil || c.Draws != 0 || c.Weight != 0 {
			return wrongUse("--seed, --draws and --weight are for --thompson")
		}
		return nil
	}
	t := &scoringv1.ThompsonSampling{ModelWeight: c.Weight, Seed: c.Seed, Draws: int32(c.Draws)}
	if t.Seed == nil {
		t.Seed = new(rand.Uint64())
		o.remark("drawn with --seed %d", t.GetSeed())
	}
	options.Thompson = t
	if c.Counts == "" {
		return nil
	}
	f, err := os.Open(c.Counts)
	if err != nil {
		return err
	}
	defer f.Close()
	if t.Posteriors, err = readCounts(f); err != nil {
		return fmt.Errorf("%s: %w", c.Counts, err)
	}
	return nil
}

// readCounts reads a CSV table with the columns action, successes, failures and,
// if there is one, creative.
func readCounts(in io.Reader) ([]*scoringv1.Posterior, error) {
	records, header, err := openCSV(bufio.NewReader(in))
	if err != nil {
		return nil, err
	}
	var places [3]int
	for i, name := range []string{"action", "successes", "failures"} {
		if places[i], err = placeOf(header, name); err != nil {
			return nil, err
		}
	}
	creative := slices.Index(header, "creative")
	var out []*scoringv1.Posterior
	for {
		record, err := records.Read()
		if err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		p := &scoringv1.Posterior{Action: record[places[0]]}
		if creative >= 0 {
			p.Creative = record[creative]
		}
		for i, into := range []*float64{&p.Successes, &p.Failures} {
			at := places[i+1]
			if *into, err = strconv.ParseFloat(strings.TrimSpace(record[at]), 64); err != nil {
				line, _ := records.FieldPos(0)
				return nil, errLine(line, fmt.Errorf("%s is no number", header[at]))
			}
		}
		out = append(out, p)
	}
}

// exclusionText is why an action was left out, in words.
func exclusionText(r scoringv1.ExclusionReason) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(r.String(), "EXCLUSION_REASON_"), "_", " "))
}

// printer returns what writes the choice for one customer, and what ends the
// writing.
func (c *chooseCmd) printer(o *output) (func(*scoringv1.ActionChoice, error) error, func() error, error) {
	drawn := c.Thompson || c.Counts != ""
	switch {
	case o.json():
		return jsonPrinter[*scoringv1.ActionChoice](o)
	case o.format == "csv":
		w, err := o.csv(c.titles(o, "id", "rank", "action", "creative", "probability", "expected_profit", "value", "cost", "sampled_probability", "propensity", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *scoringv1.ActionChoice, failed error) error {
			served := c.cells(r.GetServedBy())
			if failed != nil || len(r.GetActions()) == 0 {
				return w.row(append([]string{r.GetId(), "", "", "", "", "", "", "", "", "", r.GetPredictionId(), errText(failed)}, served...)...)
			}
			for i, a := range r.GetActions() {
				row := []string{
					r.GetId(), strconv.Itoa(i + 1), a.GetName(), a.GetCreative(), exact(a.GetProbability()), exact(a.GetExpectedProfit()), exact(a.GetValue()), exact(a.GetCost()),
					exactOrNone(a.SampledProbability), exactOrNone(a.Propensity), r.GetPredictionId(), "",
				}
				if err := w.row(append(row, served...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	titles := []string{"ID", "ACTION", "PROBABILITY", "EXPECTED PROFIT"}
	if drawn {
		titles = append(titles, "DRAWN", "PROPENSITY")
	}
	t := o.table(c.titles(o, append(titles, "TITLE")...)...)
	return func(r *scoringv1.ActionChoice, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		if len(r.GetActions()) == 0 {
			t.line(r.GetId(), cell{"nothing", o.faint})
		}
		for i, a := range r.GetActions() {
			id := r.GetId()
			if i > 0 {
				id = ""
			}
			name := a.GetName()
			if a.GetCreative() != "" {
				name += "/" + a.GetCreative()
			}
			row := []any{id, name, fmt.Sprintf("%.4f", a.GetProbability()), fmt.Sprintf("%.2f", a.GetExpectedProfit())}
			if drawn {
				row = append(row, fmt.Sprintf("%.4f", a.GetSampledProbability()), fmt.Sprintf("%.3f", a.GetPropensity()))
			}
			t.row(append(append(row, a.GetTitle()), values(c.cells(r.GetServedBy()))...)...)
		}
		return t.err
	}, t.flush, nil
}
