package terminal_test

import (
	"errors"
	"fmt"
	"testing"

	"quilt-rotate/internal/terminal"
)

func TestHintIsFoundInWrappedErrors(t *testing.T) {
	cause := errors.New("the file is missing")
	err := fmt.Errorf("open: %w", terminal.WithHint(cause, "create the file"))
	if got := terminal.Hint(err); got != "create the file" {
		t.Errorf("got the hint %q", got)
	}
	if err.Error() != "open: the file is missing" || !errors.Is(err, cause) {
		t.Errorf("got the error %q", err)
	}
	if terminal.WithHint(nil, "anything") != nil || terminal.Hint(cause) != "" {
		t.Error("WithHint(nil) is not nil, or an error without a hint has one")
	}
}
