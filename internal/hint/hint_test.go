package hint_test

import (
	"errors"
	"fmt"
	"testing"

	"quilt-rotate/internal/hint"
)

func TestAHintTravelsWithItsError(t *testing.T) {
	// Protects the second line of an error: it is found wherever the error was wrapped, and is no part of the sentence.
	cause := errors.New("there is no door")
	err := fmt.Errorf("go home: %w", hint.With(cause, "try the window"))
	if got := hint.Of(err); got != "try the window" {
		t.Errorf("the hint is %q", got)
	}
	if err.Error() != "go home: there is no door" || !errors.Is(err, cause) {
		t.Errorf("the error became %q", err)
	}
	if hint.With(nil, "anything") != nil || hint.Of(cause) != "" {
		t.Error("a hint without an error, or an error with one that nobody gave it")
	}
}
