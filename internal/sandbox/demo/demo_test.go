package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"quilt-rotate/internal/sandbox/demo"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/wire"
)

var (
	folder    string
	functions scene.Functions
)

func TestMain(m *testing.M) { os.Exit(withFunctions(m)) }

func withFunctions(m *testing.M) int {
	hermetic.Clear()
	var err error
	if folder, err = os.MkdirTemp("", "demo-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if functions, err = scene.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// play runs the demo with changed options and returns its output.
func play(ctx context.Context, t *testing.T, change func(*demo.Options)) (printed string, err error) {
	t.Helper()
	var out bytes.Buffer
	transcript := demo.NewTranscript(&out)
	screen := demo.NewScreen(&out, transcript, nil)
	defer screen.Close()
	options := demo.Options{Functions: functions, Show: screen.Show, Printed: transcript.Text,
		Latency: 4 * time.Millisecond}
	if change != nil {
		change(&options)
	}
	err = demo.Run(ctx, options)
	noProcessIsLeft(t)
	return out.String(), err
}

// noProcessIsLeft looks for processes that run one of the built functions.
func noProcessIsLeft(t *testing.T) {
	t.Helper()
	executables, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, executable := range executables {
		if path, err := os.Readlink(executable); err == nil && strings.HasPrefix(path, folder) {
			t.Errorf("%s still runs (%s)", path, executable)
		}
	}
}

func TestTheDemoPrintsPlainLinesWithoutKeys(t *testing.T) {
	// The output has the whole life of a key, in order, and no key.
	var opened *scene.Scene
	keys := map[string]bool{}
	var mu sync.Mutex
	printed, err := play(t.Context(), t, func(o *demo.Options) {
		o.Opened = func(s *scene.Scene) { opened = s }
		show := o.Show
		o.Show = func(h demo.Event) { // at every event, because revoked keys are no longer in the list
			mu.Lock()
			defer mu.Unlock()
			for _, key := range opened.Registry.Keys() {
				keys[key.Secret] = true
			}
			show(h)
		}
	})
	if err != nil {
		t.Errorf("the demo failed: %v", err)
	}
	rest := printed
	for _, want := range []string{
		"1/6  A secret", "labels before", "AWSCURRENT",
		"2/6  Secrets Manager rotates it", "✓ createSecret", "✓ setSecret", "✓ testSecret", "✓ finishSecret",
		"labels after", "AWSPREVIOUS", "AWSCURRENT",
		"✓ AWSCURRENT moved to the new version", "✓ no other byte of the value changed",
		"✓ the new key logs in", ", 0 failed",
		"3/6  The old key", "sweep: mark qk_", "» 25 hours later", "sweep: hold qk_", "last used just now",
		"by svc-pipeline@example.com",
		"4/6  Unused", "» 26 hours later", "sweep: revoke qk_", "✓ the registry refuses the old key", "(revoked)",
		"5/6  The current key leaks", "sweep: mark qk_", "✓ the registry refuses the leaked key", "sweep: unlabel qk_",
		"6/6  The promises", "never failed", "✓ no other key is left behind",
		"✓ no key in anything printed or logged",
		"16 of 16 promises kept",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the output does not have %q in this place:\n%s", want, printed)
		}
		rest = after
	}
	for line := range strings.Lines(printed) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns, more than a terminal: %s", n, line)
		}
	}
	if strings.Contains(printed, "\x1b") {
		t.Errorf("the output is not for a terminal, but has an escape code:\n%q", printed)
	}
	if match := regexp.MustCompile(`"pipeline" never failed  (\d+) requests`).FindStringSubmatch(
		printed); match == nil ||
		len(match[1]) < 3 {
		t.Error("the service sent fewer than a hundred requests")
	}
	if len(keys) != 3 {
		t.Errorf("the demo created %d keys, want 3", len(keys))
	}
	for key := range keys {
		if strings.Contains(printed, key) {
			t.Errorf("a key is printed: %s…", key[:6])
		}
	}
}

func TestTheDemoReportsPromisesThatAreNotKept(t *testing.T) {
	// One failed request of hundreds is reported, and a key in the output. Each is a promise that
	// was not kept, and the demo fails.
	var failed atomic.Bool
	var opened *scene.Scene
	printed, err := play(t.Context(), t, func(o *demo.Options) {
		o.Printed = func() string { return "something, then " + opened.Registry.Keys()[0].Secret + ", and more" }
		o.Opened = func(s *scene.Scene) {
			opened = s
			s.Hooks.Set(func(c *wire.Call, next func()) {
				if c.Service == "registry" && strings.Contains(c.Request.UserAgent(), "consumer") &&
					failed.CompareAndSwap(false, true) {
					c.Respond(503, "out of order")
					return
				}
				next()
			})
		}
	})
	if !errors.Is(err, demo.ErrNotKept) {
		t.Errorf("the demo ended with %v", err)
	}
	for _, want := range []string{`✗ NOT KEPT: the service "pipeline" never failed`, " 1 failed",
		"✗ NOT KEPT: no key in anything printed or logged"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the output does not have %q:\n%s", want, printed)
		}
	}
	// The request can also break the promise of its chapter.
	if n := strings.Count(printed, "NOT KEPT"); n > 3 {
		t.Errorf("%d promises are reported as not kept:\n%s", n, printed)
	}
}

func TestAnInterruptEndsTheDemoCleanly(t *testing.T) {
	// Ctrl-C during a rotation ends the demo and all processes.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	_, err := play(ctx, t, func(o *demo.Options) {
		show := o.Show
		o.Show = func(h demo.Event) {
			if step, ok := h.(demo.Stepped); ok && step.Step == "setSecret" {
				interrupt()
			}
			show(h)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the demo ended with %v", err)
	}
}
