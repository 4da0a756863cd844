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

// A mishap is what happens to one request of the command.
type mishap string

const (
	crashBefore  mishap = "the process dies before the request"
	crashAfter   mishap = "the process dies after the request"
	crashLate    mishap = "the process dies, and its request lands when the next run is over"
	loseRequest  mishap = "the request is lost"
	loseRequests mishap = "the request is lost, and so are its repetitions"
	loseAnswer   mishap = "the answer is lost"
	loseAnswers  mishap = "the answer is lost, and so are those of its repetitions"
	doneButError mishap = "the service does it and answers 500"
	throttle     mishap = "the service answers 429"
	sweepBefore  mishap = "a sweep runs before the request"
	sweepAfter   mishap = "a sweep runs after the request"
	editBefore   mishap = "somebody edits the secret before the request"
	interrupt    mishap = "somebody presses Ctrl-C at the request"
)

var mishaps = []mishap{crashBefore, crashAfter, crashLate, loseRequest, loseRequests, loseAnswer, loseAnswers,
	doneButError, throttle, sweepBefore, sweepAfter, editBefore, interrupt}

// A subject is the secret, and the version that a procedure is about.
type subject struct{ secret, target string }

// A scenario is a procedure, from the state in which it is needed.
type scenario struct {
	name      string
	prepare   func(r *sandboxtest.Rig) subject
	run       func(p *person, on subject) error
	movesBack bool // so that an edit is what it moves away from
	retires   bool // so that the current key is revoked in the end
	// check looks at the end, once sweeps had their time. It gives what is wrong.
	check func(l *life) string
}

var scenarios = []scenario{
	{
		name:    "bootstrap of a secret that is not there",
		prepare: func(*sandboxtest.Rig) subject { return subject{secret: "prod/new"} },
		run:     bootstraps,
		check:   func(l *life) string { return l.holdsOneKey(`{"QUILT_API_KEY":"` + keyMark + `"}`) },
	},
	{
		name:    "bootstrap of one that waits for its first key",
		prepare: func(r *sandboxtest.Rig) subject { return of(r.BareSecret("prod/blank", sandboxtest.ValueWith(""))) },
		run:     bootstraps,
		check:   func(l *life) string { return l.holdsOneKey(sandboxtest.ValueWith(keyMark)) },
	},
	{
		name: "bootstrap of one that never had a value",
		prepare: func(r *sandboxtest.Rig) subject {
			name := "prod/empty"
			if _, err := r.Hands.CreateSecret(context.Background(),
				&secretsmanager.CreateSecretInput{Name: &name}); err != nil {
				r.Fatalf("%v", err)
			}
			return subject{secret: name}
		},
		run:   bootstraps,
		check: func(l *life) string { return l.holdsOneKey(`{"QUILT_API_KEY":"` + keyMark + `"}`) },
	},
	{
		name: "rollback to a marked version whose grace is over", movesBack: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/rolled")
			target := s.Holder(vault.Current).ID
			s.MustRotate()
			s.MustSweep() // marks it
			// so that grace alone decides
			r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.UseNotRecorded = true })
			r.Clock.Advance(48 * time.Hour)
			return subject{s.Name, target}
		},
		run: func(p *person, on subject) error {
			done, err := p.rollback(on.secret, on.target)
			if s, lookErr := p.secret(on.secret); err == nil && lookErr == nil &&
				!s.Versions[on.target].Has(vault.Current) {
				return fmt.Errorf("it says that %s is current, and it is not", done.To)
			}
			if err != nil && (strings.Contains(err.Error(), "is current already") || strings.Contains(err.Error(),
				"it has expired or was revoked")) {
				return nil // a sweep that was due may be faster, until the mark is off
			}
			return err
		},
		check: func(l *life) string { return l.holdsOneKey(sandboxtest.ValueWith(keyMark)) },
	},
	{
		name: "recover by a login",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/dead", settings.TagOwner, sandbox.UserEmail)
			expire(s)
			return of(s)
		},
		run:   recovers,
		check: func(l *life) string { return l.holdsOneKey(sandboxtest.ValueWith(keyMark)) },
	},
	{
		name: "recover by the issuer",
		prepare: func(r *sandboxtest.Rig) subject {
			issuer := r.BareSecret("prod/issuer", `{"username":"`+sandbox.UserName+`","password":"`+
				sandbox.UserPassword+`"}`)
			s := r.Secret("prod/dead", settings.TagIssuer, issuer.ARN)
			expire(s)
			return of(s)
		},
		run:   recovers,
		check: func(l *life) string { return l.holdsOneKey(sandboxtest.ValueWith(keyMark)) },
	},
	{
		name: "recover by the previous key, in a value that was edited since",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/dead")
			s.MustRotate()
			expire(s)
			_, value, _ := strings.Cut(s.Holder(vault.Current).Value, "{")
			s.Put("{ \"new\": true," + value)
			return of(s)
		},
		run: recovers,
		check: func(l *life) string {
			_, value, _ := strings.Cut(sandboxtest.ValueWith(keyMark), "{")
			return l.holdsOneKey("{ \"new\": true," + value)
		},
	},
	{
		name: "recover of a value that was overwritten", movesBack: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/overwritten")
			s.Put("{}")
			return of(s)
		},
		run:   recovers,
		check: func(l *life) string { return l.holdsOneKey(sandboxtest.ValueWith(keyMark)) },
	},
	{
		name: "emergency about the current key, which no function rotates",
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/leaked", settings.TagOwner, sandbox.UserEmail)
			rotationOff(s)
			return subject{s.Name, s.Holder(vault.Current).ID}
		},
		run: func(p *person, on subject) error {
			s, err := p.secret(on.secret)
			if err != nil {
				return err
			}
			done, err := p.Emergency(p.ctx, s, operations.EmergencyOptions{
				Registry: p.registry, Version: on.target, LogIn: logIn,
			})
			if err != nil && strings.Contains(err.Error(), "has no version that begins with") {
				return nil // an earlier run has removed its last label, and check demands that its key was revoked
			}
			if err == nil && !done.LeakedRefused {
				return errors.New("it succeeded without a proof")
			}
			return err
		},
		check: func(l *life) string {
			if key := l.secret().KeyIn(l.version(l.on.target)); l.secret().Alive(key) {
				return "the leaked key is valid"
			}
			return l.holdsOneKey(sandboxtest.ValueWith(keyMark))
		},
	},
	{
		name: "retire", retires: true,
		prepare: func(r *sandboxtest.Rig) subject {
			s := r.Secret("prod/retired")
			s.MustRotate()
			s.MustRotate()
			return of(s)
		},
		run: func(p *person, on subject) error {
			s, err := p.secret(on.secret)
			if err != nil {
				return err
			}
			done, err := p.Retire(p.ctx, s, operations.RetireOptions{Registry: p.registry, LogIn: logIn})
			if err != nil && strings.Contains(err.Error(), "has no rotation, label or tag of quilt-rotate, so "+
				"nothing was changed") {
				return nil // the run before did all of it
			}
			if err == nil && (!done.Complete || managed.Marked(s.Tags, s.Sorted()) || s.Rotation.Enabled) {
				return errors.New("it succeeded, and something of quilt-rotate is left")
			}
			return err
		},
		check: func(l *life) string {
			for _, k := range l.Registry.Keys() {
				if k.Status == "ACTIVE" {
					return "a key is valid: " + k.ID
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
			rotationOff(s)
			return of(s)
		},
		run: func(p *person, on subject) error {
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
		check: func(l *life) string {
			s := l.secret()
			current := s.Holder(vault.Current)
			key, _ := l.Registry.KeyBySecret(s.CurrentKey().Reveal())
			if !slices.Contains(current.Stages, vault.KeyLabel(key.ID)) {
				return "the key has no label"
			}
			out, err := l.Hands.DescribeSecret(context.Background(),
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

func of(s *sandboxtest.Secret) subject { return subject{secret: s.Name} }

func bootstraps(p *person, on subject) error {
	_, err := p.bootstrap(on.secret)
	return err
}

func recovers(p *person, on subject) error {
	_, err := p.recover(on.secret, false)
	return err
}

// rotationOff turns rotation off, so that a command creates the new key, and does not wait for a
// function's log.
func rotationOff(s *sandboxtest.Secret) {
	if _, err := s.Hands.CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &s.ARN}); err != nil {
		s.Fatalf("%v", err)
	}
}

func expire(s *sandboxtest.Secret) {
	key, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
	s.Registry.Expire(key.ID)
}

// keyMark stands for the current key in an expected value.
const keyMark = "THE CURRENT KEY"

var exhaustive = flag.Bool("exhaustive", false, "let TestEveryCrashOfACommand go through every request, and not "+
	"through a sample")

func TestEveryCrashOfACommand(t *testing.T) {
	// Protects promises 1 and 3 where a person's command dies, or the network fails it, at any
	// request: the key in AWSCURRENT works at every instant from the first that does, running the
	// command again finishes, and sweeps leave nothing behind.
	step := 13 // every so many-th request
	switch {
	case *exhaustive:
		step = 1
	case raced:
		step = 17
	}
	if !*exhaustive {
		t.Logf("SAMPLED: 1 of %d requests of each command; all: go test ./internal/cli/operations -run "+
			"TestEveryCrashOfACommand -exhaustive", step)
	}
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for i, m := range mishaps {
				// mishaps begin at different requests, so that together they meet every one
				for at := 1 + i%step; ; at += step {
					l := newLife(t, sc, m, at)
					if !l.live() {
						if at <= step && at < 4 {
							t.Fatalf("only %d requests", at-1)
						}
						break
					}
				}
			}
		})
	}
}

// life is one secret's, with one mishap.
type life struct {
	*sandboxtest.Rig
	t      *testing.T
	sc     scenario
	mishap mishap
	at     int
	on     subject
	name   string // of the secret
	dead   string // key that is refused from the start
	ending *ending
	ctrlC  context.CancelFunc
	edited bool
	wrote  bool // the first person's command changed something
	said   []string

	mu       sync.Mutex
	person   string // process
	seen     int
	happened bool
	hit      string
	late     []func()
	wrong    string
}

// ending runs what a life leaves to clean up at the life's end.
type ending struct {
	*testing.T
	cleanups []func()
}

func (e *ending) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (e *ending) run() {
	for _, f := range slices.Backward(e.cleanups) {
		f()
	}
}

func newLife(t *testing.T, sc scenario, m mishap, at int) *life {
	end := &ending{T: t}
	l := &life{Rig: sandboxtest.New(end), t: t, sc: sc, mishap: m, at: at, ending: end}
	l.on = sc.prepare(l.Rig)
	l.name = l.on.secret
	if shot, err := l.Secrets.Snapshot(l.name); err == nil {
		current, _ := shot.Holder(vault.Current)
		if key := l.secret().KeyIn(current); !l.secret().Alive(key) {
			l.dead = key.Reveal()
		}
	}
	l.Hooks.Set(l.hook)
	return l
}

func (l *life) secret() *sandboxtest.Secret {
	out, err := l.Hands.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &l.name})
	if err != nil {
		l.t.Fatal(err)
	}
	return &sandboxtest.Secret{Rig: l.Rig, ARN: *out.ARN, Name: l.name}
}

// version is the version as it is now.
func (l *life) version(id string) awssecrets.Version {
	shot := l.secret().Snapshot()
	return shot.Versions[slices.IndexFunc(shot.Versions, func(v awssecrets.Version) bool { return v.ID == id })]
}

func (l *life) hook(c *wire.Call, next func()) {
	pass := func() {
		next()
		l.watch()
	}
	l.mu.Lock()
	mine := l.person != "" && sandboxtest.ProcessOf(c) == l.person
	l.mu.Unlock()
	switch {
	case !mine:
		pass()
		return
	case !l.itsTurn():
		again := l.repeats(c)
		if !again || l.mishap == loseAnswers {
			pass()
		}
		if again {
			c.Cut()
		}
	default:
		l.happen(c, pass)
	}
	l.note(func() { l.wrote = l.wrote || c.Operation != "GetFunction" && sandboxtest.Observed(c).Writes() })
}

// note changes or reads what the hooks share with the test.
func (l *life) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *life) itsTurn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if l.seen != l.at {
		return false
	}
	l.happened = true
	return true
}

// goOn lets the mishap go on with the repetitions of an operation.
func (l *life) goOn(operation string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hit = operation
}

// repeats tells whether a mishap goes on with this request: until the process asks something else.
func (l *life) repeats(c *wire.Call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hit != c.Operation {
		l.hit = ""
	}
	return l.hit != ""
}

func (l *life) happen(c *wire.Call, pass func()) {
	switch l.mishap {
	case crashBefore:
		l.KillCaller(c)
		c.Cut()
	case crashAfter:
		pass()
		l.KillCaller(c)
		c.Cut()
	case crashLate:
		l.note(func() { l.late = append(l.late, pass) })
		l.KillCaller(c)
		c.Cut()
	case loseRequest:
		c.Cut()
	case loseRequests:
		l.goOn(c.Operation)
		c.Cut()
	case loseAnswer:
		pass()
		c.Cut()
	case loseAnswers:
		l.goOn(c.Operation)
		pass()
		c.Cut()
	case doneButError:
		pass()
		c.Respond(500, `{"message":"internal error"}`)
	case throttle:
		c.Respond(429, `{"__type":"ThrottlingException","message":"slow down"}`)
	case editBefore:
		l.edit()
		pass()
	case interrupt:
		l.ctrlC()
		pass()
	case sweepBefore:
		l.sweep()
		pass()
	case sweepAfter:
		pass()
		l.sweep()
	}
}

// sweep lets the revoke function do what it does; it fails where it must.
func (l *life) sweep() {
	if _, err := l.Secrets.Snapshot(l.name); err == nil {
		_, _ = l.Process().Sweep(l.secret().ARN)
	}
}

// anEdit is what an edit adds to a value: a byte that nobody may lose.
const anEdit = "\n"

func (l *life) edit() {
	if shot, err := l.Secrets.Snapshot(l.name); err == nil {
		if current, ok := shot.Holder(vault.Current); ok {
			l.secret().Put(current.Value + anEdit)
			l.note(func() { l.edited = true })
		}
	}
}

// watch holds promise 1: a key that is current works, but for the one that was refused from the
// start.
func (l *life) watch() {
	shot, err := l.Secrets.Snapshot(l.name)
	if err != nil {
		return
	}
	current, _ := shot.Holder(vault.Current)
	key := (&sandboxtest.Secret{Rig: l.Rig}).KeyIn(current)
	if l.sc.retires || key.IsZero() || key.Reveal() == l.dead || l.Registry.Alive(key.Reveal()) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = "the current key does not log in"
}

// live goes through the life. It tells whether the mishap happened: there were so many requests.
func (l *life) live() (happened bool) {
	first := newPerson(l.t, l.Rig)
	first.ctx, l.ctrlC = context.WithCancel(first.ctx)
	defer l.ctrlC()
	l.note(func() { l.person = first.process.ID })
	err := l.try(first)
	var wrote bool
	l.note(func() { wrote = l.wrote })
	if errors.Is(err, context.Canceled) && l.mishap == interrupt && wrote && terminal.Hint(err) == "" {
		l.fail("the interruption does not say in which state the secret is")
	}
	for n := 0; err != nil && n < 3; n++ {
		err = l.try(newPerson(l.t, l.Rig))
	}
	if err != nil {
		l.fail(fmt.Sprintf("running it again does not finish it: %v", err))
	}
	var late []func()
	l.note(func() { late = l.late })
	for _, land := range late {
		land()
	}
	if err := l.try(newPerson(l.t, l.Rig)); err != nil {
		l.fail(fmt.Sprintf("running it once more fails: %v", err))
	}
	for range 6 {
		l.sweep()
		l.Clock.Advance(26 * time.Hour)
	}
	var wrong string
	l.note(func() { wrong = l.wrong })
	if wrong == "" {
		wrong = l.sc.check(l)
	}
	if wrong != "" {
		l.fail(wrong)
	}
	l.ending.run()
	l.note(func() { happened = l.happened })
	return happened
}

func (l *life) try(p *person) error {
	err := l.sc.run(p, l.on)
	l.said = append(l.said, p.said.String(), fmt.Sprint(err))
	if err != nil || l.sc.retires {
		return err
	}
	if s := l.secret(); !s.Alive(s.CurrentKey()) {
		l.fail("it says that it worked, and the current key does not log in")
	}
	return nil
}

// holdsOneKey demands the value, and that no key of this secret lives but the one in it.
func (l *life) holdsOneKey(value string) string {
	s := l.secret()
	key := s.CurrentKey()
	want := strings.ReplaceAll(value, keyMark, key.Reveal())
	var edited bool
	l.note(func() { edited = l.edited })
	late := l.sc.movesBack && s.Holder(vault.Current).Value == want+anEdit // after the move
	if edited && (!l.sc.movesBack || late) {
		want += anEdit
	}
	if key.IsZero() || s.Holder(vault.Current).Value != want {
		return "the current value is another one: " + strings.ReplaceAll(s.Holder(vault.Current).Value, key.Reveal(),
			keyMark)
	}
	mine, _ := l.Registry.KeyBySecret(key.Reveal())
	for _, k := range l.Registry.Keys() {
		if mark, ours := apikey.MarkOf(k.Name); ours && mark == apikey.SecretMark(s.ARN) && k.ID != mine.ID &&
			k.Status == "ACTIVE" {
			return "a key is left behind: " + k.ID
		}
	}
	return ""
}

func (l *life) fail(what string) {
	l.t.Helper()
	labels := ""
	if _, err := l.Secrets.Snapshot(l.name); err == nil {
		labels = l.secret().Labels()
	}
	l.t.Fatalf("%s\nrequest %d: %s\n%s\n%s\n%s", what, l.at, l.mishap, labels, strings.Join(l.said, "\n"), l.Output)
}
