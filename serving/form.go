package serving

import (
	"fmt"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// form is what the manifest and the graph say of a graph's values: which axes
// are joined and padded.
type form struct {
	name    string
	sig     gpu.Signature
	inputs  []axes
	outputs []axes
	// apart says why items are not joined; empty when they are.
	apart string
	// unpadded says why an item must not be padded; empty when nothing is known
	// against it.
	unpadded string
	// whole says that axis 0 is no batch axis: an item is never cut or padded.
	whole bool
	// columns says that an item is rows of a table: no sequences, no pictures.
	columns bool
	// sequence says that some input has an axis that is padded.
	sequence bool
	// longest is how many tokens the manifest admits, 0 when it says nothing.
	longest int
	// tokens is the input that holds token ids, -1 when there is none.
	tokens int
	// limits holds, by input, the number of rows that its elements pick from; 0 =
	// they pick from none.
	limits   []int64
	batching *bundlev1.Batching
	// rowBytes is what the inputs take for a row, open axes counted as 1.
	rowBytes float64
}

// newForm describes a graph of the signature with which it is loaded.
func newForm(name string, sig gpu.Signature, p *pipeline.Pipeline) (form, error) {
	b := p.Bundle()
	m, g := b.Manifest.GetGraphs()[name], b.Graphs[name]
	f := form{
		name: name, sig: sig, apart: apart(m, g), whole: noBatchAxis(m, g) != "", columns: true,
		longest: int(b.Manifest.GetText().GetMaxLength()), tokens: tokenInput(b, name, sig), batching: m.GetBatching(),
	}
	if op := drift(m, g); op != "" {
		f.unpadded = op + " makes an answer depend on its padding (allow_batch_drift accepts that)"
	}
	for _, v := range sig.Inputs {
		port := m.GetInputs()[v.Name]
		a := axes{sequence: -1, pad: port.GetPadValue()}
		if port.GetPadValue() == 0 {
			a.pad = p.PadValue(v.Name)
		}
		if port != nil && port.SequenceAxis != nil {
			a.sequence = int(port.GetSequenceAxis())
		}
		if a.sequence == 0 || a.sequence >= len(v.Shape) && v.Shape != nil {
			return f, fmt.Errorf("%w: graphs[%q].inputs[%q].sequence_axis: is not an axis after the first", bundle.ErrInvalid, name, v.Name)
		}
		limit := int64(0)
		if in, ok := g.Input(v.Name); ok {
			limit = in.Limit
		}
		if vocabulary := int64(p.Vocabulary()); len(f.inputs) == f.tokens && (limit == 0 || vocabulary < limit) {
			limit = vocabulary
		}
		f.limits = append(f.limits, limit)
		shape := v.Shape
		if picture := p.PictureShape(name, v.Name); picture != nil {
			shape = picture
		}
		bytes := float64(v.DType.Size())
		for _, d := range shape[min(1, len(shape)):] {
			bytes *= float64(max(1, d))
		}
		f.rowBytes += bytes
		if len(v.Shape) > 2 || a.sequence >= 0 || (len(v.Shape) == 2 && v.Shape[1] < 0) {
			f.columns = false
		}
		f.sequence = f.sequence || a.sequence >= 0
		f.inputs = append(f.inputs, a)
	}
	for _, v := range sig.Outputs {
		port := m.GetOutputs()[v.Name]
		a := axes{sequence: -1}
		if port != nil && port.SequenceAxis != nil {
			a.sequence = int(port.GetSequenceAxis())
		}
		f.outputs = append(f.outputs, a)
	}
	return f, nil
}

// apart says why items of this graph may not be joined.
func apart(m *bundlev1.Graph, g *bundle.Graph) string {
	if m.GetBatching().GetMaxRows() == 1 {
		return "the manifest says max_rows: 1"
	}
	if reason := noBatchAxis(m, g); reason != "" {
		return reason
	}
	if op := drift(m, g); op != "" {
		return op + " makes an answer depend on its neighbours (allow_batch_drift accepts that)"
	}
	return ""
}

// drift names the operator by which an answer depends on whatever else is in its
// run, unless the manifest accepts that; empty when there is none.
func drift(m *bundlev1.Graph, g *bundle.Graph) string {
	if m.GetBatching().GetAllowBatchDrift() {
		return ""
	}
	return g.Drift()
}

// noBatchAxis says why axis 0 of this graph's values is no batch axis; empty
// when it is one.
func noBatchAxis(m *bundlev1.Graph, g *bundle.Graph) string {
	why := func(v bundle.Value, port *bundlev1.Port) string {
		switch {
		case port.GetBatchAxis() != 0:
			return fmt.Sprintf("the batch axis of %q is not 0", v.Name)
		case v.Shape != nil && len(v.Shape) == 0:
			return fmt.Sprintf("%q is a scalar", v.Name)
		case v.Shape != nil && v.Shape[0] >= 0:
			return fmt.Sprintf("axis 0 of %q is fixed at %d", v.Name, v.Shape[0])
		}
		return ""
	}
	for _, v := range g.Inputs {
		if v.Shape == nil {
			return fmt.Sprintf("the graph declares no shape for %q", v.Name)
		}
		if reason := why(v, m.GetInputs()[v.Name]); reason != "" {
			return reason
		}
	}
	for _, v := range g.Outputs {
		if reason := why(v, m.GetOutputs()[v.Name]); reason != "" {
			return reason
		}
	}
	return ""
}
