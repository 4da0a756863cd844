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

var goldenShapes = flag.Bool("golden", false, "write the golden files of testdata/json anew")

// json NAME: the last standard output is one JSON document, and nothing else; it has the fields
// that testdata/json/NAME.txt lists, and its times are in UTC and to the second.
func shape(ts *testscript.TestScript, _ bool, args []string) {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var document any
	ts.Check(decoder.Decode(&document))
	if _, err := decoder.Token(); err != io.EOF {
		ts.Fatalf("something follows the JSON document")
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
	if *goldenShapes {
		ts.Check(os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	ts.Check(err)
	if got != string(want) {
		ts.Fatalf("the fields are\n%sand not those of testdata/json/%s.txt "+
			"(if this is meant: -golden, and say it in the command's help)\n%s", got, args[0], want)
	}
}

// fieldsOf gathers the paths of all fields: "keys[].keyId". What has names from outside, such as
// tags, is one field.
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
			ts.Fatalf("%s is %s, which is not in UTC and to the second", path, value)
		}
	}
}
