package revocation_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

var (
	exhaustive = flag.Bool("exhaustive", false, "let TestEveryCrash go through every request of every kind of life, "+
		"and not through a sample")
	soak = flag.Duration("soak", 0, "how long TestMachine goes on with new sequences; 0: a few hundred sequences")
)

// TestMachine applies random sequences of faults, requests of people, and time. After every request
// the overseer checks the promises. At the end, without faults and after sweeps, no key may be left
// behind.
func TestMachine(t *testing.T) {
	if !*exhaustive && *soak == 0 {
		fewChecks(t)
	}
	var sequences, actions, requests, onNeed atomic.Int64
	start := time.Now()
	t.Run("sequences", func(t *testing.T) {
		for i := range 2 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for first := true; first || time.Since(start) < *soak; first = false {
					rapid.Check(t, func(t *rapid.T) {
						for range i { // with one seed, another sequence than that of the other test
							rapid.Uint64().Draw(t, "another")
						}
						m := newMachine(t)
						t.Repeat(m.actions())
						m.settle()
						sequences.Add(1)
						actions.Add(m.steps)
						requests.Add(int64(m.overseer.requests))
						onNeed.Add(m.onNeed)
						_ = m.Close()
					})
					if t.Failed() {
						return
					}
				}
			})
		}
	})
	t.Logf("%d sequences, %d actions, %d requests, %d rotations on need in %s", sequences.Load(), actions.Load(),
		requests.Load(), onNeed.Load(), time.Since(start).Round(time.Second))
}

// fewChecks leaves most sequences to make soak.
func fewChecks(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	former := checks.Value.String()
	if former != checks.DefValue {
		return // somebody asked for a number
	}
	few := "40"
	if raced {
		few = "20"
	}
	t.Logf("SAMPLED: 2 times %s random sequences; more: go test ./internal/revocation -run TestMachine -soak=15m", few)
	_ = checks.Value.Set(few)
	t.Cleanup(func() { _ = checks.Value.Set(former) })
}

// longestRun is how long an invocation can go on after its caller gave it up: Lambda's limit.
const longestRun = 15 * time.Minute

// machine is a secret, and everything that may happen to it.
type machine struct {
	*sandboxtest.Rig
	t        *rapid.T
	overseer *overseer
	secret   *sandboxtest.Secret
	steps    int64
	onNeed   int64 // rotations
	tokens   []string

	mu         sync.Mutex
	plans      map[string]*stallPlan // by process
	adrift     []*drifter
	failing    int  // how many registry requests are still to fail
	refusing   bool // the registry answers 401 to all
	sinceLetGo time.Duration
	mischief   bool            // a key's label was moved by hand, or the secret was handed over
	formed     bool            // fingerprints had an unknown form
	moved      bool            // a key's label was moved by hand
	cut        bool            // a current key was revoked by hand
	handed     map[string]bool // ids of the former user's keys that had labels when the secret was handed over
}

// stallPlan lets one request of a process stall, or time out and land later.
type stallPlan struct {
	at      int
	lands   bool // times out at the caller, and lands later
	seen    int
	request string // the operation that stalls
	stalled chan struct{}
	release chan struct{}
	landed  chan struct{}
}

// drifter is an invocation that was given up and goes on.
type drifter struct {
	plan *stallPlan
	done chan error
}

func newMachine(t *rapid.T) *machine {
	r := sandboxtest.New(t)
	m := &machine{Rig: r, t: t, plans: map[string]*stallPlan{}, secret: r.Secret("quilt/machine", settings.TagOwner,
		sandbox.UserEmail)}
	m.overseer = newOverseer(r, m.secret)
	m.overseer.lateMark = longestRun
	r.Hooks.Set(m.hook)
	return m
}

func (m *machine) hook(c *wire.Call, next func()) {
	pass := func() { m.overseer.oversee(c, next) }
	m.mu.Lock()
	if c.Service == "registry" && m.failing > 0 && sandboxtest.ProcessOf(c) != "" {
		m.failing--
		m.mu.Unlock()
		c.Respond(503, "")
		return
	}
	if c.Service == "registry" && m.refusing {
		m.mu.Unlock()
		c.Respond(http.StatusUnauthorized, "")
		return
	}
	plan := m.plans[sandboxtest.ProcessOf(c)]
	turn := false
	if plan != nil {
		plan.seen++
		turn = plan.seen == plan.at
	}
	if turn {
		plan.request = c.Operation
	}
	m.mu.Unlock()
	switch {
	case !turn:
		pass()
	case plan.lands:
		go func() {
			<-plan.release
			pass()
			close(plan.landed)
		}()
		close(plan.stalled)
		c.Cut()
	default:
		close(plan.stalled)
		<-plan.release
		pass()
	}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"rotate": m.rotate,
		"retry": func(*rapid.T) {
			_ = m.Secrets.Retry(m.secret.ARN)
			_ = m.Secrets.WaitRotation(context.Background(), m.secret.ARN)
		},
		"begin":         m.begin,
		"replay step":   m.replay,
		"drifting step": m.driftingStep,
		"drifting sweep": func(t *rapid.T) {
			m.drift(t, m.sweepIn)
		},
		"resume":      m.resume,
		"sweep":       func(*rapid.T) { _ = m.sweepIn(m.Process()) },
		"look":        m.lookAtSweep,
		"sweep twice": m.sweepTwice,
		"move label":  m.moveLabel,
		"edit":        m.edit,
		"rollback":    m.rollback,
		"unstick":     m.unstick,
		"blank":       func(*rapid.T) { m.secret.Put("{}") },
		"restore": func(t *rapid.T) {
			m.awaitRevocations(t)
			m.restore()
		},
		"fill labels":    m.fillLabels,
		"free labels":    func(*rapid.T) { m.freeLabels() },
		"registry down":  func(t *rapid.T) { m.fail(rapid.IntRange(1, 12).Draw(t, "requests")) },
		"short list":     m.shortList,
		"skew":           m.skew,
		"tag gone":       m.tagGone,
		"use old key":    m.useOldKey,
		"granularity":    m.granularity,
		"fingerprints":   m.fingerprints,
		"lock version":   m.lockVersion,
		"hand over":      m.handOver,
		"deactivate":     m.deactivate,
		"replica":        m.replica,
		"expire":         m.expire,
		"limits":         m.limits,
		"revoke current": m.revokeCurrent,
		"run":            m.run,
		"cut off":        m.cutOff,
		"reactivate":     func(*rapid.T) { m.Registry.SetActive(sandbox.UserEmail, true) },
		"jump":           m.jump,
		"cold":           func(t *rapid.T) { m.Cold(rapid.Bool().Draw(t, "cold")) },
	}
	for name, action := range actions {
		actions[name] = func(t *rapid.T) { m.steps++; action(t) }
	}
	actions[""] = func(t *rapid.T) {
		if verdict := m.overseer.verdict(); verdict != "" {
			t.Fatalf("%s\n%s\n%s", verdict, m.secret.Labels(), m.tail())
		}
	}
	return actions
}

func (m *machine) sweepIn(p *sandboxtest.Process) error {
	_, err := p.Sweep(m.secret.ARN)
	if err == nil {
		m.overseer.seenBySweep(m.secret)
	}
	return err
}

// run is a run of sweeps as the state machine drives it, perhaps with its twin, or while the
// registry refuses everybody: then nothing is rotated or created.
func (m *machine) run(t *rapid.T) { m.sweepAll(t, rapid.Bool().Draw(t, "the registry refuses all")) }

func (m *machine) sweepAll(t *rapid.T, refusing bool) {
	at := m.Clock.Now().Truncate(time.Hour)
	keys := len(m.Registry.Keys())
	m.refuse(refusing)
	for range rapid.IntRange(1, 2).Draw(t, "runs") {
		report, _ := m.Machine().Run(context.Background(), "run", at) // a run that fails is over
		if refusing && (len(report.Rotated) > 0 || len(m.Registry.Keys()) != keys) {
			t.Fatalf("a registry that refuses everybody leads to %+v\n%s", report.Rotated, m.tail())
		}
		m.onNeed += int64(len(report.Rotated))
		for _, event := range report.Events {
			if err := sandboxtest.CheckEvent(event); err != nil {
				t.Fatalf("%v", err)
			}
			m.overseer.tell(event)
		}
	}
	_ = m.Secrets.WaitRotation(context.Background(), m.secret.ARN)
	m.refuse(false)
}

func (m *machine) refuse(all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusing = all
}

// revokeCurrent is somebody who revokes the current key, and is not told of this service.
func (m *machine) revokeCurrent(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 || m.secret.CurrentKey().IsZero() {
		t.Skip("not this time")
	}
	m.revokeByHand()
}

func (m *machine) revokeByHand() {
	m.cut = true
	m.unsure()
	m.overseer.revokeByHand(m.secret)
}

// cutOff revokes the current key when a rotation on need is allowed, at other times than the one
// that the run needs, too.
func (m *machine) cutOff(t *rapid.T) {
	if m.secret.CurrentKey().IsZero() {
		t.Skip("blank")
	}
	m.letAllGo()
	m.rotate(t)
	m.Clock.Advance(rapid.SampledFrom([]time.Duration{time.Hour, 25 * time.Hour, 26 * time.Hour}).Draw(t,
		"after the rotation"))
	m.revokeByHand()
	m.sweepAll(t, false)
}

// lookAtSweep is a dry run, whatever state the secret is in: it changes nothing.
func (m *machine) lookAtSweep(t *rapid.T) {
	m.changesNothing(t, "a dry run", func() { _, _ = m.secret.Preview() })
}

// changesNothing demands that labels and keys are the same after do.
func (m *machine) changesNothing(t *rapid.T, what string, do func()) {
	labels, keys := m.secret.Labels(), m.Registry.Keys()
	do()
	sameKey := func(a, b quiltregistry.APIKey) bool { return a.ID == b.ID }
	if now := m.secret.Labels(); now != labels || !slices.EqualFunc(m.Registry.Keys(), keys, sameKey) {
		t.Fatalf("%s changed something: there are %d keys and\n%s\nthere were %d and\n%s", what, len(m.Registry.Keys()),
			now, len(keys), labels)
	}
}

// replica makes the secret a replica for a while. No step and no sweep changes anything; what
// stalled before may go on.
func (m *machine) replica(t *rapid.T) {
	m.place("eu-west-1")
	defer m.place("")
	event := m.anEvent(t)
	m.changesNothing(t, "a function of a replica", func() {
		_ = m.Process().Step(event)
		if m.sweepIn(m.Process()) == nil {
			t.Fatalf("a replica is swept")
		}
	})
	if len(m.adrift) > 0 && rapid.Bool().Draw(t, "resume") {
		m.letGo(0)
	}
}

func (m *machine) place(primaryRegion string) {
	if err := m.Secrets.SetPrimaryRegion(m.secret.ARN, primaryRegion); err != nil {
		m.t.Fatalf("%v", err)
	}
}

// expire lets a superseded key expire, at a registry that may refuse to revoke it then.
func (m *machine) expire(t *rapid.T) {
	stays := rapid.Bool().Draw(t, "expired keys are not revoked")
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.ExpiredNotRevoked = stays })
	needed := map[string]bool{}
	for _, stage := range []string{vault.Current, vault.Pending} {
		v, _ := m.secret.Snapshot().Holder(stage)
		needed[m.secret.KeyIn(v).Reveal()] = true
	}
	var ids []string
	for _, v := range m.secret.Snapshot().Versions {
		text := m.secret.KeyIn(v).Reveal()
		if key, known := m.Registry.KeyBySecret(text); known && !needed[text] {
			ids = append(ids, key.ID)
		}
	}
	if len(ids) == 0 || len(m.adrift) > 0 { // what is adrift may still promote a key that it saw log in
		t.Skip("no superseded key, or somebody may promote it")
	}
	var former time.Duration
	// it stays expired whatever the clock is set to
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { former, s.Skew = s.Skew, -mostSkew })
	m.Registry.Expire(rapid.SampledFrom(ids).Draw(t, "key"))
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.Skew = former })
}

// limits lets the registry shorten the names and lifetimes of new keys. A key whose name lost its
// end, and that a crash left behind, cannot be found: the rotation reports it.
func (m *machine) limits(t *rapid.T) {
	days := rapid.SampledFrom([]int{0, 60}).Draw(t, "days")
	name := rapid.SampledFrom([]int{0, 20}).Draw(t, "characters")
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.DaysLimit, s.NameLimit = days, name })
}

func (m *machine) tail() string {
	lines := strings.Split(m.Output.String(), "\n")
	var messages []string
	for _, line := range lines {
		if strings.Contains(line, `"message"`) {
			messages = append(messages, line)
		}
	}
	return strings.Join(messages[max(0, len(messages)-25):], "\n")
}

// rotate is RotateSecret, followed to its end, or to the end of the stuck one that a refusal goes
// on with.
func (m *machine) rotate(*rapid.T) {
	_ = m.secret.Rotate()
	_ = m.Secrets.WaitRotation(context.Background(), m.secret.ARN)
}

// begin starts a rotation whose steps other actions run.
func (m *machine) begin(t *rapid.T) {
	token := sandboxtest.Token(1000 + len(m.tokens))
	if _, err := m.Secrets.StartPending(m.secret.ARN, token); err != nil {
		t.Skip("a rotation is under way")
	}
	m.tokens = append(m.tokens, token)
}

// anEvent is for any token there ever was, a pending one most likely.
func (m *machine) anEvent(t *rapid.T) sandboxtest.Event {
	steps := []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish}
	event := sandboxtest.Event{SecretId: m.secret.ARN, Step: rapid.SampledFrom(steps).Draw(t, "step")}
	var pending, all []string
	for _, v := range m.secret.Snapshot().Versions {
		all = append(all, v.ID)
		if has(v, vault.Pending) {
			pending = append(pending, v.ID)
		}
	}
	if len(pending) > 0 && rapid.IntRange(0, 3).Draw(t, "any token") > 0 {
		all = pending
	}
	event.ClientRequestToken = rapid.SampledFrom(all).Draw(t, "token")
	return event
}

func (m *machine) replay(t *rapid.T) {
	event := m.anEvent(t)
	for range rapid.IntRange(1, 3).Draw(t, "times") {
		_ = m.Process().Step(event)
	}
	if event.Step == rotation.Finish {
		_ = m.Secrets.FinishPending(m.secret.ARN)
	}
}

func (m *machine) driftingStep(t *rapid.T) {
	event := m.anEvent(t)
	m.drift(t, func(p *sandboxtest.Process) error { return p.Step(event) })
}

// drift starts an invocation that stalls at one of its requests, or whose request lands later, and
// gives it up.
func (m *machine) drift(t *rapid.T, invoke func(*sandboxtest.Process) error) {
	plan := &stallPlan{
		at: rapid.IntRange(1, 8).Draw(t, "request"), lands: rapid.Bool().Draw(t, "lands later"),
		stalled: make(chan struct{}), release: make(chan struct{}), landed: make(chan struct{}),
	}
	process := m.NewProcess()
	m.mu.Lock()
	m.plans[process.ID] = plan
	m.mu.Unlock()
	d := &drifter{plan: plan, done: make(chan error, 1)}
	go func() { d.done <- invoke(process) }()
	select {
	case <-plan.stalled:
		m.adrift = append(m.adrift, d)
		if plan.lands {
			<-d.done
			d.done <- nil
		}
	case err := <-d.done:
		d.done <- err
	}
}

func (m *machine) resume(t *rapid.T) {
	if len(m.adrift) == 0 {
		t.Skip("nothing is adrift")
	}
	m.letGo(rapid.IntRange(0, len(m.adrift)-1).Draw(t, "which"))
}

func (m *machine) letGo(i int) {
	d := m.adrift[i]
	m.adrift = slices.Delete(m.adrift, i, i+1)
	close(d.plan.release)
	if d.plan.lands {
		<-d.plan.landed
	}
	<-d.done
}

func (m *machine) letAllGo() {
	for len(m.adrift) > 0 {
		m.letGo(0)
	}
}

func (m *machine) sweepTwice(t *rapid.T) {
	var both sync.WaitGroup
	for range 2 {
		p := m.NewProcess()
		both.Go(func() { _ = m.sweepIn(p) })
	}
	both.Wait()
}

// edit changes another field of the current value, as a person or a program would.
func (m *machine) edit(t *rapid.T) {
	v := m.secret.Holder(vault.Current)
	if m.secret.KeyIn(v).IsZero() {
		t.Skip("blank")
	}
	m.secret.Put(strings.Replace(v.Value, `"limit"`, `"limit`+fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "edit"))+`"`, 1))
}

// awaitRevocations keeps out the one gap that the design admits: a person moves AWSCURRENT to a
// version while the revocation of its key is on its way to the registry.
func (m *machine) awaitRevocations(t *rapid.T) {
	for _, d := range m.adrift {
		if d.plan.request == "apiKeyRevoke" {
			t.Skip("a revocation is on its way")
		}
	}
}

// rollback moves AWSCURRENT by hand to a version whose key logs in.
func (m *machine) rollback(t *rapid.T) {
	m.awaitRevocations(t)
	var targets []awssecrets.Version
	for _, v := range m.secret.Snapshot().Versions {
		if key := m.secret.KeyIn(v); len(v.Stages) > 0 && !key.IsZero() && m.secret.Valid(key) {
			targets = append(targets, v)
		}
	}
	if len(targets) == 0 {
		t.Skip("no version to go back to")
	}
	target := targets[rapid.IntRange(0, len(targets)-1).Draw(t, "target")]
	_ = m.secret.MoveLabel(vault.Current, target.ID, m.secret.Holder(vault.Current).ID)
	if rapid.Bool().Draw(t, "by hand") {
		m.overseer.movedByHand(m.secret.KeyIn(target).Reveal())
		return
	}
	for _, mark := range vault.NewVersion(target.ID, target.Stages).Marks { // as the command does
		_ = m.secret.MoveLabel(mark.Label(), "", target.ID)
	}
}

// moveLabel is a person who moves a key's label to a version that it does not belong on. No key may
// be revoked because of it. But after that only the name of a key leads to it, so what is left
// behind is not judged in the end.
func (m *machine) moveLabel(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "mischief") > 0 {
		t.Skip("not this time")
	}
	var labels, versions []string
	holder := map[string]string{}
	for _, v := range m.secret.Snapshot().Versions {
		if len(v.Stages) > 0 {
			versions = append(versions, v.ID)
		}
		for _, label := range v.Stages {
			if strings.HasPrefix(label, vault.KeyLabel("")) {
				labels, holder[label] = append(labels, label), v.ID
			}
		}
	}
	if len(labels) == 0 {
		t.Skip("no labels")
	}
	label := rapid.SampledFrom(labels).Draw(t, "label")
	m.mischief, m.moved = true, true
	m.unsure()
	_ = m.secret.MoveLabel(label, rapid.SampledFrom(versions).Draw(t, "to"), holder[label])
}

func (m *machine) unstick(t *rapid.T) {
	pending, ok := m.secret.Snapshot().Holder(vault.Pending)
	if !ok || has(pending, vault.Current) {
		t.Skip("nothing is stuck")
	}
	_ = m.secret.MoveLabel(vault.Pending, "", pending.ID)
}

// restore puts a key back where somebody overwrote it, or revoked it: a version's that still logs
// in, else a new one.
func (m *machine) restore() {
	if m.secret.Valid(m.secret.CurrentKey()) {
		return
	}
	for _, v := range m.secret.Snapshot().Versions {
		if key := m.secret.KeyIn(v); len(v.Stages) > 0 && !key.IsZero() && m.secret.Valid(key) &&
			!has(v, vault.Pending) {
			_ = m.secret.MoveLabel(vault.Current, v.ID, m.secret.Holder(vault.Current).ID)
			m.overseer.movedByHand(m.secret.KeyIn(v).Reveal())
			return
		}
	}
	m.freeLabels()
	m.Registry.SetActive(sandbox.UserEmail, true)
	m.secret.Bootstrap(sandbox.UserEmail)
}

func (m *machine) fillLabels(t *rapid.T) {
	current := m.secret.Holder(vault.Current).ID
	for i := range rapid.IntRange(1, 20).Draw(t, "labels") {
		if err := m.secret.MoveLabel(fmt.Sprintf("custom-%d", i), current, ""); err != nil {
			return // there already, or the quota is reached
		}
	}
}

func (m *machine) freeLabels() {
	for _, v := range m.secret.Snapshot().Versions {
		for _, label := range v.Stages {
			if strings.HasPrefix(label, "custom-") {
				_ = m.secret.MoveLabel(label, "", v.ID)
			}
		}
	}
}

func (m *machine) fail(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = n
}

// shortList lets the registry leave keys out of its list.
func (m *machine) shortList(t *rapid.T) {
	which := rapid.SampledFrom([]string{"none", "all", "current", "others"}).Draw(t, "omitted")
	current := m.secret.CurrentKey().Reveal()
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) {
		s.ListOmits = map[string]func(quiltregistry.APIKey) bool{
			"none":    nil,
			"all":     func(quiltregistry.APIKey) bool { return true },
			"current": func(k quiltregistry.APIKey) bool { return k.Secret == current },
			"others":  func(k quiltregistry.APIKey) bool { return k.Secret != current },
		}[which]
	})
}

const mostSkew = 5 * time.Hour

func (m *machine) skew(t *rapid.T) {
	hours := rapid.IntRange(-int(mostSkew.Hours()), int(mostSkew.Hours())).Draw(t, "hours")
	m.overseer.clockMayBeOff(2 * mostSkew)
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.Skew = time.Duration(hours) * time.Hour })
}

// tagGone is an update of the stack, which untags and then tags: the environment's more cautious
// values hold for a moment.
func (m *machine) tagGone(t *rapid.T) {
	m.secret.Tag(settings.TagHoldLimit, "")
	_, _ = m.secret.Sweep()
	m.secret.Tag(settings.TagHoldLimit, rapid.SampledFrom([]string{"2000h", "1000h"}).Draw(t, "limit"))
}

// useOldKey is a consumer that has not fetched the current key yet.
func (m *machine) useOldKey(t *rapid.T) {
	keys := m.Registry.Keys()
	if len(keys) == 0 {
		t.Skip("no keys")
	}
	key := rapid.SampledFrom(keys).Draw(t, "key")
	request, _ := http.NewRequest(http.MethodPost, m.RegistryURL+"/graphql",
		strings.NewReader(`{"query":"{me{email}}"}`))
	request.Header.Set("Authorization", "Bearer "+key.Secret)
	request.Header.Set("Content-Type", "application/json")
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			m.overseer.consumed(key.Secret)
		}
	}
}

// granularity lets the registry record use coarsely.
func (m *machine) granularity(t *rapid.T) {
	unit := rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.UseGranularity = unit })
}

// fingerprints lets the registry show fingerprints in another form.
func (m *machine) fingerprints(t *rapid.T) {
	form := rapid.SampledFrom([]string{"", quiltregistry.FingerprintStart, quiltregistry.FingerprintMasked,
		quiltregistry.FingerprintHash}).Draw(t, "form")
	m.formed = m.formed || form != ""
	m.unsure()
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.FingerprintForm = form })
}

func (m *machine) unsure() {
	if m.formed && m.moved {
		m.overseer.useIsUnsure()
	}
	if m.cut && m.moved {
		m.overseer.asksByLogin()
	}
}

// lockVersion lets Secrets Manager refuse the value of a version, or give it again.
func (m *machine) lockVersion(t *rapid.T) {
	v := rapid.SampledFrom(m.secret.Snapshot().Versions).Draw(t, "version")
	m.Secrets.SetUndecryptable(v.ID, rapid.SampledFrom([]string{"", "AccessDeniedException", "DecryptionFailure"}).Draw(
		t, "code"))
}

// handOver stores a key of another user, as recover --new-owner does: the keys that versions hold
// stay the former user's, and in the ledger.
func (m *machine) handOver(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 || m.secret.CurrentKey().IsZero() || m.handed != nil {
		t.Skip("not this time")
	}
	m.Registry.AddUser(quiltregistry.User{Name: "svc_other", Email: "svc-other@example.com",
		Password: "other-password"})
	_, secret := m.Registry.MintKey("svc-other@example.com", "by hand", 90)
	m.mischief, m.handed = true, map[string]bool{}
	m.overseer.asksByLogin()
	m.secret.Put(sandboxtest.ValueWith(secret))
	m.secret.Tag(settings.TagOwner, "svc-other@example.com")
	for _, v := range m.secret.Snapshot().Versions {
		for _, id := range vault.NewVersion(v.ID, v.Stages).Keys {
			m.handed[id] = true
		}
	}
}

// deactivate switches the former user off, for a while.
func (m *machine) deactivate(t *rapid.T) {
	current, _ := m.Registry.KeyBySecret(m.secret.CurrentKey().Reveal())
	pending, isPending := m.secret.Snapshot().Holder(vault.Pending)
	if current.Owner != "svc-other@example.com" || isPending && !has(pending, vault.Current) || len(m.adrift) > 0 {
		t.Skip("somebody needs the user")
	}
	m.Registry.SetActive(sandbox.UserEmail, false)
}

// lostFromLedger is a key of the former user that is valid again, and that no label names any more;
// "" if there is none.
func (m *machine) lostFromLedger() string {
	if m.moved {
		return ""
	}
	labels := m.secret.Labels()
	for _, k := range m.Registry.Keys() {
		if m.handed[k.ID] && k.Status == quiltregistry.StatusActive && !strings.Contains(labels, vault.KeyLabel(k.ID)) {
			return "promise 3: the key " + k.Fingerprint + " of the former user is valid, and in no ledger"
		}
	}
	return ""
}

// jump moves the clock. What is adrift ends before Lambda's limit.
func (m *machine) jump(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour,
		26 * time.Hour}).Draw(t, "jump")
	m.sinceLetGo += d
	if m.sinceLetGo >= longestRun {
		m.letAllGo()
		m.sinceLetGo = 0
	}
	m.Clock.Advance(d)
}

// settle ends all faults, lets the service retry, an operator unstick what is stuck, and the sweeps
// run: then nothing is left behind.
func (m *machine) settle() {
	m.letAllGo()
	m.fail(0)
	m.Registry.SetSwitches(func(s *quiltregistry.Switches) { *s = quiltregistry.Switches{} })
	m.Registry.SetActive(sandbox.UserEmail, true)
	for _, v := range m.secret.Snapshot().Versions {
		m.Secrets.SetUndecryptable(v.ID, "")
	}
	if lost := m.lostFromLedger(); lost != "" {
		m.t.Fatalf("%s\n%s\n%s", lost, m.secret.Labels(), m.tail())
	}
	m.freeLabels()
	m.restore()
	_ = m.Secrets.Retry(m.secret.ARN)
	_ = m.Secrets.WaitRotation(context.Background(), m.secret.ARN)
	if pending, ok := m.secret.Snapshot().Holder(vault.Pending); ok && !has(pending, vault.Current) {
		_ = m.secret.MoveLabel(vault.Pending, "", pending.ID)
	}
	var last error
	for range 6 {
		_, last = m.secret.Sweep()
		m.Clock.Advance(27 * time.Hour)
	}
	if verdict := m.overseer.verdict(); verdict != "" {
		m.t.Fatalf("%s\n%s\n%s", verdict, m.secret.Labels(), m.tail())
	}
	if last != nil && !m.mischief {
		m.t.Fatalf("the sweeps do not come to rest: %v\n%s", last, m.secret.Labels())
	}
	if left := m.overseer.leftBehind(m.secret); left != "" && !m.mischief {
		m.t.Fatalf("%s\n%s", left, m.tail())
	}
	if err := m.secret.Rotate(); err != nil && m.handed == nil {
		m.t.Fatalf("the secret cannot be rotated any more: %v\n%s", err, m.secret.Labels())
	}
}
