package evaluate

// Metrics of Classes, beside LogLoss.
const (
	Accuracy = "accuracy"
	MacroF1  = "macro-F1"
)

// Classes is predicted and observed classes. It keeps 20 bytes a row.
type Classes struct {
	rows             []int32
	truth, predicted []int32
	losses           []float64
	classes          int
}

// NewClasses takes the given rows of all: the places of the true and of the
// likeliest class among so many, and the logarithmic loss of the true one. The
// slices are kept.
func NewClasses(rows, truth, predicted []int32, losses []float64, classes int) *Classes {
	return &Classes{rows: rows, truth: truth, predicted: predicted, losses: losses, classes: classes}
}

// Rows is their number.
func (c *Classes) Rows() int { return len(c.rows) }

// Metrics implements Sample.
func (c *Classes) Metrics() []string { return []string{Accuracy, MacroF1, LogLoss} }

// Measure implements Sample: the share of rows whose likeliest class is the true
// one; the mean over classes of the harmonic mean of precision and recall (Yang
// and Liu, "A Re-examination of Text Categorization Methods", 1999), classes that
// are neither true nor predicted anywhere left out; the logarithmic loss.
func (c *Classes) Measure(weights []float64) []float64 {
	var sum, loss, right float64
	for _, row := range c.rows {
		w := weightOf(weights, row)
		sum += w
		loss += w * c.losses[row]
	}
	total, present := 0.0, 0.0
	for _, k := range c.tally(weights) {
		right += k.right
		if k.truths+k.guesses > 0 {
			total += 2 * k.right / (k.truths + k.guesses)
			present++
		}
	}
	return []float64{ratio(right, sum), ratio(total, present), ratio(loss, sum)}
}

type classTally struct{ right, truths, guesses float64 }

func (c *Classes) tally(weights []float64) []classTally {
	out := make([]classTally, c.classes)
	for _, row := range c.rows {
		w := weightOf(weights, row)
		truth, predicted := c.truth[row], c.predicted[row]
		out[truth].truths += w
		out[predicted].guesses += w
		if truth == predicted {
			out[truth].right += w
		}
	}
	return out
}

// ClassScore is how well one class is found.
type ClassScore struct {
	Rows                  int     // of which it is the true class
	Precision, Recall, F1 float64 // NaN where nothing defines them
}

// ByClass scores every class.
func (c *Classes) ByClass() []ClassScore {
	out := make([]ClassScore, c.classes)
	for i, k := range c.tally(nil) {
		out[i] = ClassScore{
			Rows: int(k.truths), Precision: ratio(k.right, k.guesses), Recall: ratio(k.right, k.truths),
			F1: ratio(2*k.right, k.truths+k.guesses),
		}
	}
	return out
}
