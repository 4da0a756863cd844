package config_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/infra/config"
)

var golden = flag.Bool("golden", false, "write the golden files again")

func TestTheSchemaMatchesTheTypes(t *testing.T) {
	// The checked-in schema has the fields that the app reads.
	const file = "../config.schema.json"
	schema, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *golden {
		if err := os.WriteFile(file, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(schema)); diff != "" {
		t.Errorf("run make golden (-golden +now):\n%s", diff)
	}
}
