package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errNotDuration = errors.New("must be a duration such as 24h or 90m")

// A Fault is one thing in the file that must be corrected.
type Fault struct {
	Path    string // keys[2].grace
	Line    int    // in the file; 0 if the value is missing
	Problem string // what is wrong, and the fix
}

func (f Fault) String() string {
	switch {
	case f.Path == "" && f.Line > 0:
		return fmt.Sprintf("line %d: %s", f.Line, f.Problem)
	case f.Path == "":
		return f.Problem
	case f.Line == 0:
		return fmt.Sprintf("%s: %s", f.Path, f.Problem)
	}
	return fmt.Sprintf("%s (line %d): %s", f.Path, f.Line, f.Problem)
}

// Faults are all faults of one file.
type Faults struct {
	File string
	List []Fault
}

// Error returns one line for each fault.
func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, fault := range f.List {
		lines[i] = f.File + ": " + fault.String()
	}
	return strings.Join(lines, "\n")
}

// gathering collects the faults of one file.
type gathering struct {
	faults []Fault
	lines  map[string]int // of each path in the file
}

func (g *gathering) add(path, format string, args ...any) {
	fault := Fault{path, g.lines[path], fmt.Sprintf(format, args...)}
	if !slices.Contains(g.faults, fault) {
		g.faults = append(g.faults, fault)
	}
}

// given reports whether the file has the path.
func (g *gathering) given(path string) bool {
	_, given := g.lines[path]
	return given
}

// has reports whether the path already has a fault. Faults that are its consequences are not
// reported.
func (g *gathering) has(path string) bool {
	return slices.ContainsFunc(g.faults, func(f Fault) bool { return f.Path == path })
}
