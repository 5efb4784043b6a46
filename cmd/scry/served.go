package main

import (
	"strings"
	"time"

	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// servedFlag is shared by the verbs that print answers.
type servedFlag struct {
	Served bool `help:"Add columns: which version answered, on which device and provider, how long it waited and computed."`
}

// servedTitles are the columns that --served adds.
var servedTitles = []string{"served_by", "device", "provider", "queue", "compute"}

// titles returns the titles with those of --served, in capitals for a table.
func (f servedFlag) titles(o *output, titles ...string) []string {
	if !f.Served {
		return titles
	}
	out := append([]string{}, titles...)
	for _, t := range servedTitles {
		if o.format != "csv" {
			t = strings.ToUpper(strings.ReplaceAll(t, "_", " "))
		}
		out = append(out, t)
	}
	return out
}

// cells returns the columns of an answer; several versions of one answer are
// joined by a plus sign.
func (f servedFlag) cells(served []*servingv1.ServedBy) []string {
	if !f.Served {
		return nil
	}
	parts := make([][]string, len(servedTitles))
	for _, s := range served {
		for i, text := range []string{
			modelRefText(s.GetModel(), s.GetVersion()), s.GetDevice(), s.GetProvider() + " " + s.GetPrecision(),
			shortTime(s.GetQueueTime().AsDuration()), shortTime(s.GetComputeTime().AsDuration()),
		} {
			parts[i] = append(parts[i], text)
		}
	}
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = strings.Join(p, " + ")
	}
	return out
}

// shortTime prints three digits at most.
func shortTime(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// values turns strings into a row's values.
func values(cells []string) []any {
	out := make([]any, len(cells))
	for i, c := range cells {
		out[i] = c
	}
	return out
}
