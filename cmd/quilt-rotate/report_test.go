package main

import (
	"context"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// reportCommands prepare the sandbox for scripts about reports. Each is described at its method.
var reportCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"months": (*world).months,
	"retain": (*world).retain,
}

// months N SECRET: N months of 30 days pass without faults. In each, the function rotates the
// secret, a sweep marks the replaced key, and a sweep after the grace period and the quiet period
// revokes it.
func (w *world) months(ts *testscript.TestScript, _ bool, args []string) {
	for range atoi(ts, args[0]) {
		_, err := w.Rotate(context.Background(), args[1])
		ts.Check(err)
		for _, wait := range []time.Duration{time.Hour, 50 * time.Hour} {
			w.Clock.Advance(wait)
			_, err := w.Sweep(context.Background(), args[1])
			ts.Check(err)
		}
		w.Clock.Advance((30*24 - 51) * time.Hour)
	}
}

// retain GROUP DAYS: the log group keeps its events for that many days.
func (w *world) retain(ts *testscript.TestScript, _ bool, args []string) {
	w.Logs.Retain(args[0], atoi(ts, args[1]))
}
