package show_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"quilt-rotate/internal/cli/trail/show"
	"quilt-rotate/internal/quilt/trail"
)

func answer(columns []string, rows ...[]string) *trail.Answer {
	a := &trail.Answer{Columns: columns, QueryID: "q-1", Scanned: 1_234_567, Took: 1500 * time.Millisecond}
	for _, row := range rows {
		var cells []trail.Cell
		for _, text := range row {
			if text == "NULL" {
				cells = append(cells, trail.Cell{})
				continue
			}
			cells = append(cells, trail.NewCell(text))
		}
		a.Rows = append(a.Rows, cells)
	}
	return a
}

var eventColumns = []string{
	trail.EventTime, trail.EventName, trail.KeyName, trail.KeyFingerprint, trail.KeyID, trail.UserEmail,
	trail.SourceAddress, trail.UserAgent, trail.ErrorCode,
}

func events() *trail.Answer {
	return answer(
		eventColumns,
		[]string{"2026-11-24T10:00:05Z", "APIKeys.Admin.Revoke", "prod-quilt-20261124-0123456789abcdef", "qk_abc...xyz",
			"key-1", "a-person-with-a-long-name@example.com", "2001:db8::1", "quilt/1", "NULL"},
		[]string{"2026-11-24T09:00:05Z", "Auth.APIKey", "NULL", "qk_def...uvw", "NULL", "NULL", "192.0.2.1",
			"=cmd|' /C calc'!A0", "USER_INACTIVE"},
	)
}

func TestTable(t *testing.T) {
	// A key has its name or fingerprint, a login without a user has the program, and each line fits
	// the terminal.
	for _, width := range []int{80, 132, 200} {
		text := show.Table(events(), true, width)
		for line := range strings.SplitSeq(text, "\n") {
			if w := lipgloss.Width(line); w > width {
				t.Errorf("at %d columns, a line has %d", width, w)
			}
		}
		if width == 200 {
			for _, want := range []string{"prod-quilt-20261124-0123456789abcdef", "qk_def...uvw",
				"a-person-with-a-long-name@example.com", "=cmd|' /C calc'!A0", "USER_INACTIVE", "192.0.2.1"} {
				if !strings.Contains(text, want) {
					t.Errorf("the table lacks %s:\n%s", want, ansi.Strip(text))
				}
			}
			if strings.Contains(text, "key-1") || strings.Contains(text, "calls") {
				t.Errorf("the table has an id or an empty column:\n%s", ansi.Strip(text))
			}
		}
	}
}

func TestTableInAPipe(t *testing.T) {
	// For programs, each row is one line with all columns.
	lines := strings.Split(ansi.Strip(show.Table(events(), false, 0)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], trail.EventTime) || !strings.Contains(lines[1], "key-1") ||
		!strings.Contains(lines[2], "USER_INACTIVE") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}

func TestFooter(t *testing.T) {
	// The footer says if there are more events, and what the query costs.
	a := events()
	for limit, want := range map[int]string{
		10: "2 events; Athena read 1.2 MB in 1.5 s",
		2:  "the newest 2 events: there may be more; Athena read 1.2 MB in 1.5 s",
	} {
		if got := show.Footer(a, limit); got != want {
			t.Errorf("limit %d: got %s", limit, got)
		}
	}
	a.Rows = nil
	if got := show.Footer(a, 10); got != "no events; Athena read 1.2 MB in 1.5 s" {
		t.Errorf("no events: got %s", got)
	}
}

func TestJSON(t *testing.T) {
	// NULL is null, a count is a number, and no rows are an empty list.
	a := answer([]string{trail.KeyName, trail.Calls}, []string{"NULL", "17"})
	const want = `{
  "queryId": "q-1",
  "scannedBytes": 1234567,
  "rows": [
    {
      "calls": 17,
      "key_name": null
    }
  ]
}
`
	written(t, show.JSON, a, want)
	a.Rows = nil
	written(t, show.JSON, a, "{\n  \"queryId\": \"q-1\",\n  \"scannedBytes\": 1234567,\n  \"rows\": []\n}\n")
}

func TestCSV(t *testing.T) {
	// A user agent must not become a formula in a spreadsheet.
	written(t, show.CSV, events(),
		`event_time,event_name,key_name,key_fingerprint,key_id,user_email,source_address,user_agent,error
2026-11-24T10:00:05Z,APIKeys.Admin.Revoke,prod-quilt-20261124-0123456789abcdef,qk_abc...xyz,key-1,a-person-with-a-long-name@example.com,2001:db8::1,quilt/1,
2026-11-24T09:00:05Z,Auth.APIKey,,qk_def...uvw,,,192.0.2.1,'=cmd|' /C calc'!A0,USER_INACTIVE
`)
}

func written(t *testing.T, write func(io.Writer, *trail.Answer) error, a *trail.Answer, want string) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, a); err != nil || b.String() != want {
		t.Errorf("got the error %v and\n%s\nwant:\n%s", err, b.String(), want)
	}
}
