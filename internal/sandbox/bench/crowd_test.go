package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/functions/start"
	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/telemetry"
	"quilt-rotate/internal/vault"
)

var concurrentSecrets = flag.Int("crowd", 1000, "secrets that BenchmarkCrowd rotates at once")

// secretsOfUser is how many secrets a user of the registry has in BenchmarkCrowd. One user with all
// of them would be sent all keys for each of them: what that costs is BenchmarkSweepOfManyKeys's
// business.
const secretsOfUser = 10

// registryLimit is what the registry takes in BenchmarkCrowd, in requests a second, before it
// answers 429: that it has a limit, or which, is not documented.
const registryLimit = 300

// Of the deployment (infra/keyrotation).
const (
	rotateTimeout = 60 * time.Second
	revokeTimeout = 2 * time.Minute
)

// BenchmarkCrowd rotates all secrets of an account in the same second, and sweeps them all in the
// same second each hour, with AWS's quotas on and a registry that refuses what is too much. It
// fails where a person would be needed, or a promise was broken.
func BenchmarkCrowd(b *testing.B) {
	for b.Loop() {
		newConcurrentRun(b, *concurrentSecrets).run()
	}
}

// A crowd is many secrets with one sandbox, and functions in this process as Lambda would run them:
// each invocation in an environment that serves no other at the same time, with the clients that
// the deployed functions have.
type concurrentRun struct {
	*sandbox.Sandbox
	*testing.B
	arns   []string
	first  map[string]apikey.Key // of each secret, the key before the rotation
	output sandboxtest.Output

	throttled, failed atomic.Int64

	mu     sync.Mutex
	minted []string // all keys that the registry made for the functions
}

func newConcurrentRun(b *testing.B, size int) *concurrentRun {
	b.Helper()
	s, err := sandbox.Start(sandbox.Options{RetryDelay: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	c := &concurrentRun{Sandbox: s, B: b, first: map[string]apikey.Key{}}
	for _, variable := range s.Exports() {
		b.Setenv(variable[0], variable[1])
	}
	c.deploy()
	for i := range size {
		user := quiltregistry.User{Name: fmt.Sprintf("svc_%d", i/secretsOfUser),
			Email: fmt.Sprintf("svc-%d@example.com", i/secretsOfUser)}
		if i%secretsOfUser == 0 {
			s.Registry.AddUser(user)
		}
		arn := newSecret(b, s, fmt.Sprintf("crowd/%04d", i), user.Email)
		_, err := s.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
			SecretId: &arn, RotationLambdaARN: aws.String(sandboxtest.FunctionARN(sandbox.RotateFunction)),
			RotateImmediately: aws.Bool(false),
			RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
		})
		if err == nil {
			err = s.Secrets.WaitRotation(context.Background(), arn)
		}
		if err != nil {
			b.Fatalf("turn on the rotation of %s: %v", arn, err)
		}
		c.arns, c.first[arn] = append(c.arns, arn), c.currentKey(arn)
	}
	return c
}

func (c *concurrentRun) deploy() {
	c.Helper()
	common := settings.Common{RegistryURL: c.RegistryURL}
	add := func(name string, timeout time.Duration, newHandler func(start.Parts) handler) {
		environments := &sync.Pool{New: func() any {
			parts, err := start.NewParts(context.Background(), common)
			if err != nil {
				panic(err) // the environment is this benchmark's own
			}
			parts.Log, parts.Metrics = telemetry.NewLogger(&c.output, common.LogLevel), telemetry.NewMetrics(&c.output,
				name, time.Now)
			return newHandler(parts)
		}}
		_, err := c.Lambda.Add(awslambda.Config{Name: name, Timeout: timeout,
			Handler: handlerFunc(func(ctx context.Context, payload []byte) ([]byte, error) {
				environment := environments.Get().(handler)
				defer environments.Put(environment)
				answer, err := environment.Invoke(ctx, payload)
				if err != nil {
					c.failed.Add(1)
				}
				return answer, err
			})})
		if err != nil {
			c.Fatal(err)
		}
	}
	add(sandbox.RotateFunction, rotateTimeout, func(p start.Parts) handler {
		return &rotation.Handler{Log: p.Log, Metrics: p.Metrics, Rotator: &rotation.Rotator{
			Vault: p.Vault, Registry: p.Registry, Settings: settings.Rotate{Common: common, ExpiresInDays: 90},
			Log: p.Log,
		}}
	})
	add(sandbox.RevokeFunction, revokeTimeout, func(p start.Parts) handler {
		return &revocation.Handler{Log: p.Log, Metrics: p.Metrics, Sweeper: &revocation.Sweeper{
			Vault: p.Vault, Registry: p.Registry, Log: p.Log,
			Settings: settings.Revoke{Common: common, Grace: settings.DefaultGrace, Quiet: settings.DefaultQuiet,
				OrphanAge: settings.DefaultOrphanAge},
		}}
	})
}

type handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

type handlerFunc func(ctx context.Context, payload []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func (c *concurrentRun) run() {
	c.Helper()
	defer c.Hooks.Set(c.hook())()
	end := c.watchCurrentKeys()

	began := time.Now()
	windows := c.rotateAll()
	rotated := time.Since(began)
	began = time.Now()
	hours := c.revokeAll()
	swept := time.Since(began)

	end()
	c.checkPromises()
	c.ReportMetric(0, "ns/op")
	c.ReportMetric(rotated.Seconds(), "s-rotate")
	c.ReportMetric(float64(2*len(c.arns))/50, "s-rotate-by-quota")
	c.ReportMetric(float64(windows), "windows")
	c.ReportMetric(swept.Seconds(), "s-sweeps")
	c.ReportMetric(float64(hours), "hours-of-sweeps")
	c.ReportMetric(float64(c.throttled.Load()), "throttled-requests")
	c.ReportMetric(float64(c.failed.Load()), "failed-invocations")
	c.ReportMetric(float64(len(c.minted)-len(c.arns)), "orphans-created")
}

// hook holds the services to their limits, counts what they refuse for that, and keeps the keys
// that are made.
func (c *concurrentRun) hook() wire.Hook {
	throttle := sandbox.Throttled(sandbox.ServiceLimits(registryLimit))
	return func(call *wire.Call, next func()) {
		throttle(call, next)
		switch {
		case isThrottled(call):
			c.throttled.Add(1)
		case call.Operation == "apiKeyCreate":
			c.addKeys(apiKey.FindAllString(string(call.Answer), -1))
		}
	}
}

// tooMany tells a request that was refused for a limit from one that was refused for what it asks,
// such as the value of a version that has none yet.
func isThrottled(call *wire.Call) bool {
	return call.Status == http.StatusTooManyRequests || call.Status == http.StatusBadRequest &&
		bytes.Contains(call.Answer, []byte("ThrottlingException"))
}

// apiKey is a whole key, not its fingerprint.
var apiKey = regexp.MustCompile(`\bqk_\w{20,}`)

func (c *concurrentRun) addKeys(keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minted = append(c.minted, keys...)
}

// graceLeft is how long before the end of the grace period the last sweep within it starts.
const graceLeft = 15 * time.Minute

// revokeAll lets the sweeps do what they do to superseded keys, first that they leave them alone.
// It tells in how many hours they were done.
func (c *concurrentRun) revokeAll() (hours int) {
	c.Helper()
	began := c.Clock.Now()
	c.sweepAll() // marks what is superseded
	c.Clock.Advance(settings.DefaultGrace - graceLeft)
	c.sweepAll()
	if c.Clock.Now().Sub(began) >= settings.DefaultGrace {
		c.Fatal("the sweeps took so long that the grace period ended: the machine is too busy to measure on")
	}
	c.checkFirstKeysValid()
	c.Clock.Advance(graceLeft + settings.DefaultQuiet)
	for hours = 0; c.extraKeys() > 0 && hours < 6; hours++ {
		c.sweepAll() // revokes, and what throttling left over an hour later
		c.Clock.Advance(time.Hour)
	}
	return hours
}

func (c *concurrentRun) checkFirstKeysValid() {
	c.Helper()
	for arn, key := range c.first {
		if !c.Registry.Valid(key.Reveal()) {
			c.Fatalf("the first key of %s is dead within its grace period", arn)
		}
	}
}

// rotateAll lets the service rotate every secret in one second, and again in the next window where
// it gave one up. It tells how many windows it took.
func (c *concurrentRun) rotateAll() (windows int) {
	c.Helper()
	c.Clock.Advance(31 * 24 * time.Hour)
	for windows = 1; windows <= 3; windows++ {
		c.Secrets.RotateDue()
		var stuck []string
		for _, arn := range c.arns {
			if err := c.Secrets.WaitRotation(context.Background(), arn); err != nil {
				stuck = append(stuck, err.Error())
			}
		}
		if len(stuck) == 0 {
			return windows
		}
		c.Logf("window %d: %d rotations are stuck, as %s", windows, len(stuck), stuck[0])
		c.Clock.Advance(4 * time.Hour) // the shortest schedule that there is
	}
	c.Fatal("some rotations need a person")
	return 0
}

// sweepAll lets the schedule of each secret start a sweep in the same second. Lambda tries an event
// again that failed.
func (c *concurrentRun) sweepAll() {
	c.Helper()
	for _, arn := range c.arns {
		payload, err := json.Marshal(map[string]string{"secretId": arn})
		if err != nil {
			c.Fatal(err)
		}
		if _, err := c.Lambda.InvokeEvent(sandboxtest.FunctionARN(sandbox.RevokeFunction), payload); err != nil {
			c.Fatal(err)
		}
	}
	if err := c.Lambda.WaitIdle(context.Background()); err != nil {
		c.Fatal(err)
	}
}

// left is how many keys are at the registry beside the current ones.
func (c *concurrentRun) extraKeys() int { return len(c.Registry.Keys()) - len(c.arns) }

// watch looks all the time whether the key that a consumer would read works.
func (c *concurrentRun) watchCurrentKeys() (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond): // leaves the machine to the functions
			}
			arn := c.arns[i%len(c.arns)]
			if key := c.currentKey(arn); !c.Registry.Valid(key.Reveal()) && key.Equal(c.currentKey(arn)) {
				c.Errorf("the key in AWSCURRENT of %s does not work", arn)
				return
			}
		}
	}()
	end = sync.OnceFunc(func() { close(done); <-ended })
	c.Cleanup(end)
	return end
}

func (c *concurrentRun) currentKey(arn string) apikey.Key {
	snapshot, err := c.Secrets.Snapshot(arn)
	if err != nil {
		c.Errorf("%v", err)
		return apikey.Key{}
	}
	current, _ := snapshot.Holder(vault.Current)
	value, err := apikey.ParseValue(redact.New(current.Value), "")
	if err != nil {
		c.Errorf("the current value of %s: %v", arn, err)
	}
	return value.Key()
}

func (c *concurrentRun) checkPromises() {
	c.Helper()
	current := map[string]bool{}
	for _, arn := range c.arns {
		key := c.currentKey(arn)
		if key.Equal(c.first[arn]) || !c.Registry.Valid(key.Reveal()) {
			c.Errorf("%s holds the key %s, which is its first or does not work", arn, key)
		}
		current[key.Reveal()] = true
	}
	for _, k := range c.Registry.Keys() {
		if !current[k.Secret] {
			c.Errorf("the key %s (%s) is left behind", k.ID, k.Name)
		}
	}
	c.checkSecrecy(current)
}

// leakLength is how many characters in a row give a key away; fewer would be found by chance, among
// so many keys and lines.
const leakLength = 10

// checkSecrecy looks in all that the functions printed for parts of keys: those that were there
// before, and all that were made, the orphans among them.
func (c *concurrentRun) checkSecrecy(current map[string]bool) {
	c.Helper()
	secret := map[string]bool{} // every part of every key
	add := func(key string) {
		delete(current, key)
		for i := len("qk_"); i+leakLength <= len(key); i++ {
			secret[key[i:i+leakLength]] = true
		}
	}
	for _, key := range c.first {
		add(key.Reveal())
	}
	for _, key := range c.minted {
		add(key)
	}
	if len(current) > 0 {
		c.Fatalf("%d of the current keys were not seen when they were made, so that it is not known what to look for",
			len(current))
	}
	output := c.output.String()
	for i := 0; i+leakLength <= len(output); i++ {
		if secret[output[i:i+leakLength]] {
			c.Fatal("the functions printed part of a key")
		}
	}
}
