package sandboxtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sweeps"
)

// Machine is the state machine of the sweeps. Each invocation uses [Rig.Process].
func (r *Rig) Machine() *sweeps.Machine {
	return &sweeps.Machine{
		Revoke:  func(_ context.Context, payload []byte) ([]byte, error) { return r.Process().Revoke(payload) },
		Secrets: r.Hands, RotateFunction: FunctionARN(sandbox.RotateFunction), Concurrency: 1,
	}
}

// Run sweeps all secrets once, and waits for the rotations that it has started. Its events must fit
// their schema.
func (r *Rig) Run() sweeps.Report {
	r.Helper()
	report, err := r.Machine().Run(context.Background(), "run", r.Clock.Now().Truncate(time.Hour))
	r.must(err)
	for _, rotation := range report.Rotated {
		_ = r.Secrets.WaitRotation(context.Background(), rotation.SecretID)
	}
	for _, event := range report.Events {
		r.must(CheckEvent(event))
	}
	return report
}

// CheckEvent reports the first difference between an event and docs/events.schema.json, which has
// all fields of this release. The page that its message names must exist.
func CheckEvent(event notice.Event) error {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "../../..")
	_, page, _ := strings.Cut(event.Detail.Message, "See ")
	if _, err := os.Stat(filepath.Join(root, page)); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/events.schema.json"))
	if err != nil {
		return err
	}
	var schema schema
	if err := json.Unmarshal(text, &schema.root); err != nil {
		return err
	}
	whole, err := json.Marshal(map[string]any{"source": "quilt-rotate", "detail-type": event.DetailType,
		"detail": event.Detail})
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(whole, &value); err != nil {
		return err
	}
	return schema.check("event", schema.root, value)
}

// schema checks values against the part of JSON Schema that events.schema.json uses. It fails on an
// unknown keyword.
type schema struct{ root map[string]any }

func (s schema) check(path string, rule map[string]any, value any) error {
	for keyword, want := range rule {
		if err := s.keyword(path, keyword, want, rule, value); err != nil {
			return err
		}
	}
	return nil
}

func (s schema) keyword(path, keyword string, want any, rule map[string]any, value any) error {
	object, _ := value.(map[string]any)
	array, _ := value.([]any)
	wrong := func() error { return fmt.Errorf("%s: %v does not fit %q: %v", path, value, keyword, want) }
	fits := true
	switch keyword {
	case "$schema", "$id", "$defs", "title", "description": // say nothing about values
	case "$ref":
		name := filepath.Base(want.(string))
		return s.check(path, s.root["$defs"].(map[string]any)[name].(map[string]any), value)
	case "type":
		number, isNumber := value.(float64)
		kind := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string",
			reflect.Bool: "boolean"}
		fits = value != nil && kind[reflect.TypeOf(value).Kind()] == want || want == "integer" && isNumber &&
			number == math.Trunc(number)
	case "const":
		fits = value == want
	case "enum":
		fits = slices.Contains(want.([]any), value)
	case "format":
		_, err := time.Parse(time.RFC3339, fmt.Sprint(value))
		fits = want == "date-time" && err == nil
	case "minItems":
		fits = len(array) >= int(want.(float64))
	case "maxItems":
		fits = len(array) <= int(want.(float64))
	case "required":
		for _, name := range want.([]any) {
			_, there := object[name.(string)]
			fits = fits && there
		}
	case "items":
		for i, item := range array {
			if err := s.check(fmt.Sprint(path, "[", i, "]"), want.(map[string]any), item); err != nil {
				return err
			}
		}
	case "properties", "additionalProperties":
		return s.properties(path, keyword, want, rule, object)
	default:
		return fmt.Errorf("the schema has the keyword %q, which the check does not know", keyword)
	}
	if !fits {
		return wrong()
	}
	return nil
}

func (s schema) properties(path, keyword string, want any, rule, object map[string]any) error {
	known, _ := rule["properties"].(map[string]any)
	for name, value := range object {
		property, isKnown := known[name].(map[string]any)
		other, isRule := want.(map[string]any)
		var err error
		switch {
		case keyword == "properties" && isKnown:
			err = s.check(path+"."+name, property, value)
		case keyword == "additionalProperties" && !isKnown && isRule:
			err = s.check(path+"."+name, other, value)
		case keyword == "properties" && !isKnown && rule["additionalProperties"] == nil:
			err = fmt.Errorf("%s: the schema does not know %q", path, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
