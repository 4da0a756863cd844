package telemetry

import (
	"encoding/json"
	"io"
	"time"
)

// Namespace is the CloudWatch namespace of every metric.
const Namespace = "QuiltRotate"

// FunctionDimension is a dimension of every metric. It separates the stacks of an account.
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

// Label is a dimension or a property of samples. A dimension must have few values, because each
// value is billed. A property costs nothing, and Logs Insights finds it.
type Label struct{ Name, Value string }

// Metrics writes samples in CloudWatch's embedded metric format. The zero Metrics writes nothing.
type Metrics struct {
	w        io.Writer
	function string
	now      func() time.Time
}

// NewMetrics returns Metrics that write to w, for the function of that name. now returns the time.
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

// Emit writes the samples in one line. CloudWatch records each sample for the function, and if a
// dimension is given, also for the function and that dimension. Properties are only in the log. A
// line may have at most 100 metrics (CloudWatch, embedded metric format specification).
func (m *Metrics) Emit(dimension *Label, properties []Label, samples ...Sample) {
	if m == nil || m.w == nil || len(samples) == 0 {
		return
	}
	line := map[string]any{}
	for _, p := range properties { // first, so that no property overwrites a dimension or a metric
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
	if text, err := json.Marshal(line); err == nil { // it fails only for NaN and infinities, which no caller measures
		_, _ = m.w.Write(append(text, '\n'))
	}
}
