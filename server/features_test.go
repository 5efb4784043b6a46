package server

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// named is one entry of a request's models.
type named struct{ feature, model, version string }

func TestGrouping(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked []string
		named []named
		want  string // model@version: features
		fails string // code reason field
	}{
		{name: "defaults of one model", asked: []string{"mood", "vector"}, want: "m@: mood vector"},
		{name: "defaults of two models", asked: []string{"mood", "labels", "vector"}, want: "m@: mood vector, l@: labels"},
		{name: "one named", asked: []string{"mood", "vector"}, named: []named{{"vector", "other", "3"}}, want: "m@: mood, other@3: vector"},
		{name: "the default named", asked: []string{"vector", "mood"}, named: []named{{"mood", "m", ""}}, want: "m@: vector mood"},
		{name: "another version is another part", asked: []string{"mood", "vector"}, named: []named{{"mood", "m", "2"}}, want: "m@2: mood, m@: vector"},
		{name: "two named alike", asked: []string{"mood", "vector"}, named: []named{{"vector", "x", "best"}, {"mood", "x", "best"}}, want: "x@best: mood vector"},
		{name: "a name where there is no default", asked: []string{"nothing"}, named: []named{{"nothing", "x", ""}}, want: "x@: nothing"},
		{name: "no default", asked: []string{"mood", "nothing"}, fails: "InvalidArgument MODEL_REQUIRED features[1]"},
		{name: "not asked", asked: []string{"mood"}, named: []named{{"mood", "m", ""}, {"vector", "x", ""}}, fails: "InvalidArgument FEATURE_NOT_ASKED models[1].feature"},
		{name: "without a model", asked: []string{"colors", "mood"}, want: "m@: mood"},
		{name: "only without a model", asked: []string{"colors"}},
		{name: "a model for what needs none", asked: []string{"colors"}, named: []named{{"colors", "m", ""}}, fails: "InvalidArgument FEATURE_NEEDS_NO_MODEL models[0].feature"},
		{name: "named twice", asked: []string{"mood"}, named: []named{{"mood", "m", ""}, {"mood", "x", ""}}, fails: "InvalidArgument FEATURE_TWICE models[1].feature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			groups := grouping[string]{defaults: map[string]string{"mood": "m", "vector": "m", "labels": "l"}, needsModel: func(f string) bool { return f != "colors" }}
			var err error
			for i, n := range c.named {
				if err = groups.name(i, n.feature, c.asked, n.model, n.version); err != nil {
					break
				}
			}
			var parts []part[string]
			if err == nil {
				parts, err = groups.split(c.asked)
			}
			if got := refusal(err); got != c.fails {
				t.Fatalf("error %q, want %q", got, c.fails)
			}
			var got []string
			for _, p := range parts {
				got = append(got, fmt.Sprintf("%s@%s: %s", p.model, p.version, strings.Join(p.features, " ")))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// refusal prints the code, reason and field of a status; "" for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	s := status.Convert(err)
	var out strings.Builder
	out.WriteString(s.Code().String())
	if s.Code() == codes.Unknown {
		return err.Error()
	}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			out.WriteString(" " + d.GetReason())
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				out.WriteString(" " + v.GetField())
			}
		}
	}
	return out.String()
}
