package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

func TestErrorTypes(t *testing.T) {
	// Alarms and runbook pages have the names of errors. A wrapped error keeps its name and its
	// text.
	for want, err := range map[string]error{
		"BadTags":              &settings.Invalid{},
		"RegistryUnavailable":  &quilt.UnavailableError{},
		"RegistryRefused":      &quilt.ForbiddenError{},
		"SecretsManagerFailed": &vault.Error{Operation: "DescribeSecret"},
		"OutOfTime":            context.DeadlineExceeded,
		"Unexpected":           errors.New("who would have thought"),
		"CutOverFailed":        fault.New[fault.CutOverFailed]("no"),
	} {
		named := fault.Named(fmt.Errorf("the step: %w", err))
		if got := fault.TypeName(named); got != want {
			t.Errorf("%T is called %s, want %s", err, got, want)
		}
		if !errors.Is(named, err) {
			t.Errorf("%s has lost its cause", want)
		}
		if !strings.Contains(named.Error(), err.Error()) {
			t.Errorf("%s has lost its words: %v", want, named)
		}
	}
	if fault.Named(nil) != nil {
		t.Error("nothing was called an error")
	}
}
