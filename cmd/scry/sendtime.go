package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// sendTimeCmd chooses when to send.
type sendTimeCmd struct {
	Model    modelRef       `arg:"" placeholder:"MODEL[@VERSION]" help:"The model, whose catalogue has the rates of people in general: MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	File     string         `arg:"" optional:"" help:"Who got what: CSV with the columns id, time_zone, sent and answered, one message a line and those of a customer together, or JSON Lines {\"id\": …, \"time_zone\": …, \"history\": [{\"sent\": …, \"answered\": …}]}; \"-\" or nothing for standard input."`
	Format   string         `enum:",csv,jsonl" default:"" placeholder:"csv|jsonl" help:"The input's format, where its name does not tell."`
	Earliest *time.Time     `placeholder:"TIME" help:"The earliest time, such as 2026-03-01T00:00:00Z (default: now)."`
	Latest   *time.Time     `placeholder:"TIME" help:"The latest time (default: a week later)."`
	Quiet    string         `name:"quiet-hours" placeholder:"HOURS" help:"Hours of the customers' clocks at which nothing is sent, such as 22-7 or 0,1,2."`
	Count    int            `short:"n" placeholder:"N" help:"Times for each customer, the best first (default: 1)."`
	HalfLife *time.Duration `placeholder:"DURATION" help:"A message counts half after this time, such as 2160h (default: the same for ever)."`
	servedFlag
}

func (c *sendTimeCmd) Run(ctx context.Context, app *app) error {
	options := &scoringv1.ChooseSendTimeOptions{Count: int32(c.Count), Earliest: timestamppb.Now()}
	if c.Earliest != nil {
		options.Earliest = timestamppb.New(*c.Earliest)
	}
	if c.Latest != nil {
		options.Latest = timestamppb.New(*c.Latest)
	}
	if c.HalfLife != nil {
		options.HalfLife = durationpb.New(*c.HalfLife)
	}
	var err error
	if options.QuietHours, err = hoursOfDay(c.Quiet); err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	// The version is pinned, so that one file is answered by one version.
	found, err := server.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: c.Model.Model, Version: c.Model.Version})
	if err != nil {
		return err
	}
	in, format, err := app.output.open(ctx, c.File, c.Format)
	if err != nil {
		return err
	}
	defer in.Close()
	reader := &recipientReader{}
	results := inParts(reader.recipients(in, format), choosePart, func(part []*scoringv1.Recipient) ([]*scoringv1.SendTimeChoice, error) {
		resp, err := server.ChooseSendTime(ctx, &scoringv1.ChooseSendTimeRequest{
			Model: found.GetVersion().GetModel(), Version: fmt.Sprint(found.GetVersion().GetVersion()), Recipients: part, Options: options,
		})
		return resp.GetResults(), err
	}, func(r *scoringv1.SendTimeChoice, place int64) { r.Index = place })
	write, flush, err := c.printer(app.output)
	if err != nil {
		return err
	}
	t := &tally{items: "customers"}
	err = each(in, results, t, write)
	return t.finish(app.output, err, reader.err, flush)
}

// hoursOfDay reads hours such as "0,1,2" or "22-7", which goes over midnight.
func hoursOfDay(text string) ([]int32, error) {
	var out []int32
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		first, err := strconv.Atoi(strings.TrimSpace(from))
		last, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err != nil || err2 != nil || first < 0 || last < 0 || first > 23 || last > 23 {
			return nil, wrongUse("--quiet-hours %s: want hours from 0 to 23, such as 22-7 or 0,1,2", text)
		}
		for h := first; ; h = (h + 1) % 24 {
			if !slices.Contains(out, int32(h)) {
				out = append(out, int32(h))
			}
			if h == last {
				break
			}
		}
	}
	return out, nil
}

// recipientReader reads customers with their messages.
type recipientReader struct {
	err error // why reading ended early
}

// recipients reads until the input or the loop ends; r.err tells then whether the
// input was wrong.
func (r *recipientReader) recipients(in io.Reader, format string) iter.Seq[*scoringv1.Recipient] {
	return func(yield func(*scoringv1.Recipient) bool) {
		r.err = readRows(in, format, r.readCSV, r.readJSON, yield)
	}
}

func (r *recipientReader) readJSON(in *bufio.Reader, yield func(*scoringv1.Recipient) bool) error {
	return readLines(in, func(text []byte, _ int) (*scoringv1.Recipient, error) {
		out := &scoringv1.Recipient{}
		if err := protojson.Unmarshal(text, out); err != nil {
			return nil, errors.New("want {\"id\": …, \"time_zone\": …, \"history\": [{\"sent\": …, \"answered\": …}]}")
		}
		return out, nil
	}, yield)
}

// readCSV joins the lines of one customer, which stand together. A line without a
// time is a customer without messages.
func (r *recipientReader) readCSV(in *bufio.Reader, yield func(*scoringv1.Recipient) bool) error {
	records, header, err := openCSV(in)
	if err != nil {
		return err
	}
	var places [3]int
	for i, name := range []string{"id", "sent", "answered"} {
		if places[i], err = placeOf(header, name); err != nil {
			return fmt.Errorf("%w; want id, time_zone, sent, answered", err)
		}
	}
	zoned := slices.Index(header, "time_zone")
	done := map[string]bool{}
	var open *scoringv1.Recipient
	for {
		record, err := records.Read()
		if err == io.EOF {
			if open != nil {
				yield(open)
			}
			return nil
		} else if err != nil {
			return err
		}
		line, _ := records.FieldPos(0)
		id, zone := record[places[0]], ""
		if zoned >= 0 {
			zone = strings.TrimSpace(record[zoned])
		}
		if open == nil || id != open.GetId() {
			if open != nil && !yield(open) {
				return nil
			}
			open = &scoringv1.Recipient{Id: strings.Clone(id), TimeZone: strings.Clone(zone)}
			if done[open.GetId()] {
				return errLine(line, errors.New("the lines of one customer must stand together; sort the file by id"))
			}
			done[open.GetId()] = true
		} else if zone != open.GetTimeZone() {
			return errLine(line, errors.New("the customer has two time zones"))
		}
		sent := strings.TrimSpace(record[places[1]])
		if sent == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, sent)
		if err != nil {
			return errLine(line, errors.New("sent is not a time in RFC 3339, such as 2026-01-31T12:00:00Z"))
		}
		answered, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(record[places[2]])))
		if err != nil {
			return errLine(line, errors.New("answered is neither true nor false"))
		}
		open.History = append(open.History, &scoringv1.SentMessage{Sent: timestamppb.New(t), Answered: answered})
	}
}

// slotText is an hour of the week in words.
func slotText(slot int32) string {
	days := []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	return fmt.Sprintf("%s %02d h", days[slot/24%7], slot%24)
}

// printer returns what writes one customer's times, and what ends the writing.
func (c *sendTimeCmd) printer(o *output) (func(*scoringv1.SendTimeChoice, error) error, func() error, error) {
	switch {
	case o.json():
		return jsonPrinter[*scoringv1.SendTimeChoice](o)
	case o.format == "csv":
		w, err := o.csv(c.titles(o, "id", "rank", "time", "slot", "rate", "prior_rate", "observations", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *scoringv1.SendTimeChoice, failed error) error {
			served := c.cells(r.GetServedBy())
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			for i, s := range r.GetTimes() {
				row := []string{
					r.GetId(), strconv.Itoa(i + 1), s.GetTime().AsTime().Format(time.RFC3339Nano), strconv.Itoa(int(s.GetSlot())),
					exact(s.GetRate()), exact(s.GetPriorRate()), exact(s.GetObservations()), r.GetPredictionId(), "",
				}
				if err := w.row(append(row, served...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	t := o.table(c.titles(o, "ID", "TIME", "THERE", "RATE", "IN GENERAL", "MESSAGES")...)
	return func(r *scoringv1.SendTimeChoice, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		for i, s := range r.GetTimes() {
			id := r.GetId()
			if i > 0 {
				id = ""
			}
			row := []any{
				id, s.GetTime().AsTime().Format("2006-01-02 15:04 MST"), slotText(s.GetSlot()),
				fmt.Sprintf("%.3f", s.GetRate()), fmt.Sprintf("%.3f", s.GetPriorRate()), fmt.Sprintf("%.3g", s.GetObservations()),
			}
			t.row(append(row, values(c.cells(r.GetServedBy()))...)...)
		}
		return t.err
	}, t.flush, nil
}
