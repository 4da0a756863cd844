package terminal_test

import (
	"testing"

	"quilt-rotate/internal/terminal"
)

func TestLegibleWritesHiddenCharactersAsEscapes(t *testing.T) {
	// The name of a key cannot move the cursor, change the direction of text or contain invisible
	// characters.
	for text, want := range map[string]string{
		"pipeline-prod":           "pipeline-prod",
		"Schlüssel für 日本":        "Schlüssel für 日本",
		"\x1b[2Jgone":             `\x1b[2Jgone`,
		"a\u202eb":                `a\u202eb`,
		"no\u00a0break":           `no\u00a0break`,
		"line\nline":              `line\nline`,
		string([]byte{'a', 0xff}): "a\ufffd",
	} {
		if got := terminal.Legible(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
