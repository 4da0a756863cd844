package bench_test

import (
	"slices"
	"testing"
)

// A sample has the values of repeated measurements.
type sample []float64

func (s *sample) add(value float64) { *s = append(*s, value) }

func (s sample) median() float64 { return s.quantile(0.5) }

func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(q*float64(len(sorted)-1))]
}

// reportRatio reports two samples that were measured in turn, and the ratios of their medians and
// of their first quartiles. On a busy machine, the faster runs are more precise.
func reportRatio(b *testing.B, unit string, measured, baseline sample) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // hides the time of an iteration, which has no meaning here
	b.ReportMetric(measured.median(), unit)
	b.ReportMetric(baseline.median(), unit+"-baseline")
	b.ReportMetric(measured.median()/baseline.median(), "ratio")
	b.ReportMetric(measured.quantile(0.25)/baseline.quantile(0.25), "ratio-of-quartiles")
}
