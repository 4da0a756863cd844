package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/wire"
)

// whole goes through the parts of a life up to the last one, as the program does, and then removes
// everything.
func (w *world) whole(living, removing context.Context, last string) (r *report, output string) {
	w.t.Helper()
	text := &bytes.Buffer{}
	w.run.out = text
	end := slices.IndexFunc(parts, func(p part) bool { return p.name == last })
	r = w.throwaway.whole(living, removing, w.registry, options{patience: w.patience, wait: w.wait}, parts[:end+1])
	return r, text.String()
}

// checkNothingIsLeft looks for what has the name of the run, and for keys that still log in.
func (w *world) checkNothingIsLeft() {
	w.t.Helper()
	if names, err := w.secrets(w.t.Context()); err != nil || len(names) > 0 {
		w.t.Errorf("the secrets %v are left (%v)", names, err)
	}
	if stack := w.deployed.Load(); stack != nil {
		w.t.Errorf("the stack %s is left", *stack)
	}
	for _, k := range w.box.Registry.Keys() {
		if k.Status == "ACTIVE" && k.Name != "by hand" {
			w.t.Errorf("the key %s is valid", k.Name)
		}
	}
}

// at calls do before the first request for the operation that the caller sends.
func (w *world) at(operation, who string, do func()) {
	var done atomic.Bool
	w.meanwhile(func(c *wire.Call, next func()) {
		if c.Operation == operation && caller(c) == who && done.CompareAndSwap(false, true) {
			do()
		}
		next()
	})
}

func TestCtrlCRemovesEverything(t *testing.T) {
	t.Parallel()
	for part, at := range map[string][2]string{ // the operation and its caller at which it is pressed
		"labels":        {"PutSecretValue", ""},
		"the first key": {"UpdateSecretVersionStage", "command"},
		"a rotation":    {"UpdateSecretVersionStage", "rotate"},
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.turnOn()
			signals := make(chan os.Signal)
			living, removing := phases(signals)
			w.at(at[0], at[1], func() { signals <- os.Interrupt; <-living.Done() })
			r, output := w.whole(living, removing, part)
			if last := r.Life[len(r.Life)-1]; last.Part != part || last.Detail != "interrupted" {
				t.Errorf("the life ended with %+v", last)
			}
			if len(r.Left) > 0 || !strings.Contains(output, "everything was removed") {
				t.Errorf("the removal left %v\n%s", r.Left, output)
			}
			w.checkNothingIsLeft()
		})
	}
}

func TestASecondCtrlCSaysWhatIsLeft(t *testing.T) {
	// REMOVE=… then continues the removal.
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.turnOn()
	signals := make(chan os.Signal)
	living, removing := phases(signals)
	w.at("PutSecretValue", "rotate", func() {
		w.at("TagResource", "", func() { signals <- os.Interrupt; <-removing.Done() })
		signals <- os.Interrupt
		<-living.Done()
	})
	r, output := w.whole(living, removing, "a rotation")
	for _, want := range []string{"left: the secret " + w.service() + ", whose keys may still be valid",
		"left: the stack " + w.name, "REMOVE=" + w.name} {
		if !strings.Contains(output, want) {
			t.Errorf("the output does not have %q:\n%s", want, output)
		}
	}
	if len(r.Left) == 0 || r.ok() {
		t.Error("the report says that nothing is left")
	}
	w.at("", "", nil)
	if left := w.remove(t.Context()); len(left) > 0 {
		t.Errorf("the second removal left %v", left)
	}
	w.checkNothingIsLeft()
}

func TestARemovalEndsARotationThatIsStuck(t *testing.T) {
	// A run that was killed in one of the parts that make a rotation fail leaves AWSPENDING.
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.turnOn()
	w.through("the first test run", "the first key")
	_, err := w.box.Secrets.StartPending(w.service(), "00000000-0000-4000-8000-000000000000")
	must(t, err)
	w.box.Clock.Advance(time.Hour) // no step can be running
	for range 2 {
		if left := w.remove(t.Context()); len(left) > 0 {
			t.Errorf("the removal left %v", left)
		}
	}
	w.checkNothingIsLeft()
}
