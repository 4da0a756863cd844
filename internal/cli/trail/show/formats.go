package show

import (
	"encoding/csv"
	"io"
	"strconv"

	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/terminal"
)

// JSON writes the results as one object. Each row is an object with all columns. NULL is written as
// null.
func JSON(w io.Writer, a *trail.Answer) error {
	rows := make([]map[string]any, len(a.Rows)) // never null
	for i, row := range a.Rows {
		rows[i] = map[string]any{}
		for j, name := range a.Columns {
			rows[i][name] = value(name, row[j])
		}
	}
	return terminal.WriteJSON(w, struct {
		QueryID string           `json:"queryId"`
		Scanned int64            `json:"scannedBytes"`
		Rows    []map[string]any `json:"rows"`
	}{a.QueryID, a.Scanned, rows})
}

func value(column string, c trail.Cell) any {
	if !c.Valid {
		return nil
	}
	if n, err := strconv.ParseInt(c.Text, 10, 64); err == nil && column == trail.Calls {
		return n
	}
	return c.Text
}

// CSV writes the names of the columns and then all rows.
func CSV(w io.Writer, a *trail.Answer) error {
	out := csv.NewWriter(w)
	_ = out.Write(a.Columns) // Error reports the first failure
	for _, row := range a.Rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = terminal.Cell(c.Text)
		}
		_ = out.Write(cells)
	}
	out.Flush()
	return out.Error()
}
