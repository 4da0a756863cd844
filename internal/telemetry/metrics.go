package telemetry

import (
	"encoding/json"
	"io"
	"time"
)

// Namespace is the CloudWatch namespace of every metric.
const Namespace = "QuiltRotate"

// FunctionDimension is on every metric, so that two stacks in one account stay apart.
const FunctionDimension = "FunctionName"

// Unit is a CloudWatch unit.
type Unit string

// The units in use.
const (
	Count        Unit = "Count"
	Milliseconds Unit = "Milliseconds"
	Seconds      Unit = "Seconds"
	None         Unit = "None"
)

// Sample is one measured value.
type Sample struct {
	Name  string
	Unit  Unit
	Value float64
}

// Label is a dimension (few values, billed by value) or a property (free, found by Logs Insights)
// of samples.
type Label struct{ Name, Value string }

// Metrics writes samples in CloudWatch's embedded metric format. The zero Metrics writes nothing.
type Metrics struct {
	w        io.Writer
	function string
	now      func() time.Time
}

// NewMetrics writes to w for the function of that name, with the time that now tells.
func NewMetrics(w io.Writer, function string, now func() time.Time) *Metrics {
	return &Metrics{w, function, now}
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct {
	Name string
	Unit Unit
}

// Emit writes the samples in one line. CloudWatch gets each for the function as a whole, and, where
// a dimension is given, for the function and that dimension; properties go with them into the log
// only. (CloudWatch: embedded metric format specification. At most 100 metrics a line.)
func (m *Metrics) Emit(dimension *Label, properties []Label, samples ...Sample) {
	if m == nil || m.w == nil || len(samples) == 0 {
		return
	}
	line := map[string]any{}
	for _, p := range properties { // first, so that none takes the place of a dimension or a metric
		line[p.Name] = p.Value
	}
	line[FunctionDimension] = m.function
	d := directive{Namespace: Namespace, Dimensions: [][]string{{FunctionDimension}}}
	if dimension != nil {
		line[dimension.Name] = dimension.Value
		d.Dimensions = append(d.Dimensions, []string{FunctionDimension, dimension.Name})
	}
	for _, s := range samples {
		d.Metrics = append(d.Metrics, definition{s.Name, s.Unit})
		line[s.Name] = s.Value
	}
	line["_aws"] = map[string]any{"Timestamp": m.now().UnixMilli(), "CloudWatchMetrics": []directive{d}}
	if text, err := json.Marshal(line); err == nil { // fails for NaN and infinities only, which are not measures
		_, _ = m.w.Write(append(text, '\n'))
	}
}
