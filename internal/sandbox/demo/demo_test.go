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

// play runs the demo into a buffer, changed by the caller.
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

func TestTheStoryIsToldInPlainLinesWithoutAKey(t *testing.T) {
	// Protects what a person or a pipeline sees of the project first: the whole life of a key, in
	// order, and no key in it.
	var opened *scene.Scene
	keys := map[string]bool{}
	var mu sync.Mutex
	printed, err := play(t.Context(), t, func(o *demo.Options) {
		o.Opened = func(s *scene.Scene) { opened = s }
		show := o.Show
		o.Show = func(h demo.Happening) { // at every happening, since keys vanish when they are revoked
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
		"✓ AWSCURRENT moved to the new version", "✓ every other byte of the value is as it was",
		"✓ the new key logs in", ", 0 failed",
		"3/6  The old key", "sweep: mark qk_", "» 25 hours later", "sweep: hold qk_", "last used just now",
		"by svc-pipeline@example.com",
		"4/6  Quiet", "» 26 hours later", "sweep: revoke qk_", "✓ the registry refuses the old key", "(dead)",
		"5/6  The current key leaks", "sweep: mark qk_", "✓ the registry refuses the leaked key", "sweep: unlabel qk_",
		"6/6  What was promised", "never failed", "✓ no other key is left behind", "✓ no key in anything printed or " +
			"logged",
		"16 of 16 promises kept",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the story lacks %q, or tells it too early, in:\n%s", want, printed)
		}
		rest = after
	}
	for line := range strings.Lines(printed) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns, more than a terminal: %s", n, line)
		}
	}
	if strings.Contains(printed, "\x1b") {
		t.Errorf("there is an escape code in what is no terminal's:\n%q", printed)
	}
	if match := regexp.MustCompile(`never failed  (\d+) requests`).FindStringSubmatch(printed); match == nil ||
		len(match[1]) < 3 {
		t.Error("a service that makes less than a hundred requests proves little")
	}
	if len(keys) != 3 {
		t.Errorf("the story made %d keys, not 3: the search for them proves nothing", len(keys))
	}
	for key := range keys {
		if strings.Contains(printed, key) {
			t.Errorf("a key is printed: %s…", key[:6])
		}
	}
}

func TestWhatFallsShortIsNotGlossedOver(t *testing.T) {
	// Protects the demo's worth: one request of hundreds that fails is seen, and so is a key in the
	// output, for which a search would find nothing either if it looked for the wrong thing. Each
	// is told as a promise that was not kept, no other is, and the exit status is 1.
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
	if !errors.Is(err, demo.ErrFellShort) {
		t.Errorf("the demo ended with %v", err)
	}
	for _, want := range []string{`✗ NOT KEPT: the service "pipeline" never failed`, " 1 failed",
		"✗ NOT KEPT: no key in anything printed or logged"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is not told in:\n%s", want, printed)
		}
	}
	// the request may break another promise, that of the chapter in which it failed
	if n := strings.Count(printed, "NOT KEPT"); n > 3 {
		t.Errorf("%d promises are told as not kept, in:\n%s", n, printed)
	}
}

func TestAnInterruptEndsTheDemoCleanly(t *testing.T) {
	// Protects Ctrl-C in the midst of a rotation: it ends at once, and leaves no process.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	_, err := play(ctx, t, func(o *demo.Options) {
		show := o.Show
		o.Show = func(h demo.Happening) {
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
