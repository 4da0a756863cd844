//go:build race

package revocation_test

// raced reports whether the race detector is on, under which a request takes five times as long:
// then the crash test goes through a sample.
const raced = true
