//go:build race

package operations_test

// raced reports whether the race detector is on. Requests are then five times slower, so the crash
// test uses a sample.
const raced = true
