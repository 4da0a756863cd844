package doctor

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOneFaultIsOneFailure(t *testing.T) {
	// A check is skipped if a check that it needs failed. It names the first failed check.
	look := func(f finding) func(struct{}, context.Context) finding {
		return func(struct{}, context.Context) finding { return f }
	}
	forbidden := func(struct{}, context.Context) finding {
		t.Error("a check ran although a check that it needs failed")
		return finding{}
	}
	got := runChecks(t.Context(), []check[struct{}]{
		{"first", nil, look(failure("fix it", "it is broken"))},
		{"second", []string{"first"}, forbidden},
		{"third", []string{"second"}, forbidden},
		{"alone", nil, look(warning("look", "odd"))},
		{"fourth", []string{"alone"}, look(ok("fine"))},
		{"absent", nil, look(skip("none is configured"))},
		{"fifth", []string{"alone", "absent"}, forbidden},
	}, struct{}{})
	want := []Result{
		{"first", Failed, "it is broken", "fix it"},
		{"second", Skipped, "see first", ""},
		{"third", Skipped, "see first", ""},
		{"alone", Warning, "odd", "look"},
		{"fourth", OK, "fine", ""},
		{"absent", Skipped, "none is configured", ""},
		{"fifth", Skipped, "see absent", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong results (-want +got):\n%s", diff)
	}
}

func TestEveryNeedIsACheckBefore(t *testing.T) {
	// A misspelled need, or a need that is listed later, would never skip the check.
	verify(t, accountChecks)
	verify(t, registryChecks)
	verify(t, secretChecks)
}

func verify[Subject any](t *testing.T, checks []check[Subject]) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range checks {
		for _, need := range c.needs {
			if !seen[need] {
				t.Errorf("%s needs %s, which is not an earlier check", c.name, need)
			}
		}
		seen[c.name] = true
	}
}
