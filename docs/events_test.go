package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestPatternsMatchTheEvent(t *testing.T) {
	// Protects a team that copies a rule from docs/events.md or its templates: the pattern matches an event as the page shows it, and not every event.
	var patterns []any
	var event any
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
	templates, err := filepath.Glob("events/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range templates {
		patterns = append(patterns, patternsOf(t, file)...)
	}
	if len(patterns) < 5 || len(templates) < 2 || event == nil {
		t.Fatalf("found %d patterns, %d templates, and the event %v", len(patterns), len(templates), event)
	}
	stopped := map[string]any{"source": "quilt-rotate", "detail-type": "Quilt Sweep Run Stopped", "detail": map[string]any{"needsPerson": true, "findings": []any{"stopped"}}}
	other := map[string]any{"source": "quilt-rotate", "detail-type": "Quilt Key Revoked", "detail": map[string]any{
		"needsPerson": false, "findings": []any{"revoked"}, "secret": map[string]any{"name": "prod/other", "tags": map[string]any{"team": "other"}},
	}}
	for _, pattern := range patterns {
		if !matches(pattern, event) && !matches(pattern, stopped) {
			t.Errorf("%v matches neither the event of the page nor that of a stopped run", pattern)
		}
		if matches(pattern, other) {
			t.Errorf("%v matches the event of another secret, which needs nobody", pattern)
		}
	}
}

// patternsOf are the event patterns of a template, with its parameters' defaults in place of !Ref.
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

// matches is EventBridge's rule for patterns of exact values: each field of the pattern is in the event; a list has the value, or one of the values.
// (EventBridge user guide, "Event pattern syntax".)
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
