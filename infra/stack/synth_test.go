package stack_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/stack"
	"quilt-rotate/internal/sandbox/hermetic"
)

// packages are placeholders of the functions' zips: templates do not depend on their content.
var packages stack.Packages

func TestMain(m *testing.M) {
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "quilt-rotate-stack-")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("TMPDIR", folder) // the CDK's library leaves files behind
	packages = stack.Packages{Rotate: standIn(folder, "rotate"), Revoke: standIn(folder, "revoke")}
	status := m.Run()
	jsii.Close()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

func standIn(folder, name string) string {
	path := filepath.Join(folder, name+".zip")
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	archive := zip.NewWriter(file)
	if _, err := archive.Create(name); err != nil {
		panic(err)
	}
	if err := archive.Close(); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
	return path
}

// object is JSON.
type object = map[string]any

// template is a synthesized template.
type template struct {
	testing.TB
	assertions.Template
	JSON object
}

// synth returns the template of a configuration.
func synth(t testing.TB, c *config.Config) template {
	t.Helper()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), AnalyticsReporting: jsii.Bool(false),
		Context: flags(t)})
	return templateOf(t, stack.New(app, c, packages))
}

// flags returns the context that the cdk command passes to the app. Its feature flags change
// templates.
func flags(t testing.TB) *map[string]any {
	t.Helper()
	content, err := os.ReadFile("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(content, &file); err != nil || len(file.Context) == 0 {
		t.Fatalf("cdk.json has no context: %v", err)
	}
	return &file.Context
}

func templateOf(t testing.TB, made awscdk.Stack) template {
	t.Helper()
	all := template{TB: t, Template: assertions.Template_FromStack(made, nil)}
	text, err := json.Marshal(all.ToJSON())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all.JSON); err != nil {
		t.Fatal(err)
	}
	return all
}

var synthesized = map[string]template{}

// configured returns the template of a configuration of testdata. It is synthesized once for all
// tests.
func configured(t testing.TB, name string) template {
	t.Helper()
	if _, made := synthesized[name]; !made {
		synthesized[name] = synth(t, load(t, name))
	}
	made := synthesized[name]
	made.TB = t
	return made
}

// load reads a configuration of testdata.
func load(t testing.TB, name string) *config.Config {
	t.Helper()
	c, err := config.Load(filepath.Join("testdata", name+".yaml"), config.AWS{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// parse reads a configuration with these keys, each a line of YAML.
func parse(t testing.TB, keys ...string) *config.Config {
	t.Helper()
	text := "stack: quilt-rotate-prod-registry-example-com\naccount: \"123456789012\"\nregion: " +
		"us-east-1\nregistry: https://registry.example.com\nkeys:\n"
	for _, key := range keys {
		text += "  - " + key + "\n"
	}
	c, err := config.Parse("config.yaml", []byte(text), config.AWS{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func named(name string) string { return fmt.Sprintf("{name: %s, schedule: rate(30 days)}", name) }

// has checks that a resource with these properties exists.
func (t template) has(kind string, properties object) {
	t.Helper()
	t.check(kind, func() { t.HasResourceProperties(jsii.String(kind), properties) })
}

// hasResource also checks the attributes of the resource that are not properties.
func (t template) hasResource(kind string, resource object) {
	t.Helper()
	t.check(kind, func() { t.HasResource(jsii.String(kind), resource) })
}

func (t template) count(kind string, n int) {
	t.Helper()
	t.check(kind, func() { t.ResourceCountIs(jsii.String(kind), jsii.Number(float64(n))) })
}

// check calls an assertion of the CDK. It recovers the panic of a failed assertion, which would end
// all tests.
func (t template) check(kind string, assertion func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if cause := recover(); cause != nil {
			t.Errorf("%s: %v", kind, cause)
		}
	}()
	assertion()
}

// resources returns the resources of a type, by logical id.
func (t template) resources(kind string) map[string]object {
	found := map[string]object{}
	for id, r := range t.JSON["Resources"].(object) {
		if r.(object)["Type"] == kind {
			found[id] = r.(object)
		}
	}
	return found
}

func properties(resource object) object { return resource["Properties"].(object) }

// text returns a value as JSON.
func text(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(written))
}
