//go:build race

package operations_test

// raced tells whether the race detector is on, under which a request takes five times as long: then
// the crash test goes through a sample.
const raced = true
