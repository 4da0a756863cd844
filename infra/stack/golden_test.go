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

// configurations of testdata: the smallest one, one with every option, and one with an adopted
// secret in a VPC.
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
	// Every change of a template is reviewed, so that no update changes deployed stacks by mistake.
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
			t.Errorf("%s: if this is intended, run make golden and review the diff (-golden +now):\n%s", name, diff)
		}
	}
}

func TestUpdatesKeepResources(t *testing.T) {
	// CloudFormation deletes a resource that is no longer in the template, with the value of a
	// secret, the logs or a subscription. testdata/deployed.json has the resources of stacks that
	// were deployed before L2 constructs were used, except those that later releases remove.
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
	// The runbook is checked against this list.
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
		t.Errorf("run make golden (-golden +now):\n%s", diff)
	}
}
