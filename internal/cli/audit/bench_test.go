package audit_test

import (
	"fmt"
	"io"
	"testing"

	"quilt-rotate/internal/cli/audit"
)

// formats are the formats of a report.
var formats = []struct {
	name  string
	write func(audit.Report, io.Writer) error
}{
	{"table", func(r audit.Report, w io.Writer) error {
		return r.WriteTable(w, 80)
	}},
	{"table-pipe", func(r audit.Report, w io.Writer) error { return r.WriteTable(w, 0) }},
	{"json", audit.Report.WriteJSON},
	{"csv", audit.Report.WriteCSV},
}

// BenchmarkReport creates and writes the report of a small and of a large registry.
func BenchmarkReport(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		keys, options := many(n)
		for _, f := range formats {
			b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
				for b.Loop() {
					if err := f.write(audit.New(keys, options), io.Discard); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
