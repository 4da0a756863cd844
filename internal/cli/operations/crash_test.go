package operations_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// fault is what happens to one request of the command.
type fault string

const (
	crashBefore  fault = "the process dies before the request"
	crashAfter   fault = "the process dies after the request"
	crashLate    fault = "the process dies, and its request takes effect after the next run"
	loseRequest  fault = "the request is lost"
	loseRequests fault = "the request and its retries are lost"
	loseAnswer   fault = "the answer is lost"
	loseAnswers  fault = "the answers to the request and its retries are lost"
	doneButError fault = "the service carries out the request and answers 500"
	throttle     fault = "the service answers 429"
	sweepBefore  fault = "a sweep runs before the request"
	sweepAfter   fault = "a sweep runs after the request"
	editBefore   fault = "somebody edits the secret before the request"
	interrupt    fault = "somebody presses Ctrl-C at the request"
)

var faults = []fault{crashBefore, crashAfter, crashLate, loseRequest, loseRequests, loseAnswer, loseAnswers,
	doneButError, throttle, sweepBefore, sweepAfter, editBefore, interrupt}

// subject is the secret and the version that a command changes.
type subject struct{ secret, target string }

// scenario is a command in the state in which it is needed.
type scenario struct {
	name      string
	prepare   func(r *sandboxtest.Rig) subject
	run       func(p *operator, on subject) error
	movesBack bool // the command moves AWSCURRENT away from an edited value
	retires   bool // the command revokes the current key
	// check returns the problem in the final state, after several sweeps.
	check func(f *faultRun) string
}

var scenarios = []scenario{
	{
		name:    "bootstrap of a secret that does not exist",
		prepare: func(*sandboxtest.Rig) subject { return subject{secret: "prod/new"} },
		run:     runBootstrap,
		check:   func(f *faultRun) string { return f.holdsOneKey(`{"QUILT_API_KEY":"` + keyPlaceholder + `"}`) },
	},
	{
		name: "bootstrap of a secret that waits for its first key",
		prepare: func(r *sandboxtest.Rig) subject {
			return subjectOf(r.BareSecret("prod/blank", sandboxtest.ValueWith("")))
		},
		run:   runBootstrap,
		check: func(f *faultRun) string { return f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder)) },
	},
	{
		name: "bootstrap of a secret without a value",
		prepare: func(r *sandboxtest.Rig) subject {
			name := "prod/empty"
			if _, err := r.Hands.CreateSecret(context.Background(),
				&secretsmanager.CreateSecretInput{Name: &name}); err != nil {
				r.Fatalf("%v", err)
			}
			return subject{secret: name}
		},
		run:   runBootstrap,
		check: func(f *faultRun) string { return f.holdsOneKey(`{"QUILT_API_KEY":"` + keyPlaceholder + `"}`) },
	},
	{
		name: "rollback to a marked version whose grace period is over, before AWSPENDING is removed", movesBack: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/rolled")
			target := s.Holder(vault.Current).ID
			rotateWithoutEnd(s)
			s.MustSweep() // marks the version
			// Only the grace period decides.
			r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.UseNotRecorded = true })
			r.Clock.Advance(48 * time.Hour)
			return subject{s.Name, target}
		},
		run: func(p *operator, on subject) error {
			done, err := p.rollback(on.secret, on.target)
			if s, lookErr := p.secret(on.secret); err == nil && lookErr == nil &&
				!s.Versions[on.target].Has(vault.Current) {
				return fmt.Errorf("reported that %s is current, but it is not", done.To)
			}
			if err != nil && (strings.Contains(err.Error(), "is already current") || strings.Contains(err.Error(),
				"it has expired or was revoked")) {
				return nil // a sweep may revoke the key before the mark is removed
			}
			return err
		},
		check: func(f *faultRun) string {
			problem := f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder))
			if err := f.secret().Rotate(); problem == "" && err != nil {
				problem = "the next rotation fails: " + err.Error()
			}
			return problem
		},
	},
	{
		name: "recover with a login",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/dead", settings.TagOwner, sandbox.UserEmail)
			expire(s)
			return subjectOf(s)
		},
		run:   runRecover,
		check: func(f *faultRun) string { return f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder)) },
	},
	{
		name: "recover with the issuing credential",
		prepare: func(r *sandboxtest.Rig) subject {
			issuer := r.BareSecret("prod/issuer", `{"username":"`+sandbox.UserName+`","password":"`+
				sandbox.UserPassword+`"}`)
			s := r.Secret("prod/dead", settings.TagIssuer, issuer.ARN)
			expire(s)
			return subjectOf(s)
		},
		run:   runRecover,
		check: func(f *faultRun) string { return f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder)) },
	},
	{
		name: "recover with the previous key, in an edited value",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/dead")
			s.MustRotate()
			expire(s)
			_, value, _ := strings.Cut(s.Holder(vault.Current).Value, "{")
			s.Put("{ \"new\": true," + value)
			return subjectOf(s)
		},
		run: runRecover,
		check: func(f *faultRun) string {
			_, value, _ := strings.Cut(sandboxtest.ValueWith(keyPlaceholder), "{")
			return f.holdsOneKey("{ \"new\": true," + value)
		},
	},
	{
		name: "recover of a value that was overwritten", movesBack: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/overwritten")
			s.Put("{}")
			return subjectOf(s)
		},
		run:   runRecover,
		check: func(f *faultRun) string { return f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder)) },
	},
	{
		name: "emergency for the current key, without a rotation function",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/leaked", settings.TagOwner, sandbox.UserEmail)
			turnRotationOff(s)
			return subject{s.Name, s.Holder(vault.Current).ID}
		},
		run: func(p *operator, on subject) error {
			s, err := p.secret(on.secret)
			if err != nil {
				return err
			}
			done, err := p.Emergency(p.ctx, s, operations.EmergencyOptions{
				Registry: p.registry, Version: on.target, LogIn: logIn,
			})
			if err != nil && strings.Contains(err.Error(), "has no version that begins with") {
				return nil // an earlier run has removed the last label; check tests that the key was revoked
			}
			if err == nil && !done.LeakedRefused {
				return errors.New("succeeded without a proof")
			}
			return err
		},
		check: func(f *faultRun) string {
			if key := f.secret().KeyIn(f.version(f.subject.target)); f.secret().Valid(key) {
				return "the leaked key is valid"
			}
			return f.holdsOneKey(sandboxtest.ValueWith(keyPlaceholder))
		},
	},
	{
		name: "retire", retires: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/retired")
			s.MustRotate()
			s.MustRotate()
			return subjectOf(s)
		},
		run: func(p *operator, on subject) error {
			s, err := p.secret(on.secret)
			if err != nil {
				return err
			}
			done, err := p.Retire(p.ctx, s, operations.RetireOptions{Registry: p.registry, LogIn: logIn})
			if err != nil && strings.Contains(err.Error(), "has no rotation, label or tag of quilt-rotate, so "+
				"nothing was changed") {
				return nil // the earlier run did everything
			}
			if err == nil && (!done.Complete || managed.Marked(s.Tags, s.Sorted()) || s.Rotation.Enabled) {
				return errors.New("succeeded, but rotation, labels or tags are left")
			}
			return err
		},
		check: func(f *faultRun) string {
			for _, k := range f.Registry.Keys() {
				if k.Status == "ACTIVE" {
					return "a key is still valid: " + k.ID
				}
			}
			return ""
		},
	},
	{
		name: "adopt",
		prepare: func(r *sandboxtest.Rig) subject {
			_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
			s := r.BareSecret("prod/adopted", sandboxtest.ValueWith(secret))
			turnRotationOff(s)
			return subjectOf(s)
		},
		run: func(p *operator, on subject) error {
			s, err := p.secret(on.secret)
			if err != nil {
				return err
			}
			_, err = p.Adopt(p.ctx, operations.Adoption{
				Secret: s, Registry: p.registry, Tags: map[string]string{settings.TagGrace: "1h"},
				Schedule: "rate(30 days)", Window: "4h", Function: sandbox.RotateFunction,
			})
			return err
		},
		check: func(f *faultRun) string {
			s := f.secret()
			current := s.Holder(vault.Current)
			key, _ := f.Registry.KeyBySecret(s.CurrentKey().Reveal())
			if !slices.Contains(current.Stages, vault.KeyLabel(key.ID)) {
				return "the key has no label"
			}
			out, err := f.Hands.DescribeSecret(context.Background(),
				&secretsmanager.DescribeSecretInput{SecretId: &s.ARN})
			if err != nil || !aws.ToBool(out.RotationEnabled) ||
				aws.ToString(out.RotationRules.ScheduleExpression) != "rate(30 days)" ||
				aws.ToString(out.RotationRules.Duration) != "4h" {
				return "rotation is not on"
			}
			return ""
		},
	},
}

func subjectOf(s *sandboxtest.Secret) subject { return subject{secret: s.Name} }

func runBootstrap(p *operator, on subject) error {
	_, err := p.bootstrap(on.secret)
	return err
}

func runRecover(p *operator, on subject) error {
	_, err := p.recover(on.secret, false)
	return err
}

// turnRotationOff turns rotation off, so that a command creates the new key itself and does not
// wait for a function's log.
func turnRotationOff(s *sandboxtest.Secret) {
	if _, err := s.Hands.CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &s.ARN}); err != nil {
		s.Fatalf("%v", err)
	}
}

// rotateWithoutEnd makes a new version current, but the function dies right after that. So AWSPENDING
// stays on the version, and Secrets Manager may repeat the rotation.
func rotateWithoutEnd(s *sandboxtest.Secret) {
	s.Helper()
	remove := s.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		s.KillCaller(c)
		c.Cut()
	}, "UpdateSecretVersionStage"))
	defer remove()
	if err := s.Rotate(); err == nil || s.Holder(vault.Pending).ID != s.Holder(vault.Current).ID {
		s.Fatalf("the rotation ended: %v\n%s", err, s.Labels())
	}
}

func expire(s *sandboxtest.Secret) {
	key, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
	s.Registry.Expire(key.ID)
}

// keyPlaceholder stands for the current key in an expected value.
const keyPlaceholder = "THE CURRENT KEY"

var exhaustive = flag.Bool("exhaustive", false, "let TestEveryCrashOfACommand test every request, not a sample")

func TestEveryCrashOfACommand(t *testing.T) {
	// A command may die, or a request may fail, at any request. The current key must work at all
	// times after a working key was current, running the command again must complete it, and sweeps
	// must revoke all other keys (promises 1 and 3).
	step := 13 // the interval between the tested requests
	switch {
	case *exhaustive:
		step = 1
	case raced:
		step = 61
	}
	if !*exhaustive {
		t.Logf("SAMPLED: 1 of %d requests of each command; all: go test ./internal/cli/operations -run "+
			"TestEveryCrashOfACommand -exhaustive", step)
	}
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for i, m := range faults {
				// Faults begin at different requests, so that together they cover every request.
				for number := 1 + i%step; ; number += step {
					f := newFaultRun(t, sc, m, number)
					if !f.execute() {
						if number <= step && number < 4 {
							t.Fatalf("got only %d requests, want 3 or more", number-1)
						}
						break
					}
				}
			}
		})
	}
}

// faultRun runs a scenario with one fault.
type faultRun struct {
	*sandboxtest.Rig
	t        *testing.T
	sc       scenario
	fault    fault
	number   int // of the request with the fault
	subject  subject
	name     string // of the secret
	refused  string // key that the registry refused from the start
	cleanups *cleanups
	ctrlC    context.CancelFunc
	edited   bool
	wrote    bool // the first command sent a write request
	outputs  []string

	mu                sync.Mutex
	process           string // of the first command
	requests          int
	injected          bool
	repeatedOperation string
	late              []func()
	problem           string
}

// cleanups is a test that runs its cleanups at the end of one run.
type cleanups struct {
	*testing.T
	list []func()
}

func (c *cleanups) Cleanup(f func()) { c.list = append(c.list, f) }

func (c *cleanups) run() {
	for _, cleanup := range slices.Backward(c.list) {
		cleanup()
	}
}

func newFaultRun(t *testing.T, sc scenario, m fault, number int) *faultRun {
	end := &cleanups{T: t}
	f := &faultRun{Rig: sandboxtest.New(end), t: t, sc: sc, fault: m, number: number, cleanups: end}
	f.subject = sc.prepare(f.Rig)
	f.name = f.subject.secret
	if shot, err := f.Secrets.Snapshot(f.name); err == nil {
		current, _ := shot.Holder(vault.Current)
		if key := f.secret().KeyIn(current); !f.secret().Valid(key) {
			f.refused = key.Reveal()
		}
	}
	f.Hooks.Set(f.hook)
	return f
}

func (f *faultRun) secret() *sandboxtest.Secret {
	out, err := f.Hands.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &f.name})
	if err != nil {
		f.t.Fatal(err)
	}
	return &sandboxtest.Secret{Rig: f.Rig, ARN: *out.ARN, Name: f.name}
}

// version returns the version in its present state.
func (f *faultRun) version(id string) awssecrets.Version {
	shot := f.secret().Snapshot()
	return shot.Versions[slices.IndexFunc(shot.Versions, func(v awssecrets.Version) bool { return v.ID == id })]
}

func (f *faultRun) hook(c *wire.Call, next func()) {
	pass := func() {
		next()
		f.checkCurrentKey()
	}
	f.mu.Lock()
	mine := f.process != "" && sandboxtest.ProcessOf(c) == f.process
	f.mu.Unlock()
	switch {
	case !mine:
		pass()
		return
	case !f.atFaultyRequest():
		again := f.repeated(c)
		if !again || f.fault == loseAnswers {
			pass()
		}
		if again {
			c.Cut()
		}
	default:
		f.inject(c, pass)
	}
	f.locked(func() { f.wrote = f.wrote || c.Operation != "GetFunction" && sandboxtest.Observed(c).Writes() })
}

// locked calls do with the lock, to access fields that the hook shares with the test.
func (f *faultRun) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *faultRun) atFaultyRequest() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.requests != f.number {
		return false
	}
	f.injected = true
	return true
}

// repeatFor extends the fault to the retries of the operation.
func (f *faultRun) repeatFor(operation string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeatedOperation = operation
}

// repeated reports whether the fault extends to this request. It ends with the first request for
// another operation.
func (f *faultRun) repeated(c *wire.Call) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.repeatedOperation != c.Operation {
		f.repeatedOperation = ""
	}
	return f.repeatedOperation != ""
}

func (f *faultRun) inject(c *wire.Call, pass func()) {
	switch f.fault {
	case crashBefore:
		f.KillCaller(c)
		c.Cut()
	case crashAfter:
		pass()
		f.KillCaller(c)
		c.Cut()
	case crashLate:
		f.locked(func() { f.late = append(f.late, pass) })
		f.KillCaller(c)
		c.Cut()
	case loseRequest:
		c.Cut()
	case loseRequests:
		f.repeatFor(c.Operation)
		c.Cut()
	case loseAnswer:
		pass()
		c.Cut()
	case loseAnswers:
		f.repeatFor(c.Operation)
		pass()
		c.Cut()
	case doneButError:
		pass()
		c.Respond(500, `{"message":"internal error"}`)
	case throttle:
		c.Respond(429, `{"__type":"ThrottlingException","message":"slow down"}`)
	case editBefore:
		f.edit()
		pass()
	case interrupt:
		f.ctrlC()
		pass()
	case sweepBefore:
		f.sweep()
		pass()
	case sweepAfter:
		pass()
		f.sweep()
	}
}

// sweep sweeps the secret. It ignores the error, because the sweep may have to fail.
func (f *faultRun) sweep() {
	if _, err := f.Secrets.Snapshot(f.name); err == nil {
		_, _ = f.Process().Sweep(f.secret().ARN)
	}
}

// editSuffix is what an edit adds to a value. No command may lose it.
const editSuffix = "\n"

func (f *faultRun) edit() {
	if shot, err := f.Secrets.Snapshot(f.name); err == nil {
		if current, ok := shot.Holder(vault.Current); ok {
			f.secret().Put(current.Value + editSuffix)
			f.locked(func() { f.edited = true })
		}
	}
}

// checkCurrentKey reports a current key that does not log in, unless it was refused from the start
// (promise 1).
func (f *faultRun) checkCurrentKey() {
	shot, err := f.Secrets.Snapshot(f.name)
	if err != nil {
		return
	}
	current, _ := shot.Holder(vault.Current)
	key := (&sandboxtest.Secret{Rig: f.Rig}).KeyIn(current)
	if f.sc.retires || key.IsZero() || key.Reveal() == f.refused || f.Registry.Valid(key.Reveal()) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problem = "the current key does not log in"
}

// execute runs the command with the fault, again without it, and then sweeps. It reports whether
// the command sent enough requests for the fault.
func (f *faultRun) execute() (injected bool) {
	first := newOperator(f.t, f.Rig)
	first.ctx, f.ctrlC = context.WithCancel(first.ctx)
	defer f.ctrlC()
	f.locked(func() { f.process = first.process.ID })
	err := f.try(first)
	var wrote bool
	f.locked(func() { wrote = f.wrote })
	if errors.Is(err, context.Canceled) && f.fault == interrupt && wrote && terminal.Hint(err) == "" {
		f.fail("the interrupted command does not say in which state the secret is")
	}
	for n := 0; err != nil && n < 3; n++ {
		err = f.try(newOperator(f.t, f.Rig))
	}
	if err != nil {
		f.fail(fmt.Sprintf("running the command again does not complete it: %v", err))
	}
	var late []func()
	f.locked(func() { late = f.late })
	for _, carryOut := range late {
		carryOut()
	}
	if err := f.try(newOperator(f.t, f.Rig)); err != nil {
		f.fail(fmt.Sprintf("running the completed command again fails: %v", err))
	}
	for range 6 {
		f.sweep()
		f.Clock.Advance(26 * time.Hour)
	}
	var problem string
	f.locked(func() { problem = f.problem })
	if problem == "" {
		problem = f.sc.check(f)
	}
	if problem != "" {
		f.fail(problem)
	}
	f.cleanups.run()
	f.locked(func() { injected = f.injected })
	return injected
}

func (f *faultRun) try(p *operator) error {
	err := f.sc.run(p, f.subject)
	f.outputs = append(f.outputs, p.output.String(), fmt.Sprint(err))
	if err != nil || f.sc.retires {
		return err
	}
	if s := f.secret(); !s.Valid(s.CurrentKey()) {
		f.fail("the command succeeded, but the current key does not log in")
	}
	return nil
}

// holdsOneKey checks the current value, and that its key is the only valid key of the secret.
func (f *faultRun) holdsOneKey(value string) string {
	s := f.secret()
	key := s.CurrentKey()
	want := strings.ReplaceAll(value, keyPlaceholder, key.Reveal())
	var edited bool
	f.locked(func() { edited = f.edited })
	late := f.sc.movesBack && s.Holder(vault.Current).Value == want+editSuffix // after the move
	if edited && (!f.sc.movesBack || late) {
		want += editSuffix
	}
	if key.IsZero() || s.Holder(vault.Current).Value != want {
		return "the current value is " + strings.ReplaceAll(s.Holder(vault.Current).Value, key.Reveal(),
			keyPlaceholder)
	}
	mine, _ := f.Registry.KeyBySecret(key.Reveal())
	for _, k := range f.Registry.Keys() {
		if mark, ours := apikey.MarkOf(k.Name); ours && mark == apikey.SecretMark(s.ARN) && k.ID != mine.ID &&
			k.Status == "ACTIVE" {
			return "another key is still valid: " + k.ID
		}
	}
	return ""
}

func (f *faultRun) fail(problem string) {
	f.t.Helper()
	labels := ""
	if _, err := f.Secrets.Snapshot(f.name); err == nil {
		labels = f.secret().Labels()
	}
	f.t.Fatalf("%s\nrequest %d: %s\n%s\n%s\n%s", problem, f.number, f.fault, labels, strings.Join(f.outputs, "\n"),
		f.Output)
}
