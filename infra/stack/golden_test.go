package stack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/infra/keyrotation"
)

var golden = flag.Bool("golden", false, "write the golden files anew")

// configurations are the smallest, everything that can be set, and an adopted secret in a VPC.
var configurations = []string{"smallest", "everything", "adopted"}

var digest = regexp.MustCompile(`[0-9a-f]{64}\.zip`)

func normalized(t testing.TB, template object) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(template); err != nil {
		t.Fatal(err)
	}
	return digest.ReplaceAll(out.Bytes(), []byte("DIGEST.zip"))
}

func TestGoldenTemplates(t *testing.T) {
	// Protects deployed stacks from changes that nobody meant: every line of a template is looked
	// at when it changes.
	for _, name := range configurations {
		got := normalized(t, configured(t, name).JSON)
		file := filepath.Join("testdata", name+".golden.json")
		if *golden {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: if this is meant, run make golden, and look at the diff (-written +made):\n%s", name, diff)
		}
	}
}

func TestUpdatesKeepResources(t *testing.T) {
	// testdata/deployed.json has the resources of stacks that were deployed before the constructs
	// became L2, without those that later releases remove. CloudFormation deletes what is not in
	// the template any more: a secret's value, the functions' logs, an address that subscribed.
	text, err := os.ReadFile("testdata/deployed.json")
	if err != nil {
		t.Fatal(err)
	}
	var deployed map[string]map[string]string
	if err := json.Unmarshal(text, &deployed); err != nil {
		t.Fatal(err)
	}
	for _, name := range configurations {
		resources := configured(t, name).JSON["Resources"].(object)
		for id, kind := range deployed[name] {
			if now, _ := resources[id].(object); now["Type"] != kind {
				t.Errorf("%s: an update deletes the %s %s", name, kind, id)
			}
		}
	}
}

func TestTheListOfAlarmsIsThatOfTheTable(t *testing.T) {
	// Protects the runbook: it is checked against this list, which says of each alarm its page, its
	// class and its sentence.
	const file = "../alarms.json"
	type line struct {
		Page     string            `json:"page"`
		Class    keyrotation.Class `json:"class"`
		Sentence string            `json:"sentence"`
	}
	var lines []line
	for _, a := range append(slices.Clone(keyrotation.Alarms), keyrotation.RestartAlarm) {
		lines = append(lines, line{a.Page, a.Class, a.Sentence})
	}
	made, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *golden {
		if err := os.WriteFile(file, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(made)); diff != "" {
		t.Errorf("run make golden (-written +made):\n%s", diff)
	}
}
