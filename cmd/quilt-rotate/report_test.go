package main

import (
	"context"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// reportCommands prepare the sandbox for scripts about reports. Each is described at its method.
var reportCommands = map[string]func(f *fixture, ts *testscript.TestScript, neg bool, args []string){
	"months": (*fixture).months,
	"retain": (*fixture).retain,
}

// months N SECRET: N months of 30 days pass without faults. In each, the function rotates the
// secret, a sweep marks the replaced key, and a sweep after the grace period and the quiet period
// revokes it.
func (f *fixture) months(ts *testscript.TestScript, _ bool, args []string) {
	for range atoi(ts, args[0]) {
		_, err := f.Rotate(context.Background(), args[1])
		ts.Check(err)
		for _, wait := range []time.Duration{time.Hour, 50 * time.Hour} {
			f.Clock.Advance(wait)
			_, err := f.Sweep(context.Background(), args[1])
			ts.Check(err)
		}
		f.Clock.Advance((30*24 - 51) * time.Hour)
	}
}

// retain GROUP DAYS: the log group keeps its events for that many days.
func (f *fixture) retain(ts *testscript.TestScript, _ bool, args []string) {
	f.Logs.SetRetention(args[0], atoi(ts, args[1]))
}
