package bundle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scry-ml/scry/filter"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// checkGraphless admits a bundle without graphs that has something to choose by,
// and nothing that a graph would have to compute.
func (b *Bundle) checkGraphless() error {
	m := b.Manifest
	if c := m.GetCatalogue(); c.GetSendTimes() == nil && len(c.GetActions()) == 0 && c.GetItems() == nil {
		return invalid("graphs", "at least one is needed, unless the catalogue has items, send times or actions")
	}
	if len(m.GetSteps()) > 0 || len(m.GetHeads()) > 0 || m.GetPreprocessing() != nil || m.GetGoldens() != nil {
		return invalid("graphs", "at least one is needed for steps, heads, preprocessing and goldens")
	}
	return nil
}

// Action is an action of the catalogue with its texts resolved.
type Action struct {
	*bundlev1.Action
	// Head and Of name where its probability is read: a head, and the class or
	// treatment of it. Both are empty for a constant.
	Head, Of string
	// Starts and Expires bound when it is offered; zero = for ever.
	Starts, Expires time.Time
	// Eligible is met by rows that may get it; nil = all.
	Eligible *filter.Program
}

// Attributes are the features of a row that filters may ask, in their order: all
// but sequences.
func (b *Bundle) Attributes() []filter.Attribute {
	var out []filter.Attribute
	for _, f := range b.Manifest.GetRow().GetFeatures() {
		if kind := attributeKinds[f.GetType()]; kind != 0 {
			out = append(out, filter.Attribute{Name: f.GetName(), Kind: kind})
		}
	}
	return out
}

var attributeKinds = map[bundlev1.FeatureType]filter.Kind{
	bundlev1.FeatureType_FEATURE_TYPE_FLOAT:     filter.Number,
	bundlev1.FeatureType_FEATURE_TYPE_INT:       filter.Number,
	bundlev1.FeatureType_FEATURE_TYPE_BOOL:      filter.Bool,
	bundlev1.FeatureType_FEATURE_TYPE_STRING:    filter.String,
	bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP: filter.Timestamp,
}

// resolveActions checks the catalogue's actions against the heads and features.
func (b *Bundle) resolveActions() error {
	attributes, taken := b.Attributes(), map[string]bool{}
	for i, spec := range b.Manifest.GetCatalogue().GetActions() {
		field := fmt.Sprintf("catalogue.actions[%d]", i)
		if taken[spec.GetName()] {
			return invalid(field+".name", "the name %q is taken", spec.GetName())
		}
		taken[spec.GetName()] = true
		a := Action{Action: spec}
		var err error
		if a.Head, a.Of, err = b.probabilityOf(field, spec); err != nil {
			return err
		}
		if a.Starts, err = timeOf(field+".starts", spec.GetStarts()); err != nil {
			return err
		}
		if a.Expires, err = timeOf(field+".expires", spec.GetExpires()); err != nil {
			return err
		}
		if !a.Expires.IsZero() && !a.Starts.Before(a.Expires) {
			return invalid(field+".expires", "is not after its start")
		}
		if a.Eligible, err = filter.Compile(spec.GetEligibility(), attributes); err != nil {
			return invalid(field+".eligibility", "%v", err)
		}
		creatives := map[string]bool{}
		for j, c := range spec.GetCreatives() {
			if creatives[c.GetName()] {
				return invalid(fmt.Sprintf("%s.creatives[%d].name", field, j), "the name %q is taken", c.GetName())
			}
			creatives[c.GetName()] = true
		}
		b.Actions = append(b.Actions, a)
	}
	return nil
}

// probabilityOf resolves where an action's probability is read.
func (b *Bundle) probabilityOf(field string, a *bundlev1.Action) (head, of string, err error) {
	switch p := a.GetProbability().(type) {
	case *bundlev1.Action_Head:
		field, head = field+".head", p.Head
		if b.Manifest.GetHeads()[head].GetProbability() == nil {
			return "", "", invalid(field, "there is no probability head %q", head)
		}
	case *bundlev1.Action_Class:
		field = field + ".class"
		head, of, _ = strings.Cut(p.Class, ".")
		if b.Manifest.GetHeads()[head].GetClasses() == nil {
			return "", "", invalid(field, "there is no classes head %q; a class is named as HEAD.CLASS", head)
		}
		if !slices.Contains(b.Labels[head], of) {
			return "", "", invalid(field, "the head %q has no class %q", head, of)
		}
	case *bundlev1.Action_Treatment:
		field = field + ".treatment"
		head, of, _ = strings.Cut(p.Treatment, ".")
		uplift := b.Manifest.GetHeads()[head].GetUplift()
		if uplift == nil {
			return "", "", invalid(field, "there is no uplift head %q; a treatment is named as HEAD.TREATMENT", head)
		}
		if !slices.ContainsFunc(uplift.GetTreatments(), func(t *bundlev1.Treatment) bool { return t.GetName() == of }) {
			return "", "", invalid(field, "the head %q has no treatment %q", head, of)
		}
	}
	if head != "" && b.Manifest.GetRow() == nil {
		return "", "", invalid(field, "the head %q answers no rows", head)
	}
	return head, of, nil
}

// timeOf reads an RFC 3339 time, zero for none.
func timeOf(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, invalid(field, "%q is not a time in RFC 3339, such as 2026-01-31T12:00:00Z", text)
	}
	return t, nil
}
