package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/sandbox/sandboxtest"
)

func TestPatternsMatchTheEvent(t *testing.T) {
	// Each pattern in docs/events.md and its templates matches the event on the page, and not every
	// event.
	var patterns []any
	var event map[string]any
	for _, b := range page(t, "docs/events.md").Blocks {
		var document map[string]any
		if b.Language != "json" || json.Unmarshal([]byte(b.Text), &document) != nil {
			continue
		}
		switch document["source"].(type) {
		case []any:
			patterns = append(patterns, document)
		case string:
			event = document
		}
	}
	if event == nil {
		t.Fatal("the page shows no event")
	}
	checkFitsTheSchema(t, event)
	templates, err := filepath.Glob("events/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range templates {
		patterns = append(patterns, patternsOf(t, file)...)
	}
	if len(patterns) < 5 || len(templates) < 2 {
		t.Fatalf("found only %d patterns and %d templates", len(patterns), len(templates))
	}
	stopped := map[string]any{"source": "quilt-rotate", "detail-type": "Quilt Sweep Run Stopped",
		"detail": map[string]any{"needsPerson": true, "findings": []any{"stopped"}}}
	other := map[string]any{"source": "quilt-rotate", "detail-type": "Quilt Key Revoked", "detail": map[string]any{
		"needsPerson": false, "findings": []any{"revoked"}, "secret": map[string]any{"name": "prod/other",
			"tags": map[string]any{"team": "other"}},
	}}
	for _, pattern := range patterns {
		if !matches(pattern, event) && !matches(pattern, stopped) {
			t.Errorf("%v matches neither the event of the page nor that of a stopped run", pattern)
		}
		if matches(pattern, other) {
			t.Errorf("%v matches an event that needs no action", pattern)
		}
	}
}

func TestEveryDetailTypeIsExplained(t *testing.T) {
	// The page has each type of event and its meaning.
	text := page(t, "docs/events.md").Text
	for _, detailType := range notice.DetailTypes() {
		if !strings.Contains(text, "\n| "+detailType+" | `") {
			t.Errorf("docs/events.md does not explain the event %q", detailType)
		}
	}
}

func checkFitsTheSchema(t *testing.T, event map[string]any) {
	t.Helper()
	detail, err := json.Marshal(event["detail"])
	if err != nil {
		t.Fatal(err)
	}
	shown := notice.Event{DetailType: event["detail-type"].(string)}
	decoder := json.NewDecoder(bytes.NewReader(detail))
	decoder.DisallowUnknownFields()
	if err := errors.Join(decoder.Decode(&shown.Detail), sandboxtest.CheckEvent(shown)); err != nil {
		t.Errorf("the event of the page: %v", err)
	}
	if made := notice.New(shown.Detail); made.DetailType != shown.DetailType {
		t.Errorf("the event of the page has the type %q; with its findings it has %q", shown.DetailType,
			made.DetailType)
	}
}

// patternsOf returns the event patterns of a template. It replaces !Ref by the parameter's default.
func patternsOf(t *testing.T, file string) (patterns []any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	var template struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Properties struct {
				EventPattern any `yaml:"EventPattern"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	if err := document.Decode(&template); err != nil { // its parameters
		t.Fatal(err)
	}
	var resolve func(n *yaml.Node)
	resolve = func(n *yaml.Node) {
		if n.Tag == "!Ref" {
			n.Tag, n.Value = "!!str", template.Parameters[n.Value].Default
		}
		for _, child := range n.Content {
			resolve(child)
		}
	}
	resolve(&document)
	clear(template.Resources)
	if err := document.Decode(&template); err != nil {
		t.Fatal(err)
	}
	for _, resource := range template.Resources {
		if p := resource.Properties.EventPattern; p != nil {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

// matches applies EventBridge's rule for patterns of exact values: each field of the pattern is in
// the event, and a list in the pattern has the value or one of the values (EventBridge user guide,
// "Event pattern syntax").
func matches(pattern, event any) bool {
	switch p := pattern.(type) {
	case map[string]any:
		e, _ := event.(map[string]any)
		for name, value := range p {
			if e == nil || !matches(value, e[name]) {
				return false
			}
		}
		return true
	case []any:
		values, many := event.([]any)
		if !many {
			values = []any{event}
		}
		return slices.ContainsFunc(values, func(v any) bool {
			return slices.ContainsFunc(p, func(w any) bool { return reflect.DeepEqual(v, w) })
		})
	}
	return false
}
