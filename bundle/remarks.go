package bundle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// drifting are operators that take a scale over a whole tensor.
var drifting = []string{"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}

// Drift returns the operator that makes an answer of the graph depend on its
// neighbours in a run and on padding, "" when there is none.
func (g *Graph) Drift() string {
	for op := range g.Operators {
		if slices.Contains(drifting, op.Type) {
			return op.Type
		}
	}
	return ""
}

// Remarks tell what keeps graphs from being served in batches, and what the
// trainer can do about it.
func (b *Bundle) Remarks() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(b.Graphs)) {
		g, m := b.Graphs[name], b.Manifest.GetGraphs()[name]
		if m.GetBatching().GetMaxRows() == 1 {
			continue // as its author wishes
		}
		say := func(format string, args ...any) {
			out = append(out, m.GetFile()+": "+fmt.Sprintf(format, args...))
		}
		drift := g.Drift()
		if m.GetBatching().GetAllowBatchDrift() {
			drift = ""
		}
		switch v, fixed := fixedBatch(g); {
		case fixed:
			say("axis 0 of %q is fixed at %d: calls are not joined, only run side by side. For batches %s", v.Name, v.Shape[0], reexport(g))
		case drift != "":
			say("%s: answers depend on neighbours and on padding: never joined or padded unless the manifest says allow_batch_drift", drift)
		case !says(m) && takesTokens(g):
			if why := unpaddable(g); why != "" {
				say("texts of different length do not share a run: %s", why)
			}
		}
	}
	return out
}

// fixedBatch returns the first value of which the graph fixes axis 0.
func fixedBatch(g *Graph) (Value, bool) {
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		if len(v.Shape) > 0 && v.Shape[0] >= 0 {
			return v, true
		}
	}
	return Value{}, false
}

// reexport says how the exporter that wrote the graph leaves axis 0 open.
func reexport(g *Graph) string {
	const most = 4 // values that are named
	var axes, types []string
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		open := []string{`0: "batch"`} // and what is open now, or it would be fixed
		for i, symbol := range v.Symbols {
			if i > 0 && v.Shape[i] < 0 {
				open = append(open, fmt.Sprintf("%d: %q", i, cmp.Or(symbol, fmt.Sprintf("axis%d", i))))
			}
		}
		axes = append(axes, fmt.Sprintf("%q: {%s}", v.Name, strings.Join(open, ", ")))
	}
	for _, v := range g.Inputs {
		shape := []string{"None"}
		for _, d := range v.Shape[min(1, len(v.Shape)):] {
			if d < 0 {
				shape = append(shape, "None")
			} else {
				shape = append(shape, fmt.Sprint(d))
			}
		}
		types = append(types, fmt.Sprintf("(%q, %s([%s]))", v.Name, sklearnType(v.DType), strings.Join(shape, ", ")))
	}
	listed := func(parts []string) string {
		if len(parts) > most {
			parts = append(parts[:most:most], "…")
		}
		return strings.Join(parts, ", ")
	}
	switch {
	case strings.HasPrefix(g.Producer, "skl2onnx"), strings.HasPrefix(g.Producer, "OnnxMLTools"):
		return "export it again: to_onnx(…, initial_types=[" + listed(types) + "])"
	case strings.HasPrefix(g.Producer, "pytorch"):
		return "export it again: torch.onnx.export(…, dynamic_axes={" + listed(axes) + "})"
	}
	return "export it again with a symbolic axis 0 in every input and output; with PyTorch: torch.onnx.export(…, dynamic_axes={" + listed(axes) + "})"
}

func sklearnType(t tensor.DType) string {
	switch t {
	case tensor.Int64:
		return "Int64TensorType"
	case tensor.String:
		return "StringTensorType"
	case tensor.Float64:
		return "DoubleTensorType"
	case tensor.Bool:
		return "BooleanTensorType"
	}
	return "FloatTensorType"
}

// says tells whether a manifest gives the meaning of any axis of a graph.
func says(m *bundlev1.Graph) bool { return len(m.GetInputs()) > 0 || len(m.GetOutputs()) > 0 }
