package audit

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"quilt-rotate/internal/terminal"
)

// csvHeader names the columns. They are a contract: new ones come last.
var csvHeader = []string{
	"keyId", "keyName", "fingerprint", "owner", "status", "createdAt", "expiresAt", "lastUsedAt", "daysToExpiry", "daysUnused", "secret", "findings",
}

// WriteCSV writes one row for each key (RFC 4180), in the order of the report: times as in RFC 3339, findings with a blank between, an
// empty cell if there is no value. What begins like a formula has an apostrophe before it, as spreadsheets show it for text.
// There is no row for what was not judged: whoever writes it says [Report.Notes] elsewhere.
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	// The writer keeps its first error, and Flush is followed by Error.
	_ = out.Write(csvHeader)
	for _, k := range r.Keys {
		lastUsed := ""
		if k.LastUsedAt != nil {
			lastUsed = k.LastUsedAt.UTC().Format(time.RFC3339)
		}
		_ = out.Write([]string{
			cell(k.ID), cell(k.Name), cell(k.Fingerprint), cell(k.Owner), cell(string(k.Status)),
			k.CreatedAt.UTC().Format(time.RFC3339), k.ExpiresAt.UTC().Format(time.RFC3339), lastUsed,
			optional(k.DaysToExpiry), optional(k.DaysUnused), cell(k.Secret), words(k.Findings, " "),
		})
	}
	out.Flush()
	return out.Error()
}

// formulaStarts are what spreadsheets take for the start of a formula, their full-width forms included (OWASP, CSV injection).
const formulaStarts = "=+-@\t\r\n＝＋－＠"

// cell is text from outside that stays text.
func cell(s string) string {
	if s == "" {
		return s
	}
	if strings.ContainsAny(string([]rune(s)[0]), formulaStarts) {
		s = "'" + s
	}
	return terminal.Legible(s)
}

func optional(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}
