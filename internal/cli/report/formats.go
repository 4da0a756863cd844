package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"quilt-rotate/internal/terminal"
)

// WriteJSON writes the report as one JSON object. Lists are never null.
func (r Report) WriteJSON(w io.Writer) error {
	return terminal.WriteJSON(w, struct {
		Report
		Sources any `json:"sources"`
	}{r, Meanings})
}

// csvHeader names the columns. New columns come last, so that programs can rely on the order.
var csvHeader = []string{
	"secret", "record", "kind", "from", "to", "versionId", "keyId", "createdBy", "replacedVersionId", "replacedKeyId",
	"replacedAgeSeconds", "replacedAgeAtLeast", "replacedState", "replacedTime", "refusedSeen", "seconds", "text",
	"reason", "sources",
}

// WriteCSV writes a row for each rotation, gap, exception and unseen source (RFC 4180). The column
// record says which of them it is. Rows with record "unseen" and no secret are about the
// whole report.
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(csvHeader) // the writer keeps its first error; Error returns it
	for _, text := range r.Unseen {
		writeRow(out, map[string]string{"record": "unseen", "text": text})
	}
	for _, s := range r.Secrets {
		s.writeRows(out)
		out.Flush()
	}
	out.Flush()
	return out.Error()
}

func writeRow(out *csv.Writer, cells map[string]string) {
	row := make([]string, len(csvHeader))
	for i, name := range csvHeader {
		row[i] = terminal.Cell(cells[name])
	}
	_ = out.Write(row)
}

func (s Secret) writeRows(out *csv.Writer) {
	for _, x := range s.Rotations {
		row := map[string]string{"secret": s.Secret, "record": "rotation", "kind": string(x.Kind),
			"from": stamp(&x.Time), "versionId": x.VersionID, "keyId": x.KeyID, "createdBy": x.CreatedBy,
			"sources": x.sources(), "text": x.what()}
		if p := x.Replaced; p != nil {
			row["replacedVersionId"], row["replacedKeyId"] = p.VersionID, p.KeyID
			row["replacedState"], row["replacedTime"] = string(p.End.State), stamp(p.End.Time)
			row["reason"] = p.End.Reason
			row["refusedSeen"] = strconv.FormatBool(p.End.RefusedSeen)
			if p.Age != nil {
				row["replacedAgeSeconds"], row["replacedAgeAtLeast"] = seconds(*p.Age), strconv.FormatBool(p.AgeAtLeast)
			}
		}
		writeRow(out, row)
	}
	for _, g := range s.Gaps {
		writeRow(out, map[string]string{"secret": s.Secret, "record": "gap", "from": stamp(&g.From), "to": stamp(g.To),
			"seconds": seconds(g.Length), "text": g.what(), "sources": join(g.Sources)})
	}
	for _, e := range s.Exceptions {
		writeRow(out, map[string]string{"secret": s.Secret, "record": "exception", "kind": e.Kind,
			"from": stamp(&e.From), "to": stamp(e.To), "versionId": e.Version, "keyId": e.KeyID,
			"text": e.what(), "reason": e.Reason,
			"sources": join(e.Sources)})
	}
	for _, text := range s.Unseen {
		writeRow(out, map[string]string{"secret": s.Secret, "record": "unseen", "text": text})
	}
	if s.Error != "" {
		writeRow(out, map[string]string{"secret": s.Secret, "record": "error", "text": s.Error})
	}
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func seconds(s Span) string { return strconv.FormatInt(int64(time.Duration(s).Seconds()), 10) }
