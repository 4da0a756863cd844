package settings_test

import (
	_ "embed"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/settings"
)

const registry = "https://registry.example.com"

// caPEM is testdata/ca.pem, the certificate of an authority that is used only here.
//
//go:embed testdata/ca.pem
var caPEM string

// environment returns the required variables of both functions, and the given ones.
func environment(given map[string]string) settings.Lookup {
	env := map[string]string{settings.EnvRegistryURL: registry}
	maps.Copy(env, given)
	return settings.Tags(env)
}

func loadRotate(given map[string]string) (settings.Rotate, error) {
	return settings.LoadRotate(environment(given))
}

func loadRevoke(given map[string]string) (settings.Revoke, error) {
	return settings.LoadRevoke(environment(given))
}

func must[S any](t testing.TB) func(S, error) S {
	return func(s S, err error) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// A rule has valid texts of one setting with their values, and invalid texts.
type rule struct {
	name    string
	value   func(given map[string]string) (any, error)
	fine    map[string]any
	refused []string
}

func newRule[S any](name string, load func(map[string]string) (S, error), read func(S) any, fine map[string]any,
	refused []string) rule {
	return rule{name, func(given map[string]string) (any, error) {
		s, err := load(given)
		if err != nil {
			return nil, err
		}
		return read(s), nil
	}, fine, refused}
}

var (
	days = map[string]any{"1": 1, "90": 90, "365": 365, " 30 ": 30}
	// The registry would refuse these, but only at the next rotation.
	notDays = []string{"0", "366", "-1", "ninety", "1.5", "1e2", "30d", "24h", "0x10", "99999999999999999999"}

	durations = map[string]any{"0": time.Duration(0), "0s": time.Duration(0), "90m": 90 * time.Minute,
		"26h30m": 26*time.Hour + 30*time.Minute, " 24h ": 24 * time.Hour}
	// A number without a unit would be read as seconds by one person and as hours by the next.
	notDurations = []string{"24", "-1h", "-1ns", "1d", "P1D", "h", "24 h", "24h,", "forever", "9999999h"}
)

func (r rule) check(t *testing.T) {
	t.Helper()
	for text, want := range r.fine {
		if got, err := r.value(map[string]string{r.name: text}); err != nil || got != want {
			t.Errorf("%s=%q means %v, %v; want %v", r.name, text, got, err, want)
		}
	}
	for _, text := range r.refused {
		_, err := r.value(map[string]string{r.name: text})
		if err == nil {
			t.Errorf("%s=%q is accepted", r.name, text)
			continue
		}
		if names := faulty(t, err); !slices.Equal(names, []string{r.name}) {
			t.Errorf("%s=%q: faulty are %v", r.name, text, names)
		}
		if !strings.Contains(err.Error(), r.name+" must ") {
			t.Errorf("%s=%q: the error does not say what it must be: %v", r.name, text, err)
		}
	}
}

// faulty returns the names of the faulty settings, in the order of the message.
func faulty(t testing.TB, err error) []string {
	t.Helper()
	var invalid *settings.Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want *settings.Invalid", err)
	}
	var names []string
	for _, f := range invalid.Unwrap() {
		var fault *settings.Fault
		if !errors.As(f, &fault) {
			t.Fatalf("%v is no *settings.Fault", f)
		}
		if !strings.Contains(err.Error(), fault.Error()) {
			t.Errorf("the message does not say that %v: %v", fault, err)
		}
		names = append(names, fault.Name)
	}
	return names
}
