package audit

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"quilt-rotate/internal/terminal"
)

// csvHeader names the columns. New columns come last, so that programs can rely on the order.
var csvHeader = []string{
	"keyId", "keyName", "fingerprint", "owner", "status", "createdAt", "expiresAt", "lastUsedAt", "daysToExpiry",
	"daysUnused", "secret", "findings",
}

// WriteCSV writes one row for each key (RFC 4180), in the order of the report. Times have the
// format of RFC 3339, findings are separated by spaces, and a missing value is an empty cell. CSV
// cannot show which findings were not checked, so the caller must print [Report.Notes].
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	// The writer keeps its first error; Error returns it.
	_ = out.Write(csvHeader)
	for _, k := range r.Keys {
		lastUsed, secret := "", ""
		if k.LastUsedAt != nil {
			lastUsed = k.LastUsedAt.UTC().Format(time.RFC3339)
		}
		if k.Secret != nil {
			secret = *k.Secret
		}
		_ = out.Write([]string{
			terminal.Cell(k.ID), terminal.Cell(k.Name), terminal.Cell(k.Fingerprint), terminal.Cell(k.Owner),
			terminal.Cell(string(k.Status)),
			k.CreatedAt.UTC().Format(time.RFC3339), k.ExpiresAt.UTC().Format(time.RFC3339), lastUsed,
			optional(k.DaysToExpiry), optional(k.DaysUnused), terminal.Cell(secret), words(k.Findings, " "),
		})
	}
	out.Flush()
	return out.Error()
}

func optional(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}
