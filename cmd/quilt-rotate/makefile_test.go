package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheHelpOfMakeFitsATerminal(t *testing.T) {
	// Each target's whole description must be in lines of at most 80 columns.
	out, err := exec.Command("make", "-s", "-C", "../..", "help").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("SKIPPED: the help of make: make is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns, want at most 80: %s", n, line)
		}
	}
	words := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{"make demo Show the life of a key in a sandbox: rotated under load, held, " +
		"revoked make", "make soak Test every crash point", "make soak SOAK=1h"} {
		if !strings.Contains(words, want) {
			t.Errorf("the help lacks %q:\n%s", want, out)
		}
	}
}
