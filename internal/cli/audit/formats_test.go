package audit_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/quilt"
)

var golden = flag.Bool("golden", false, "write the golden files")

func written(t testing.TB, r audit.Report, write func(audit.Report, io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(r, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGoldenFormats(t *testing.T) {
	// Programs and people read these formats, so a change must be intended.
	r := audit.New(sample())
	for file, write := range map[string]func(audit.Report, io.Writer) error{
		"report.json": audit.Report.WriteJSON,
		"report.csv":  audit.Report.WriteCSV,
		"report-80.txt": func(r audit.Report, w io.Writer) error {
			return r.WriteTable(w, 80)
		},
		"report-pipe.txt": func(r audit.Report, w io.Writer) error { return r.WriteTable(w, 0) },
	} {
		got, path := ansi.Strip(written(t, r, write)), filepath.Join("testdata", file)
		if *golden {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v: run go test ./internal/cli/audit -golden", err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (if the change is intended, run go test ./internal/cli/audit -golden) (-want "+
				"+got):\n%s", file, diff)
		}
	}
}

func TestEveryFormatWritesAnEmptyReport(t *testing.T) {
	// A registry without keys is not a failure.
	for _, f := range formats {
		if out := written(t, audit.New(nil, complete()), f.write); out == "" || strings.Contains(out, "<no value>") {
			t.Errorf("%s: got %q", f.name, out)
		}
	}
	if out := written(t, audit.New(nil, complete()), audit.Report.WriteJSON); strings.Contains(out, "null") &&
		strings.Contains(out, `"keys": null`) {
		t.Error("an empty list is null in JSON")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAFailedWriteIsAnError(t *testing.T) {
	// A report on a full disk must not look complete.
	for _, f := range formats {
		if f.write(audit.New(sample()), full{}) == nil {
			t.Errorf("%s: got no error", f.name)
		}
	}
}

func TestTheTableFitsItsTerminal(t *testing.T) {
	for _, width := range []int{72, 80, 100, 132, 200} {
		for _, set := range []func() ([]quilt.APIKey, audit.Options){sample, func() ([]quilt.APIKey, audit.Options) {
			return many(50)
		}} {
			out := written(t, audit.New(set()), func(r audit.Report, w io.Writer) error {
				return r.WriteTable(w,
					width)
			})
			for line := range strings.SplitSeq(out, "\n") {
				if got := ansi.StringWidth(line); got > width {
					t.Errorf("at %d columns, a line has %d: %s", width, got, line)
				}
			}
		}
	}
}

func TestTheTableSaysThatOwnersAreOmitted(t *testing.T) {
	out := written(t, audit.New(many(2000)), formats[0].write)
	if !strings.Contains(out, "owners with fewer keys: --format json has them all") {
		t.Error("the table does not say that owners are omitted")
	}
}

// style matches the escape codes of the table's own colours and weights.
var style = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func TestNoFormatWritesControlCharacters(t *testing.T) {
	// A name from the registry must not control the terminal.
	keys, o := sample()
	for r := range rune(0xe0100) {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Z, r) && r != ' ' {
			keys = append(keys, key(func(k *quilt.APIKey) {
				k.Name, k.UserEmail = "x"+string(r)+"y",
					string(r)+"@example.com"
			}))
		}
	}
	keys = append(keys, key(func(k *quilt.APIKey) { k.Name = "bad\xff\xfeutf8" }))
	for _, f := range formats {
		out := style.ReplaceAllString(written(t, audit.New(keys, o), f.write), "")
		for _, r := range out {
			switch {
			case r == '\n', r == ' ', f.name == "csv" && r == '\r':
			case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Z, r):
				t.Errorf("%s contains the character %U", f.name, r)
			}
		}
	}
}

func TestCSVCanBeParsed(t *testing.T) {
	// Each key is one row with the same number of fields and with times in RFC 3339.
	r := audit.New(sample())
	rows, err := csv.NewReader(strings.NewReader(written(t, r, audit.Report.WriteCSV))).ReadAll()
	if err != nil || len(rows) != len(r.Keys)+1 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	for i, row := range rows[1:] {
		if row[0] != r.Keys[i].ID {
			t.Errorf("row %d has the key %q, want %q", i, row[0], r.Keys[i].ID)
		}
		for _, at := range row[5:8] {
			if _, err := time.Parse(time.RFC3339, at); at != "" && err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCSVHasNoFormula(t *testing.T) {
	// A spreadsheet runs a cell that begins like a formula.
	var keys []quilt.APIKey
	for _, start := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "=cmd|' /C calc'!A0",
		"-1+1", "\t=1"} {
		keys = append(keys, quilt.APIKey{
			ID: start + "id", Name: start + "name", Fingerprint: start + "fp", UserEmail: start + "owner",
			Status:    quilt.Status(start + "s"),
			CreatedAt: ago(1), ExpiresAt: in(1),
		})
	}
	o, names := complete(), held{}
	for _, k := range keys {
		names[k.ID] = k.Name
	}
	o.Secret = names.by
	rows, err := csv.NewReader(strings.NewReader(written(t, audit.New(keys, o), audit.Report.WriteCSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(cell)[0]) {
				t.Errorf("a cell begins like a formula: %q", cell)
			}
		}
	}
}

func TestJSONHasUnchangedNames(t *testing.T) {
	// Programs find keys by their names.
	keys, o := sample()
	var got struct {
		Totals struct{ Keys int }
		Keys   []struct{ KeyID, KeyName string }
	}
	if err := json.Unmarshal([]byte(written(t, audit.New(keys, o), audit.Report.WriteJSON)), &got); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, k := range got.Keys {
		names[k.KeyID] = k.KeyName
	}
	for _, k := range keys {
		if names[k.ID] != k.Name {
			t.Errorf("key %s: got the name %q, want %q", k.ID, names[k.ID], k.Name)
		}
	}
	if got.Totals.Keys != len(keys) {
		t.Errorf("got the total %d, want %d", got.Totals.Keys, len(keys))
	}
}

func TestNoFormatShowsAKey(t *testing.T) {
	// A registry might return a whole key as the fingerprint, and a name might contain a key
	// (promise 4).
	const canary = "qk_CANARYcanaryCANARYcanary0123456789"
	k := key(func(k *quilt.APIKey) { k.ID, k.Name, k.Fingerprint, k.UserEmail = canary, "my "+canary, canary, canary })
	short := key(func(k *quilt.APIKey) { k.ID, k.Fingerprint = "key-2", "qk_CAN...789" })
	for _, f := range formats {
		out := written(t, audit.New([]quilt.APIKey{k, short}, complete()), f.write)
		if strings.Contains(out, "CANARY") || strings.Contains(out, canary[12:24]) {
			t.Errorf("%s shows a key", f.name)
		}
		if f.name != "csv" && !strings.Contains(out, "qk_CAN...789") && !strings.HasPrefix(f.name, "table") {
			t.Errorf("%s does not show a fingerprint", f.name)
		}
	}
	for _, fingerprint := range []string{canary + "...", "..." + canary, canary[:20] + "...789"} {
		r := audit.New([]quilt.APIKey{key(func(k *quilt.APIKey) { k.Fingerprint = fingerprint })}, complete())
		if got := r.Keys[0].Fingerprint; strings.Contains(got, canary[3:15]) {
			t.Errorf("fingerprint %q: got %q", fingerprint, got)
		}
	}
}
