package scoring

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/pipeline"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// Number names a number that a head of a model gives for every row.
type Number struct {
	// Head is a probability head, a classes head or an uplift head.
	Head string
	// Of is the class, or the treatment whose effect is meant. It is empty for a
	// probability, and for an uplift head's outcome without treatment.
	Of string
}

// RowNumbers is what heads say of one row.
type RowNumbers struct {
	// Values belong to the numbers that were asked for.
	Values []float64
	// ServedBy tells who answered, Warnings what the caller should know.
	ServedBy []*servingv1.ServedBy
	Warnings []*servingv1.Warning
}

// Numbers asks a model for some numbers of rows, by one run of its graphs; where
// none is asked for the rows are checked and nothing is run. rows[i] and errs[i]
// belong to instances[i]. err is set when the call as a whole cannot be answered.
// The model must have what is asked for.
func Numbers(ctx context.Context, m Model, instances []*scoringv1.Instance, asked []Number) (rows []RowNumbers, errs []error, err error) {
	if err := m.Pipeline().CheckCount("instances", len(instances)); err != nil {
		return nil, nil, err
	}
	n := &numbers{model: m, rows: make([]RowNumbers, len(instances)), errs: make([]error, len(instances)), features: make([]*structpb.Struct, len(instances))}
	if err := n.find(asked); err != nil {
		return nil, nil, err
	}
	for i, in := range instances {
		n.features[i] = in.GetFeatures()
	}
	if m.Bundle().Manifest.GetRow() == nil {
		n.unread()
		return n.rows, n.errs, nil
	}
	if err := pipeline.Waves(ctx, m.Pipeline().RowWaves(n.features), n.wave); err != nil {
		return nil, nil, err
	}
	return n.rows, n.errs, nil
}

// numbers is one call of Numbers.
type numbers struct {
	model    Model
	heads    []*head
	reads    []number // like what is asked for
	features []*structpb.Struct
	rows     []RowNumbers
	errs     []error
}

// number is where a number is read.
type number struct {
	quantity
	head     int // among the heads
	baseline bool
}

// find resolves what is asked for.
func (n *numbers) find(asked []Number) error {
	var wanted []string
	for _, a := range asked {
		if !slices.Contains(wanted, a.Head) {
			wanted = append(wanted, a.Head)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var err error
	if n.heads, err = newHeads(n.model, &scoringv1.ScoreOptions{Heads: wanted}); err != nil {
		return err
	}
	for _, a := range asked {
		at := slices.IndexFunc(n.heads, func(h *head) bool { return h.name == a.Head })
		h := n.heads[at]
		read := number{head: at, quantity: quantity{head: h, scale: scoringv1.Scale_SCALE_PROBABILITY}}
		if read.baseline = a.Of == "" && h.spec.GetUplift() != nil; !read.baseline && a.Of != "" {
			if read.place = slices.Index(h.targets(), a.Of); read.place < 0 {
				return fmt.Errorf("%w: the head %s has no %q", ErrUnsupported, a.Head, a.Of)
			}
		}
		n.reads = append(n.reads, read)
	}
	return nil
}

// unread says that a model without rows reads no features.
func (n *numbers) unread() {
	served := []*servingv1.ServedBy{n.model.Identity().ServedBy()}
	for i, f := range n.features {
		n.rows[i].ServedBy = served
		if len(f.GetFields()) > 0 {
			n.rows[i].Warnings = []*servingv1.Warning{{
				Code:  servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE,
				Field: fmt.Sprintf("instances[%d].features", i), Message: "the model reads no features",
			}}
		}
	}
}

// wave answers the rows of one wave.
func (n *numbers) wave(ctx context.Context, _ int, w pipeline.Wave) error {
	item, reports, err := n.model.Pipeline().Rows(n.features[w.From:w.To])
	if err != nil {
		return err
	}
	rows, errs := n.rows[w.From:w.To], n.errs[w.From:w.To]
	served := []*servingv1.ServedBy{n.model.Identity().ServedBy()}
	for i, r := range reports {
		errs[i], rows[i].Warnings, rows[i].ServedBy = r.Err, pipeline.Within(fmt.Sprintf("instances[%d]", w.From+i), r.Warnings), served
	}
	if len(n.reads) == 0 {
		return ctx.Err()
	}
	values := make([]float64, len(rows)*len(n.reads))
	return runRows(ctx, n.model, item, errs, func(answer *pipeline.Answer, from, to int) error {
		read, bad := bind(n.heads, answer.Outputs)
		served := []*servingv1.ServedBy{answer.Stats.ServedBy(n.model.Identity(), names(n.heads))}
		for row := from; row < to; row++ {
			if errs[row] != nil {
				continue
			}
			if errs[row] = bad; bad != nil {
				continue
			}
			of := values[row*len(n.reads) : (row+1)*len(n.reads)]
			errs[row] = n.read(read, row-from, of)
			rows[row].Values, rows[row].ServedBy = of, served
		}
		return nil
	})
}

// read reads the numbers of one row.
func (n *numbers) read(r *reader, row int, into []float64) (err error) {
	distribution := -1 // the head whose classes lie in r.numbers
	for k := range n.reads {
		q := &n.reads[k]
		b := &r.heads[q.head]
		switch classes := b.spec.GetClasses(); {
		case classes != nil:
			if distribution != q.head {
				err = r.classes(b, row, classes)
			}
			if err == nil {
				distribution, into[k] = q.head, r.numbers[q.place]
			}
		case q.baseline:
			into[k], err = b.baseline(row)
		default:
			into[k], err = q.quantity.read(r, b, row)
		}
		if err != nil {
			return fmt.Errorf("head %s: %w", b.name, err)
		}
	}
	return nil
}
