package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var golden = flag.Bool("golden", false, "write the golden files of testdata/json and the completion scripts")

// jsonFields is the command "json NAME". The last standard output is exactly one JSON document. It
// has the fields that testdata/json/NAME.txt lists, and its times are in UTC, in whole seconds.
func jsonFields(ts *testscript.TestScript, _ bool, args []string) {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var document any
	ts.Check(decoder.Decode(&document))
	if _, err := decoder.Token(); err != io.EOF {
		ts.Fatalf("the output continues after the JSON document")
	}
	found := map[string]bool{}
	fieldsOf(ts, document, "", found)
	var paths []string
	for path := range found {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	got := strings.Join(paths, "\n") + "\n"
	file := filepath.Join(ts.Getenv("JSON"), args[0]+".txt")
	if *golden {
		ts.Check(os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	ts.Check(err)
	if got != string(want) {
		ts.Fatalf("got the fields\n%swant those of testdata/json/%s.txt "+
			"(if the change is intended, run with -golden and update the command's help)\n%s", got, args[0], want)
	}
}

// fieldsOf collects the paths of all fields, such as "keys[].keyId". An object with arbitrary
// names, such as tags, counts as one field.
func fieldsOf(ts *testscript.TestScript, value any, path string, found map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		if path == "tags" || strings.HasSuffix(path, "statuses") {
			return
		}
		for name, inner := range value {
			within := strings.TrimPrefix(path+"."+name, ".")
			found[within] = true
			fieldsOf(ts, inner, within, found)
		}
	case []any:
		for _, inner := range value {
			fieldsOf(ts, inner, path+"[]", found)
		}
	case string:
		if t, err := time.Parse(time.RFC3339Nano, value); err == nil && t.UTC().Format(time.RFC3339) != value {
			ts.Fatalf("%s is %s, want a time in UTC in whole seconds", path, value)
		}
	}
}
