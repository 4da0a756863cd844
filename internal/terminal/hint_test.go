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
		t.Errorf("the hint is %q", got)
	}
	if err.Error() != "open: the file is missing" || !errors.Is(err, cause) {
		t.Errorf("the error became %q", err)
	}
	if terminal.WithHint(nil, "anything") != nil || terminal.Hint(cause) != "" {
		t.Error("nil became an error, or an error without a hint has one")
	}
}
