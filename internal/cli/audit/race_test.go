//go:build race

package audit_test

// raced tells whether the race detector is on, under which times say nothing.
const raced = true
