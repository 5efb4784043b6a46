package bundle

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// maxColumns is how many features a manifest may have.
const maxColumns = 4096

// rowInference infers the features and the head of a model of rows.
type rowInference struct {
	manifest *bundlev1.Manifest
	graph    *Graph
	classes  []string // of a ZipMap that was cut
	hints    *bundlev1.Hints
	guesses
}

// run does nothing for a graph whose inputs are neither columns nor one matrix.
func (i *rowInference) run() error {
	row := &bundlev1.Row{}
	var err error
	matrix, isMatrix := matrixOf(i.graph)
	switch {
	case allColumns(i.graph):
		err = i.columns(row)
	case isMatrix:
		err = i.matrix(row, matrix)
	}
	if err != nil {
		return err
	}
	if len(row.GetFeatures()) == 0 {
		return noRows(i.hints, "no features are known of the graph's inputs, which are %s", list(i.graph.Inputs))
	}
	i.manifest.Preprocessing = &bundlev1.Manifest_Row{Row: row}
	return i.head()
}

// allColumns tells whether every input is one column [N] or [N,1].
func allColumns(g *Graph) bool {
	for _, v := range g.Inputs {
		column := len(v.Shape) == 1 || (len(v.Shape) == 2 && v.Shape[1] == 1)
		if v.Kind != "tensor" || !column || v.Shape[0] != -1 || featureType(v.DType) == 0 {
			return false
		}
	}
	return len(g.Inputs) > 0 && len(g.Inputs) <= maxColumns
}

// matrixOf returns the only input when it takes rows [N, columns].
func matrixOf(g *Graph) (Value, bool) {
	if len(g.Inputs) != 1 {
		return Value{}, false
	}
	v := g.Inputs[0]
	return v, v.Kind == "tensor" && len(v.Shape) == 2 && v.Shape[0] < 0 && v.Shape[1] != 0 && v.Shape[1] <= maxColumns &&
		featureType(v.DType) != 0 && v.Name != "input_ids" && v.Limit == 0
}

// columns makes a feature of each input. An exporter may have sanitised the
// names that the columns had in training.
func (i *rowInference) columns(row *bundlev1.Row) error {
	byName := map[string]*bundlev1.Column{}
	sanitised := map[string][]*bundlev1.Column{}
	for _, c := range i.hints.GetColumns() {
		byName[c.GetName()] = c
		sanitised[sanitise(c.GetName())] = append(sanitised[sanitise(c.GetName())], c)
	}
	taken := map[string]bool{}
	var renamed, unread, unknown []string
	for _, v := range i.graph.Inputs {
		f := &bundlev1.Feature{Name: v.Name}
		c := byName[v.Name]
		if likely := sanitised[v.Name]; c == nil && len(likely) == 1 {
			c = likely[0]
		}
		switch {
		case c == nil && !v.Unread:
			unknown = append(unknown, v.Name)
		case c != nil && taken[c.GetName()]:
			return invalid("hints.columns", "the column %q would feed two inputs", c.GetName())
		case c != nil && c.GetName() != v.Name:
			f.Name, f.Input, f.Aliases = c.GetName(), v.Name, []string{v.Name}
			renamed = append(renamed, c.GetName())
		}
		if c != nil {
			taken[c.GetName()] = true
		}
		if err := describe(f, v, c); err != nil {
			return err
		}
		if v.Unread {
			f.Description = "The graph does not read it."
			unread = append(unread, f.GetName())
		}
		row.Features = append(row.Features, f)
	}
	i.guess("row.features", "every input is one column%s", i.from())
	if len(renamed) > 0 {
		i.guess("row.features", "the graph has other names for %s, which are accepted too", quotedList(renamed))
	}
	if len(unread) > 0 {
		i.guess("row.features", "no node reads %s, which may be left out", quotedList(unread))
	}
	if len(byName) == 0 {
		return nil
	}
	if len(unknown) > 0 {
		i.guess("row.features", "no column of %s is called as %s", i.source(), quotedList(unknown))
	}
	var left []string
	for _, c := range i.hints.GetColumns() {
		if !taken[c.GetName()] {
			left = append(left, c.GetName())
		}
	}
	if len(left) > 0 {
		i.guess("row.features", "no input takes %s of %s", quotedList(left), i.source())
	}
	return nil
}

// matrix makes features of a matrix's columns.
func (i *rowInference) matrix(row *bundlev1.Row, v Value) error {
	columns, width := i.hints.GetColumns(), v.Shape[1]
	switch {
	case len(columns) == 0 && width < 0:
		return nil
	case len(columns) == 0:
		for k := range width {
			columns = append(columns, &bundlev1.Column{Name: fmt.Sprintf("f%d", k)})
		}
	case width >= 0 && int64(len(columns)) != width:
		return invalid("hints.columns", "%d columns%s, but the matrix %q of the graph has %d: name the features in the order in which they were in training, with neither target nor id among them",
			len(columns), i.from(), v.Name, width)
	}
	row.MatrixInput = v.Name
	for _, c := range columns {
		f := &bundlev1.Feature{Name: c.GetName()}
		if err := describe(f, v, c); err != nil {
			return err
		}
		row.Features = append(row.Features, f)
	}
	first := quotedList([]string{row.Features[0].GetName()})
	if n := len(row.Features); n > 1 {
		first += " to " + quotedList([]string{row.Features[n-1].GetName()})
	}
	switch {
	case len(i.hints.GetColumns()) == 0:
		i.guess("row.features", "the matrix %q has columns without names: they are %s", v.Name, first)
	default:
		i.guess("row.features", "the columns of the matrix %q are %s%s", v.Name, first, i.from())
	}
	return nil
}

// from says where the columns' names are from.
func (i *rowInference) from() string {
	if len(i.hints.GetColumns()) == 0 || i.hints.GetSource() == "" {
		return ""
	}
	return " (from " + i.hints.GetSource() + ")"
}

func (i *rowInference) source() string {
	if i.hints.GetSource() == "" {
		return "those given"
	}
	return i.hints.GetSource()
}

// describe gives a feature its type, and what training saw of it.
func describe(f *bundlev1.Feature, v Value, c *bundlev1.Column) error {
	f.Type = featureType(v.DType)
	if c == nil {
		return nil
	}
	number := v.DType != tensor.String && v.DType != tensor.Bool
	switch t := c.GetType(); {
	case t == bundlev1.FeatureType_FEATURE_TYPE_STRING && v.DType != tensor.String:
		return invalid("hints.columns", "the column %q holds texts%s, but the input %q takes %v: export the model together with the step that encodes them, or give the columns as they enter the model",
			c.GetName(), examples(c), v.Name, v.DType)
	case t == bundlev1.FeatureType_FEATURE_TYPE_BOOL && number:
		f.Type = t // true is 1
		return nil
	}
	if number {
		f.Min, f.Max = c.Min, c.Max
	}
	if v.DType == tensor.Float32 { // as which the number was written that a text rounds
		f.Min, f.Max = widened(c.Min, math.Min), widened(c.Max, math.Max)
	}
	if v.DType == tensor.String {
		f.Categories = c.GetCategories()
	}
	return nil
}

func widened(bound *float64, further func(x, y float64) float64) *float64 {
	if bound == nil {
		return nil
	}
	wide := further(*bound, float64(float32(*bound)))
	return &wide
}

func examples(c *bundlev1.Column) string {
	if len(c.GetCategories()) == 0 {
		return ""
	}
	return ", such as " + strconv.Quote(c.GetCategories()[0])
}

var notWord = regexp.MustCompile(`[^A-Za-z0-9_]`)

// sanitise writes a name as exporters do whose names must be words.
func sanitise(name string) string {
	name = notWord.ReplaceAllString(name, "_")
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// head infers what the graph answers.
func (i *rowInference) head() error {
	var numbers []Value
	for _, v := range i.graph.Outputs {
		if v.Kind != "tensor" || !v.DType.IsFloat() {
			continue
		}
		known := v.Name == "probabilities" || v.Name == "output_probability" || v.made.place == 1 && strings.HasSuffix(v.made.by.Type, "Classifier")
		if known && len(v.Shape) == 2 && v.Shape[1] > 1 {
			return i.classifier(v)
		}
		numbers = append(numbers, v)
	}
	if len(numbers) == 1 && len(i.graph.Outputs) == 1 {
		v := numbers[0]
		if len(v.Shape) == 1 || len(v.Shape) == 2 && v.Shape[1] == 1 {
			return i.single(v)
		}
		if v.made.by.Type == "Softmax" && len(v.Shape) == 2 && v.Shape[1] > 1 {
			return i.classifier(v)
		}
	}
	return i.unused("the graph's outputs are %s, of which it does not tell what they mean", list(i.graph.Outputs))
}

// unused is for a graph without a head that could be inferred.
func (i *rowInference) unused(format string, args ...any) error {
	i.guess("heads", format+": no head is made", args...)
	if i.hints.GetPositive() != "" {
		return invalid("hints.positive", "the graph gives no probabilities of classes; its outputs are %s", list(i.graph.Outputs))
	}
	return nil
}

// single is for the only output, one number a row.
func (i *rowInference) single(v Value) error {
	regression := strings.HasSuffix(v.made.by.Type, "Regressor") || classical(i.graph) && v.made.by.Domain == mlDomain ||
		classical(i.graph) && v.made == (made{})
	target := i.hints.GetTarget()
	binary := len(target.GetCategories()) == 2
	switch {
	case v.made.by.Type == "Sigmoid" && !regression, binary && v.made == (made{}) && !classical(i.graph):
		return i.event(v, binary)
	case i.hints.GetPositive() != "":
		return i.unused("%q holds one number a row", v.Name)
	case regression, len(target.GetQuantiles()) > 0:
		h := i.setHead("value", v)
		h.Kind = &bundlev1.Head_Value{Value: &bundlev1.Value{Quantiles: target.GetQuantiles()}}
		why := "the graph is a regression"
		if !regression {
			why = fmt.Sprintf("the target %q is a number", target.GetName())
		}
		if len(target.GetQuantiles()) > 0 {
			why += fmt.Sprintf("; percentiles are those of %q%s", target.GetName(), i.from())
		}
		i.guess("heads."+i.headName("value"), "%s, so %q is a value", why, v.Name)
		return nil
	}
	return i.unused("%q holds one number a row: a value, a probability or log-odds (a sample with its target tells)", v.Name)
}

// event is for one column with the probability of an event, or its log-odds.
func (i *rowInference) event(v Value, binary bool) error {
	names := []string{"0", "1"}
	if binary {
		names = i.hints.GetTarget().GetCategories()
	}
	event, known := eventOf(names)
	if p := i.hints.GetPositive(); p != "" {
		if event = slices.Index(names, p); event < 0 {
			return i.notAClass(names)
		}
		known = true
	}
	// What the one column tells of is by custom the second class.
	if known && event == 0 {
		return invalid("hints.positive", "%q holds one probability, which is by custom that of %q, the second of the classes; train the model for %q, or write a %s", v.Name, names[1], names[0], ManifestFile)
	}
	p := &bundlev1.Probability{Event: i.eventName(names[1])}
	why := fmt.Sprintf("%q is a sigmoid", v.Name)
	if v.made.by.Type != "Sigmoid" {
		p.Calibration = &bundlev1.Calibration{Map: &bundlev1.Calibration_Logistic{Logistic: &bundlev1.Logistic{Slope: 1}}}
		why = fmt.Sprintf("the target %q has two values, so %q is taken for log-odds", i.hints.GetTarget().GetName(), v.Name)
	}
	i.setHead("probability", v).Kind = &bundlev1.Head_Probability{Probability: p}
	i.guess("heads."+i.headName("probability"), "%s: the event is %q", why, names[1])
	return nil
}

// classifier is for a column a class: an event where the classes' names or the
// hints leave no doubt which one it is, else all classes by name. Taking the
// wrong one would invert every answer.
func (i *rowInference) classifier(v Value) error {
	names, told := i.names(v)
	if p := i.hints.GetPositive(); p != "" {
		column := slices.Index(names, p)
		if column < 0 {
			return i.notAClass(names)
		}
		i.probability(v, column, names)
		i.guess("heads."+i.headName("probability"), "of the classes %s the event is %q, as was said", quotedList(names), p)
		return nil
	}
	event, known := eventOf(names)
	switch {
	case !told && len(names) == 2:
		err := i.unused("%q holds probabilities of two classes that the graph does not name; it must be said which column is the event's (positive, 0 or 1)", v.Name)
		i.guesses[len(i.guesses)-1].undecided = names
		return err
	case !told:
		return i.unused("%q holds probabilities of classes that the graph does not name", v.Name)
	case known:
		i.probability(v, event, names)
		i.guess("heads."+i.headName("probability"), "of the classes %s the event is %q", quotedList(names), names[event])
	default:
		i.setHead("classes", v).Kind = &bundlev1.Head_Classes{Classes: &bundlev1.Classes{Names: names}}
		why := fmt.Sprintf("the classes are %s", quotedList(names))
		if len(names) == 2 {
			why += "; where one is an event, it must be said which (positive)"
		}
		i.guess("heads."+i.headName("classes"), "%s", why)
		if len(names) == 2 {
			i.guesses[len(i.guesses)-1].undecided = names
		}
	}
	return nil
}

func (i *rowInference) notAClass(names []string) error {
	return invalid("hints.positive", "%q is none of the classes, which are %s", i.hints.GetPositive(), quotedList(names))
}

func (i *rowInference) probability(v Value, column int, names []string) {
	i.setHead("probability", v).Kind = &bundlev1.Head_Probability{Probability: &bundlev1.Probability{
		Event: i.eventName(names[column]), Column: int32(column),
	}}
}

// eventName is what the answers call the event.
func (i *rowInference) eventName(class string) string {
	if name := i.hints.GetTarget().GetName(); name != "" {
		return name
	}
	for _, said := range []string{"1", "yes", "true"} {
		if strings.EqualFold(class, said) {
			return "" // it says nothing of what happens
		}
	}
	return class
}

// setHead makes the one head, named by the target.
func (i *rowInference) setHead(kind string, v Value) *bundlev1.Head {
	h := &bundlev1.Head{Source: Source{"model", v.Name}.String()}
	i.manifest.Heads = map[string]*bundlev1.Head{i.headName(kind): h}
	return h
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

func (i *rowInference) headName(kind string) string {
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(i.hints.GetTarget().GetName()), "_"), "_")
	if name == "" || name[0] < 'a' {
		return kind
	}
	return name[:min(len(name), 63)]
}

// names are the names of a classifier's columns. told is false where nobody
// says them: columns are counted then.
func (i *rowInference) names(v Value) (names []string, told bool) {
	n := int(v.Shape[1])
	if len(i.classes) == n {
		return i.classes, true
	}
	if names := classNames(i.graph, n); names != nil {
		return names, true
	}
	if c := i.hints.GetTarget().GetCategories(); len(c) == n {
		return c, true // sorted, as scikit-learn has them
	}
	names = make([]string, n)
	for k := range names {
		names[k] = strconv.Itoa(k)
	}
	return names, false
}

// classNames are the names of n classes in the order of their probabilities, nil
// when the graph does not tell. A classifier that works with numbers says nothing
// when the label that is answered is a text.
func classNames(g *Graph, n int) []string {
	if len(g.Classes) != n || n < 2 {
		return nil
	}
	for _, name := range []string{"label", "output_label"} {
		label, ok := g.Output(name)
		if !ok {
			continue
		}
		for _, c := range g.Classes {
			if _, err := strconv.ParseInt(c, 10, 64); err == nil && label.DType == tensor.String {
				return nil
			}
		}
	}
	return g.Classes
}

// eventOf returns which of two classes is the event, by names that say so.
func eventOf(names []string) (int, bool) {
	if len(names) != 2 {
		return 0, false
	}
	for _, pair := range [][2]string{{"0", "1"}, {"no", "yes"}, {"false", "true"}} {
		for i := range 2 {
			if strings.EqualFold(names[1-i], pair[0]) && strings.EqualFold(names[i], pair[1]) {
				return i, true
			}
		}
	}
	return 0, false
}

// Undecided returns the two classes of which it is not known which one is the
// event, so that somebody can be asked, and whether the graph names them; nil
// when there is nothing to ask.
func (p *Prepared) Undecided() (classes []string, named bool) {
	for _, g := range p.Guesses {
		if g.undecided != nil {
			return g.undecided, len(p.Manifest.GetHeads()) > 0
		}
	}
	return nil, false
}

// quotedList lists names in quotes, the first of them where there are many.
func quotedList(names []string) string {
	const most = 6
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, strconv.Quote(name))
	}
	if n := len(names) - most; n > 0 {
		return strings.Join(quoted, ", ") + fmt.Sprintf(" and %d more", n)
	}
	if n := len(quoted); n > 1 {
		return strings.Join(quoted[:n-1], ", ") + " and " + quoted[n-1]
	}
	return strings.Join(quoted, "")
}
