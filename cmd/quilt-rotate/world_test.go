package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/demo/scene"
	"quilt-rotate/internal/sandbox/awsecs"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// A world is a script's sandbox, with the real functions in it.
type world struct {
	*scene.Scene

	mu       sync.Mutex
	requests []sandboxtest.Request
	faults   []wire.Hook
	keys     map[string]string // secrets of keys, by the names that the script gave them
	gates    map[string]*gate  // by the operation that stalls
}

// A gate holds back the requests for an operation.
type gate struct {
	arrived, open chan struct{}
	first         sync.Once
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) close() {
	w.mu.Lock()
	for operation := range w.gates {
		w.pass(operation)
	}
	w.mu.Unlock()
	if w.Scene != nil {
		_ = w.Scene.Close()
	}
}

// canaries are what went over the wire and must not be in any output. What the sandbox has for everybody is left out: it is no secret.
func (w *world) canaries() *sandboxtest.Canaries {
	w.mu.Lock()
	defer w.mu.Unlock()
	canaries := sandboxtest.NewCanaries()
	canaries.AddFrom(w.requests)
	for _, secret := range w.keys {
		canaries.Add("a key", secret)
	}
	return canaries
}

// observe sees every request, and puts the script's faults in front of the services.
func (w *world) observe(c *wire.Call, next func()) {
	w.mu.Lock()
	faults := w.faults
	w.mu.Unlock()
	w.mu.Lock()
	held := w.gates[c.Operation]
	w.mu.Unlock()
	if held != nil {
		held.first.Do(func() { close(held.arrived) })
		<-held.open
	}
	for _, fault := range faults {
		inner := next
		next = func() { fault(c, inner) }
	}
	next()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, sandboxtest.Observed(c))
}

// worldCommands shape the world of a script. Each is described at its method.
var worldCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"sandbox":  (*world).start,
	"secret":   (*world).secret,
	"advance":  (*world).advance,
	"key":      (*world).key,
	"alive":    (*world).alive,
	"expire":   (*world).expire,
	"drop":     (*world).drop,
	"edit":     (*world).edit,
	"stick":    (*world).stick,
	"rotated":  (*world).rotated,
	"swept":    (*world).swept,
	"registry": (*world).switches,
	"refuse":   (*world).refuse,
	"stall":    (*world).stall,
	"arrived":  (*world).arrived,
	"service":  (*world).service,
	"shared":   (*world).shared,
	"stray":    (*world).stray,
	"held":     (*world).held,
	"looked":   (*world).looked,

	"pending-too": (*world).pendingToo,
}

// sandbox [NAME=VALUE...]: starts the sandbox, and points the script's environment to it. The variables are the revoke function's.
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) {
	environment := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("sandbox takes NAME=VALUE, not %s", arg)
		}
		environment[name] = value
	}
	var err error
	w.Scene, err = scene.Open(scene.Options{Functions: scene.In(folder), RevokeEnvironment: environment})
	ts.Check(err)
	w.Hooks.Set(w.observe)
	for _, variable := range w.Exports() {
		if variable[0] != settings.EnvRegistryURL { // the commands are to find it by themselves
			ts.Setenv(variable[0], variable[1])
		}
	}
	ts.Setenv("REGISTRY", w.RegistryURL)
}

// secret NAME [blank|plain|bare]: a secret with rotation on, as a deployment leaves it, and its first key in it. blank: it waits for its first key. plain:
// the value is the key alone. bare: no tags and no rotation, as before anybody cared for it.
func (w *world) secret(ts *testscript.TestScript, _ bool, args []string) {
	name, kind := args[0], ""
	if len(args) > 1 {
		kind = args[1]
	}
	value, tags := "{}", []types.Tag{
		{Key: aws.String(settings.TagKeyName), Value: aws.String("pipeline-prod")},
		{Key: aws.String(settings.TagGrace), Value: aws.String("24h")},
	}
	if kind != "blank" {
		made, err := w.MakeKey(context.Background(), "first-prod-2026q4")
		ts.Check(err)
		w.keep(name, made.Secret.Reveal())
		value = w.Value(made.Secret)
		if kind == "plain" {
			value = made.Secret.Reveal()
		}
	}
	if kind == "bare" {
		tags = nil
	}
	arn, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, Tags: tags})
	ts.Check(err)
	if kind != "bare" {
		ts.Check(w.ConfigureRotation(context.Background(), arn))
	}
}

func (w *world) keep(name, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[name] = secret
}

// advance 25h: the sandbox's clock goes on.
func (w *world) advance(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	w.Clock.Advance(d)
}

// current is the key in AWSCURRENT's value.
func (w *world) current(ts *testscript.TestScript, secret string) quiltregistry.APIKey {
	_, value, err := w.Current(secret)
	ts.Check(err)
	key, ok := w.Registry.KeyBySecret(value.Key().Reveal())
	if !ok {
		ts.Fatalf("the registry does not know the current key of %s", secret)
	}
	return key
}

// key VARIABLE SECRET: puts the id of the secret's current key into the variable.
func (w *world) key(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[1])
	w.keep(key.ID, key.Secret)
	ts.Setenv(args[0], key.ID)
}

// alive ID...: the keys log in. ! alive ID...: none does.
func (w *world) alive(ts *testscript.TestScript, neg bool, args []string) {
	for _, id := range args {
		w.mu.Lock()
		secret, known := w.keys[id]
		w.mu.Unlock()
		if !known {
			ts.Fatalf("the script has not looked at the key %s before", id)
		}
		if w.Registry.Alive(secret) == neg {
			ts.Fatalf("the key %s: logging in is %t", id, neg)
		}
	}
}

// expire SECRET: its current key expires now.
func (w *world) expire(ts *testscript.TestScript, _ bool, args []string) {
	w.Registry.Expire(w.current(ts, args[0]).ID)
}

// drop SECRET: its current key is deleted at the registry, as by a hand.
func (w *world) drop(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[0])
	w.keep(key.ID, key.Secret)
	w.Registry.Delete(key.ID)
}

// edit SECRET VALUE: somebody writes another value, past everything. KEY in it stands for the current key.
func (w *world) edit(ts *testscript.TestScript, _ bool, args []string) {
	value := args[1]
	if strings.Contains(value, "KEY") {
		value = strings.ReplaceAll(value, "KEY", w.current(ts, args[0]).Secret)
	}
	_, err := w.SecretsManager().PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// stick SECRET: a rotation that never goes on: AWSPENDING on a version without a value.
func (w *world) stick(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Secrets.StartPending(args[0], uuid.NewString())
	ts.Check(err)
}

// rotated SECRET: a rotation, past the command.
func (w *world) rotated(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Rotate(context.Background(), args[0])
	ts.Check(err)
}

// swept SECRET: a sweep, past the command.
func (w *world) swept(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Sweep(context.Background(), args[0], false)
	ts.Check(err)
}

// registry SWITCH [VALUE]: the registry behaves in another way from now on.
func (w *world) switches(ts *testscript.TestScript, _ bool, args []string) {
	value := ""
	if len(args) > 1 {
		value = args[1]
	}
	set, known := map[string]func(*quiltregistry.Switches){
		"sso-only":             func(s *quiltregistry.Switches) { s.SSOOnly = true },
		"keys-may-not-manage":  func(s *quiltregistry.Switches) { s.KeysMayNotManage = value },
		"platform":             func(s *quiltregistry.Switches) { s.PlatformVersion = value },
		"use-not-recorded":     func(s *quiltregistry.Switches) { s.UseNotRecorded = true },
		"refuse-new-keys":      func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 1000 },
		"accept-new-keys":      func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 0 },
		"null-me":              func(s *quiltregistry.Switches) { s.NullMe = true },
		"revoked-keys-go-on":   func(s *quiltregistry.Switches) { s.RevokeLingers = 1000 },
		"max-keys":             func(s *quiltregistry.Switches) { s.MaxKeysPerUser = atoi(ts, value) },
		"same-fingerprints-on": func(s *quiltregistry.Switches) { s.DuplicateFingerprints = true },
	}[args[0]]
	if !known {
		ts.Fatalf("there is no switch %s", args[0])
	}
	w.Registry.SetSwitches(set)
}

func atoi(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// refuse OPERATION STATUS CODE [MESSAGE]: AWS, or the registry, refuses an operation from now on; * stands for every one of AWS's. ! refuse: no more.
func (w *world) refuse(ts *testscript.TestScript, neg bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = nil
	if neg {
		return
	}
	message := "refused by the script"
	if len(args) > 3 {
		message = args[3]
	}
	answer := sandboxtest.AWSError(atoi(ts, args[1]), args[2], message)
	if args[0] == "*" {
		w.faults = []wire.Hook{func(c *wire.Call, next func()) {
			if c.Service == "registry" {
				next()
				return
			}
			answer(c, next)
		}}
		return
	}
	w.faults = []wire.Hook{sandboxtest.On(answer, args[0])}
}

// stall OPERATION: requests for it wait from now on. ! stall OPERATION: they go on.
func (w *world) stall(ts *testscript.TestScript, neg bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if neg {
		w.pass(args[0])
		return
	}
	if w.gates == nil {
		w.gates = map[string]*gate{}
	}
	w.gates[args[0]] = &gate{arrived: make(chan struct{}), open: make(chan struct{})}
}

// pass lets an operation's requests go on; called with mu held.
func (w *world) pass(operation string) {
	if held := w.gates[operation]; held != nil {
		close(held.open)
		delete(w.gates, operation)
	}
}

// arrived OPERATION: waits until a request for the operation stalls.
func (w *world) arrived(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	held := w.gates[args[0]]
	w.mu.Unlock()
	if held == nil {
		ts.Fatalf("%s does not stall", args[0])
	}
	select {
	case <-held.arrived:
	case <-time.After(time.Minute):
		ts.Fatalf("no request for %s came", args[0])
	}
}

// service CLUSTER NAME SECRET [stuck|failing]: an ECS service whose tasks read the secret, and which the secret's tag names.
func (w *world) service(ts *testscript.TestScript, _ bool, args []string) {
	w.Services.AddService(args[0], args[1], nil)
	if len(args) > 3 {
		rollout := map[string]awsecs.Rollout{"stuck": {Stuck: true}, "failing": {Failure: "tasks failed to start"}}[args[3]]
		ts.Check(w.Services.SetRollout(args[0], args[1], rollout))
	}
	tag := types.Tag{Key: aws.String(settings.TagRestart), Value: aws.String(args[0] + "/" + args[1])}
	_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{SecretId: &args[2], Tags: []types.Tag{tag}})
	ts.Check(err)
}

// shared SECRET OTHER: another secret in care holds the current key of the first, as after a copy by hand.
func (w *world) shared(ts *testscript.TestScript, _ bool, args []string) {
	value := w.current(ts, args[0]).Secret
	tags := []types.Tag{{Key: aws.String(settings.TagGrace), Value: aws.String("24h")}}
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[1], SecretString: &value, Tags: tags})
	ts.Check(err)
}

// stray VARIABLE NAME: somebody makes a key by hand that no secret holds; its id goes into the variable.
func (w *world) stray(ts *testscript.TestScript, _ bool, args []string) {
	made, err := w.MakeKey(context.Background(), args[1])
	ts.Check(err)
	w.keep(made.ID, made.Secret.Reveal())
	ts.Setenv(args[0], made.ID)
}

// held SECRET PREFIX: a version of the secret has a label that begins so. ! held: none has.
func (w *world) held(ts *testscript.TestScript, neg bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[0])
	ts.Check(err)
	for _, v := range shot.Versions {
		for _, stage := range v.Stages {
			if !strings.HasPrefix(stage, args[1]) {
				continue
			}
			if neg {
				ts.Fatalf("the version %s has the label %s", v.ID, stage)
			}
			return
		}
	}
	if !neg {
		ts.Fatalf("no version of %s has a label %s", args[0], args[1])
	}
}

// pending-too SECRET: the current version has AWSPENDING too, as for a moment at the end of a rotation.
func (w *world) pendingToo(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &args[0], VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &id,
	})
	ts.Check(err)
}

// looked: waits until `status --watch` has looked, and told of it: until it looks once more.
func (w *world) looked(ts *testscript.TestScript, _ bool, _ []string) {
	invocations := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return sandboxtest.Count(w.requests, "Invoke")
	}
	poll, tooLong, enough := time.NewTicker(10*time.Millisecond), time.After(time.Minute), invocations()+2
	defer poll.Stop()
	for invocations() < enough {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("nobody looks")
		}
	}
}
