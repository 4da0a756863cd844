package revocation_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// A mishap is what happens to one request of the functions.
type mishap string

const (
	crashBefore  mishap = "the process dies before the request"
	crashAfter   mishap = "the process dies after the request"
	crashLate    mishap = "the process dies, and its request lands when the rotation is over"
	loseRequest  mishap = "the request is lost"
	loseAnswer   mishap = "the answer is lost"
	serverError  mishap = "the service answers 500"
	throttle     mishap = "the service answers 429"
	stallBefore  mishap = "the caller gives up, and the request goes on when the rotation is over"
	stallAfter   mishap = "the caller gives up after the request, and the step goes on when the rotation is over"
	stallLonger  mishap = "the caller gives up, and the request goes on after the next sweep"
	doneButError mishap = "the service does it and answers 500"
	loseAnswers  mishap = "the answer is lost, and so are those of its repetitions"
	landLate     mishap = "the request and its repetitions time out, and the first lands after the process asked " +
		"something else"
)

var mishaps = []mishap{crashBefore, crashAfter, crashLate, loseRequest, loseAnswer, serverError, throttle, stallBefore,
	stallAfter, stallLonger, doneButError, loseAnswers, landLate}

// landsLate reports whether the request lands when the functions have gone on without it.
func (m mishap) landsLate() bool { return m == crashLate || m == landLate || m == stallLonger }

// A variant is how a test goes through the life of a key.
type variant struct {
	replays int  // of each step
	cold    bool // every invocation in a fresh process
	secrets int  // interleaved
	odd     bool // at services that do what the documents leave open: see newLife
	needs   bool // somebody revokes the current key, and runs of sweeps rotate on need: see heal
}

// TestEveryCrash runs the whole life of a key (rotation, mark, grace period, revocation) again and
// again. In each run another fault happens to one request. Then Secrets Manager retries and the
// sweeps run, and all four promises must hold without a person.
func TestEveryCrash(t *testing.T) {
	variants := []variant{
		{1, false, 1, false, false}, {1, true, 1, true, false}, {2, false, 1, false, false}, {3, true, 1, true, false},
		{1, false, 2, true, false}, {2, true, 2, true, false}, {2, false, 1, false, true}, {1, true, 2, false, true},
	}
	// Every so many-th request of a life, of one with two secrets, and of one with a revoked key.
	plain, tangled, needs := 11, 97, 97
	switch {
	case *exhaustive && *soak > 0 && *soak < time.Minute: // in CI, which has 20 minutes
		plain, tangled, needs = 1, 5, 31
		t.Logf("SAMPLED: 1 of %d requests of the lives with two secrets, 1 of %d of those with a revoked key; "+
			"all: make soak", tangled, needs)
	case *exhaustive:
		plain, tangled, needs = 1, 1, 1
	case raced:
		plain, tangled, needs = 47, 197, 197
	}
	if !*exhaustive {
		t.Logf("SAMPLED: %d of %d ways to go through a life, 1 of %d of its requests, 1 of %d with two secrets or a "+
			"revoked key; all: go test ./internal/revocation -run TestEveryCrash -exhaustive",
			3, len(variants), plain, tangled)
		variants = []variant{variants[0], variants[5], variants[6]}
	}
	var runs, requests atomic.Int64
	t.Run("lives", func(t *testing.T) {
		for _, v := range variants {
			for i, m := range mishaps {
				t.Run(fmt.Sprintf("%+v/%s", v, m), func(t *testing.T) {
					t.Parallel()
					step := plain
					if v.needs {
						step = needs
					} else if v.secrets > 1 {
						step = tangled
					}
					// mishaps begin at different requests, so that together they meet every one
					for at := 1 + i%step; ; at += step {
						l := newLife(t, v, m, at)
						l.live()
						runs.Add(1)
						requests.Add(int64(l.overseer.requests))
						if !l.happened {
							return
						}
					}
				})
			}
		}
	})
	t.Logf("%d lives of a key, %d requests, %d mishaps", runs.Load(), requests.Load(), len(mishaps))
}

// A life is one key's, with one mishap at one request.
type life struct {
	*sandboxtest.Rig
	t        *testing.T
	variant  variant
	mishap   mishap
	at       int
	ending   *ending
	overseer *overseer
	secrets  []*sandboxtest.Secret

	mu       sync.Mutex
	seen     int
	happened bool
	stalled  chan struct{} // closed when a request stalls
	release  chan struct{} // closed when it may go on
	hit      string        // operation of a mishap that goes on
	held     func()        // its request, to land later
	late     []func()      // requests that land later
	locked   []string      // versions that cannot be decrypted
	former   []string      // for each secret, the version with the key of its former owner
	adrift   []chan error  // steps that were given up and go on
}

func newLife(t *testing.T, v variant, m mishap, at int) *life {
	end := &ending{T: t}
	r := sandboxtest.New(end)
	r.Cold(v.cold)
	l := &life{Rig: r, t: t, ending: end, variant: v, mishap: m, at: at, stalled: make(chan struct{}),
		release: make(chan struct{})}
	for i := range v.secrets {
		l.secrets = append(l.secrets, r.Secret(fmt.Sprintf("quilt/secret-%d", i)))
	}
	if v.odd {
		// Use is recorded by the day, keys live for a shorter time than asked, and an expired key
		// cannot be revoked. Until the rotation is over, fingerprints have an unknown form, and an
		// old version cannot be decrypted. The former owner of the secrets is deactivated, so the
		// registry refuses that user's keys.
		r.Registry.AddUser(quiltregistry.User{Name: "svc_former", Email: formerOwner, Password: "former-password"})
		for _, s := range l.secrets {
			locked, _ := supersededVersion(r, s, sandbox.UserEmail)
			r.Secrets.SetUndecryptable(locked, "DecryptionFailure")
			l.locked = append(l.locked, locked)
			_, keyID := supersededVersion(r, s, sandbox.UserEmail)
			r.Registry.Expire(keyID)
			former, _ := supersededVersion(r, s, formerOwner)
			l.former = append(l.former, former)
		}
		r.Registry.SetActive(formerOwner, false)
		r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
			w.UseGranularity, w.FingerprintForm, w.DaysLimit, w.ExpiredNotRevoked = 24*time.Hour,
				quiltregistry.FingerprintStart, 60, true
		})
	}
	if v.needs {
		for _, s := range l.secrets {
			s.Tag(settings.TagOwner, sandbox.UserEmail)
			s.MustRotate() // the previous version's key replaces the current one
		}
		r.Clock.Advance(25 * time.Hour)
	}
	l.overseer = newOverseer(r, l.secrets...)
	r.Hooks.Set(l.hook)
	return l
}

const formerOwner = "svc-former@example.com"

// supersededVersion gives a secret a version that holds a key of that user and was current before.
func supersededVersion(r *sandboxtest.Rig, s *sandboxtest.Secret, owner string) (versionID, keyID string) {
	current := s.Holder(vault.Current).Value
	keyID, secret := r.Registry.MintKey(owner, "by hand", 90)
	versionID = s.Put(sandboxtest.ValueWith(secret))
	s.Put(current)
	if err := s.MoveLabel(vault.KeyLabel(keyID), versionID, ""); err != nil {
		r.Fatalf("%v", err)
	}
	return versionID, keyID
}

// hook lets the mishap happen to the one request, and the overseer see all.
func (l *life) hook(c *wire.Call, next func()) {
	pass := func() { l.overseer.oversee(c, next) }
	if sandboxtest.ProcessOf(c) == "" {
		pass()
		return
	}
	if !l.itsTurn() {
		l.repeated(c, pass)
		return
	}
	switch l.mishap {
	case crashBefore:
		l.KillCaller(c)
		c.Cut()
	case crashAfter:
		pass()
		l.KillCaller(c)
		c.Cut()
	case crashLate:
		l.landLater(pass)
		l.KillCaller(c)
		c.Cut()
	case loseRequest:
		c.Cut()
	case loseAnswer:
		pass()
		c.Cut()
	case serverError:
		c.Respond(500, `{"message":"internal error"}`)
	case throttle:
		c.Respond(429, `{"__type":"ThrottlingException","message":"slow down"}`)
	case stallBefore, stallLonger:
		l.stall()
		pass()
	case stallAfter:
		pass()
		l.stall()
	case doneButError:
		pass()
		c.Respond(500, `{"message":"internal error"}`)
	case loseAnswers:
		l.goOn(c.Operation, nil)
		pass()
		c.Cut()
	case landLate:
		l.goOn(c.Operation, pass)
		c.Cut()
	}
}

// goOn lets the mishap go on with the repetitions of an operation; held lands when they are over.
func (l *life) goOn(operation string, held func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hit, l.held = operation, held
}

// over ends a mishap that goes on, and gives what it held; unless the operation is still the same.
func (l *life) over(operation string) (held func(), repetition bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hit != "" && l.hit == operation {
		return nil, true
	}
	held = l.held
	l.hit, l.held = "", nil
	return held, false
}

func (l *life) landLater(pass func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, pass)
}

// repeated goes on with a mishap that is not over with one request: until the process asks
// something else.
func (l *life) repeated(c *wire.Call, pass func()) {
	held, repetition := l.over(c.Operation)
	if repetition && l.mishap == landLate {
		c.Cut()
		return
	}
	pass()
	if repetition {
		c.Cut()
	}
	if held != nil {
		held()
	}
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

func (l *life) stall() {
	close(l.stalled)
	<-l.release
}

// live goes through the life: a rotation as the service drives it, sweeps, grace, sweeps.
func (l *life) live() {
	old := map[string]string{}
	for _, s := range l.secrets {
		old[s.Name] = s.CurrentKey().Reveal()
	}
	if l.variant.needs {
		l.heal()
	} else {
		l.rotateAll()
	}
	if l.mishap != stallLonger {
		l.letGo()
	}
	l.sweepAll()
	l.letGo()
	// until then, orphans are only reported
	l.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.FingerprintForm = "" })
	for _, versionID := range l.locked {
		l.Secrets.SetUndecryptable(versionID, "")
	}
	for range 5 { // a sweep that failed is due again; what was marked late is due a day later
		l.sweepAll()
		l.letGo()
		l.Clock.Advance(26 * time.Hour)
	}
	l.sweepAll()
	for i, versionID := range l.former {
		l.checkFormerOwner(l.secrets[i], versionID)
	}
	for _, s := range l.secrets {
		l.check(s, old[s.Name])
	}
	if verdict := l.overseer.verdict(); verdict != "" {
		l.fail(verdict)
	}
	l.ending.run()
}

// checkFormerOwner demands that the key of the deactivated user is valid when the user is activated
// again, and that its label is still there. Then it removes both, as a person does.
func (l *life) checkFormerOwner(s *sandboxtest.Secret, versionID string) {
	l.Registry.SetActive(formerOwner, true)
	for _, v := range s.Snapshot().Versions {
		if v.ID != versionID {
			continue
		}
		ids := vault.NewVersion(v.ID, v.Stages).Keys
		key, known := l.Registry.KeyBySecret(s.KeyIn(v).Reveal())
		if len(ids) != 1 || !known || key.ID != ids[0] || key.Status != quiltregistry.StatusActive {
			l.fail(fmt.Sprintf("the key of the deactivated owner is %q, and the labels of its version are %v",
				key.Status, v.Stages))
		}
		for _, label := range v.Stages {
			l.must(s.MoveLabel(label, "", v.ID))
		}
		l.Registry.Delete(key.ID)
		return
	}
	l.fail("the version " + versionID + " with the key of the deactivated owner does not exist any more")
}

// meetReplica lets the functions meet the secret while it is a replica: every call is refused, and
// no key is created.
func (l *life) meetReplica(s *sandboxtest.Secret, event sandboxtest.Event) {
	keys := len(l.Registry.Keys())
	l.must(l.Secrets.SetPrimaryRegion(s.ARN, "eu-west-1"))
	step := l.call(func(p *sandboxtest.Process) error { return p.Step(event.As(rotation.Create)) })
	sweep := l.call(func(p *sandboxtest.Process) error {
		_, err := p.Sweep(s.ARN)
		return err
	})
	if now := len(l.Registry.Keys()); step == nil || sweep == nil || now != keys {
		l.fail(fmt.Sprintf("a replica is served: the step answers %v, the sweep %v, and %d keys are %d now", step,
			sweep, keys, now))
	}
	l.must(l.Secrets.SetPrimaryRegion(s.ARN, ""))
}

// ending runs what a life leaves to clean up at the life's end, not at the test's: there are
// thousands of lives.
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

// rotateAll drives the rotations of all secrets step by step, in turn, and tries each as a whole
// again when a step failed.
func (l *life) rotateAll() {
	events := make([]sandboxtest.Event, len(l.secrets))
	done := make([]bool, len(l.secrets))
	for i, s := range l.secrets {
		events[i] = s.Begin(sandboxtest.Token(i + 1))
		if l.variant.odd {
			l.meetReplica(s, events[i])
		}
	}
	for range 4 {
		failed := make([]bool, len(l.secrets))
		for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish} {
			for i := range l.secrets {
				for n := 0; n < l.variant.replays && !failed[i] && !done[i]; n++ {
					failed[i] = l.call(func(p *sandboxtest.Process) error { return p.Step(events[i].As(step)) }) != nil
				}
			}
		}
		for i, s := range l.secrets {
			if !failed[i] && !done[i] {
				done[i] = true
				l.must(s.Secrets.FinishPending(s.ARN))
			}
		}
	}
	for i, s := range l.secrets {
		if !done[i] {
			l.fail("the rotation of " + s.Name + " does not succeed, though the service tries again")
		}
	}
}

func (l *life) sweepAll() {
	for _, s := range l.secrets {
		_ = l.call(func(p *sandboxtest.Process) error { // what fails is due again
			_, err := p.Sweep(s.ARN)
			return err
		})
	}
}

// heal revokes the current keys by hand, and lets a run go over all secrets each hour, as often as
// the variant repeats things. The service tries again what has stored a value. The registry refuses
// everybody in the first hour.
func (l *life) heal() {
	for _, s := range l.secrets {
		l.overseer.revokeByHand(s)
	}
	for hour := range 8 {
		l.Registry.SetActive(sandbox.UserEmail, hour > 0)
		for range l.variant.replays {
			rotated := l.run()
			if hour == 0 && rotated > 0 {
				l.fail("keys are rotated although the registry refuses everybody")
			}
		}
		l.letGo()
		for _, s := range l.secrets {
			if pending, ok := s.Snapshot().Holder(vault.Pending); ok && !pending.Empty &&
				l.Secrets.Retry(s.ARN) == nil {
				l.await(s.ARN)
				l.letGo()
			}
		}
		l.Clock.Advance(61 * time.Minute)
	}
	for _, s := range l.secrets {
		if !s.Valid(s.CurrentKey()) {
			l.fail("the revoked key of " + s.Name + " is not replaced")
		}
	}
}

// run goes over all secrets, and waits for the rotations that it starts. A run that fails is over.
func (l *life) run() (rotated int) {
	machine := l.Machine()
	machine.Revoke = func(_ context.Context, payload []byte) ([]byte, error) {
		var answer []byte
		err := l.call(func(p *sandboxtest.Process) (err error) {
			answer, err = p.Revoke(payload)
			return err
		})
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
	report, _ := machine.Run(l.t.Context(), "run", l.Clock.Now().Truncate(time.Hour))
	for _, rotation := range report.Rotated {
		l.await(rotation.SecretID)
	}
	for _, event := range report.Events {
		l.must(sandboxtest.CheckEvent(event))
		l.overseer.tell(event)
	}
	return len(report.Rotated)
}

// await waits until a rotation is over, or stalls.
func (l *life) await(arn string) {
	done := make(chan error, 1)
	go func() { done <- l.Secrets.WaitRotation(l.t.Context(), arn) }()
	if len(l.adrift) > 0 { // perhaps this one
		l.adrift = append(l.adrift, done)
		return
	}
	select {
	case <-done:
	case <-l.stalled:
		l.stalled = make(chan struct{})
		l.adrift = append(l.adrift, done)
		l.Abandon()
	}
}

// errGivenUp is what the caller of a stalled invocation sees.
var errGivenUp = fmt.Errorf("the caller gave up")

// call invokes a function, and gives up on it when it stalls.
func (l *life) call(invoke func(*sandboxtest.Process) error) error {
	l.nextInvocation()
	process := l.Process()
	done := make(chan error, 1)
	go func() { done <- invoke(process) }()
	select {
	case err := <-done:
		return err
	case <-l.stalled:
		select {
		case <-l.release: // it stalled before, and goes on already
			return <-done
		default:
		}
		l.stalled = make(chan struct{})
		l.adrift = append(l.adrift, done)
		l.Abandon()
		return errGivenUp
	}
}

// nextInvocation ends a mishap that went on until the end of an invocation; a request that it held
// lands later.
func (l *life) nextInvocation() {
	if held, _ := l.over(""); held != nil {
		l.landLater(held)
	}
}

// letGo lets what stalled go on, and what was late land.
func (l *life) letGo() {
	select {
	case <-l.release:
	default:
		close(l.release)
	}
	l.mu.Lock()
	late := l.late
	l.late = nil
	l.mu.Unlock()
	for _, land := range late {
		land()
	}
	for _, done := range l.adrift {
		<-done
	}
	l.adrift = nil
}

func (l *life) check(s *sandboxtest.Secret, old string) {
	current := s.CurrentKey()
	if current.Reveal() == old {
		l.fail("the rotation of " + s.Name + " did not change the key")
	}
	if s.Holder(vault.Current).Value != sandboxtest.ValueWith(current.Reveal()) {
		l.fail("more than the key changed in " + s.Name)
	}
	if left := l.overseer.leftBehind(s); left != "" {
		l.fail(left)
	}
	for _, v := range s.Snapshot().Versions {
		if !has(v, vault.Current) && len(v.Stages) > 0 && !onlyPrevious(v) &&
			!(l.mishap.landsLate() && l.reportedAsForeign(v)) {
			l.fail(fmt.Sprintf("labels are left behind on %s: %v", v.ID, v.Stages))
		}
	}
}

// reportedAsForeign reports whether a version's key label landed after its key was revoked, so that
// nothing shows any more whose key it was: a person is asked to remove the label.
func (l *life) reportedAsForeign(v awssecrets.Version) bool {
	return len(l.Output.Lines(`"reason":"foreign"`, v.ID)) > 0 && len(l.Output.Lines(`"KeysNeedingAttention":1`)) > 0
}

func onlyPrevious(v awssecrets.Version) bool {
	return len(v.Stages) == 1 && v.Stages[0] == vault.Previous
}

func (l *life) must(err error) {
	if err != nil {
		l.fail(err.Error())
	}
}

func (l *life) fail(what string) {
	l.t.Helper()
	labels := ""
	for _, s := range l.secrets {
		labels += s.Labels() + "\n"
	}
	l.t.Fatalf("%s\nrequest %d: %s (%+v)\n%s\n%s", what, l.at, l.mishap, l.variant, labels, l.Output)
}
