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

var concurrentSecrets = flag.Int("crowd", 1000, "the number of secrets that BenchmarkCrowd rotates at the same time")

// secretsOfUser is the number of secrets of each registry user in BenchmarkCrowd. A single user for
// all secrets would get the list of all keys for each secret. BenchmarkSweepOfManyKeys measures
// this.
const secretsOfUser = 10

// registryLimit is the number of requests per second that the registry accepts in BenchmarkCrowd.
// It answers other requests with 429. It is not documented whether the real registry has a limit.
const registryLimit = 300

// The timeouts of the functions in the deployment (infra/keyrotation).
const (
	rotateTimeout = 60 * time.Second
	revokeTimeout = 2 * time.Minute
)

// BenchmarkCrowd starts the rotations of all secrets of an account in the same second, and also
// their sweeps. The quotas of AWS apply, and the registry has a limit. The benchmark fails if a
// rotation needs a person or if a promise is broken.
func BenchmarkCrowd(b *testing.B) {
	for b.Loop() {
		newConcurrentRun(b, *concurrentSecrets).run()
	}
}

// A concurrentRun has many secrets in one sandbox. The functions run in this process, with the
// clients of the deployed functions. As in Lambda, each invocation has an environment that no other
// invocation uses at the same time.
type concurrentRun struct {
	*sandbox.Sandbox
	*testing.B
	arns   []string
	first  map[string]apikey.Key // the key of each secret before the rotation
	output sandboxtest.Output

	throttled, failed atomic.Int64

	mu     sync.Mutex
	minted []string // all keys that the registry created for the functions
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
				panic(err) // the benchmark sets the environment, so this cannot happen
			}
			parts.Log = telemetry.NewLogger(&c.output, common.LogLevel)
			parts.Metrics = telemetry.NewMetrics(&c.output, name, time.Now)
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

// hook applies the limits of the services. It counts the requests over the limits, and collects the
// keys that are created.
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

// isThrottled reports whether a request was refused because of a limit. Other requests are refused
// for another reason, for example because a version has no value yet.
func isThrottled(call *wire.Call) bool {
	return call.Status == http.StatusTooManyRequests || call.Status == http.StatusBadRequest &&
		bytes.Contains(call.Answer, []byte("ThrottlingException"))
}

// apiKey matches a complete key, but not a fingerprint.
var apiKey = regexp.MustCompile(`\bqk_\w{20,}`)

func (c *concurrentRun) addKeys(keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minted = append(c.minted, keys...)
}

// graceLeft is the time between the last sweep in the grace period and its end.
const graceLeft = 15 * time.Minute

// revokeAll runs sweeps until all superseded keys are revoked. It returns the number of hours that
// this took. It first checks that no key is revoked in its grace period.
func (c *concurrentRun) revokeAll() (hours int) {
	c.Helper()
	began := c.Clock.Now()
	c.sweepAll() // marks the superseded versions
	c.Clock.Advance(settings.DefaultGrace - graceLeft)
	c.sweepAll()
	if c.Clock.Now().Sub(began) >= settings.DefaultGrace {
		c.Fatal("the grace period ended during the sweeps: the machine is too busy for this benchmark")
	}
	c.checkFirstKeysValid()
	c.Clock.Advance(graceLeft + settings.DefaultQuiet)
	for hours = 0; c.extraKeys() > 0 && hours < 6; hours++ {
		c.sweepAll() // revokes keys; throttled sweeps are repeated an hour later
		c.Clock.Advance(time.Hour)
	}
	return hours
}

func (c *concurrentRun) checkFirstKeysValid() {
	c.Helper()
	for arn, key := range c.first {
		if !c.Registry.Valid(key.Reveal()) {
			c.Fatalf("the first key of %s was revoked in its grace period", arn)
		}
	}
}

// rotateAll starts the rotations of all secrets in the same second, and again in the next window if
// some failed. It returns the number of windows.
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
		c.Logf("window %d: %d rotations are stuck, for example: %s", windows, len(stuck), stuck[0])
		c.Clock.Advance(4 * time.Hour) // the shortest possible schedule
	}
	c.Fatal("some rotations failed in all windows, so they need a person")
	return 0
}

// sweepAll starts a sweep of each secret in the same second. Lambda retries an event that failed.
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

// extraKeys returns the number of keys at the registry that are not current.
func (c *concurrentRun) extraKeys() int { return len(c.Registry.Keys()) - len(c.arns) }

// watchCurrentKeys checks until end is called that the current keys are valid.
func (c *concurrentRun) watchCurrentKeys() (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond): // leave processor time for the functions
			}
			arn := c.arns[i%len(c.arns)]
			if key := c.currentKey(arn); !c.Registry.Valid(key.Reveal()) && key.Equal(c.currentKey(arn)) {
				c.Errorf("the key in AWSCURRENT of %s is not valid", arn)
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
			c.Errorf("%s holds the key %s, want a new key that is valid", arn, key)
		}
		current[key.Reveal()] = true
	}
	for _, k := range c.Registry.Keys() {
		if !current[k.Secret] {
			c.Errorf("the key %s (%s) was not revoked", k.ID, k.Name)
		}
	}
	c.checkSecrecy(current)
}

// leakLength is the number of characters of a key that must not be in the output. Fewer characters
// could be there by chance.
const leakLength = 10

// checkSecrecy checks that the functions printed no part of a key. It looks for the first keys and
// all created keys, with the orphans.
func (c *concurrentRun) checkSecrecy(current map[string]bool) {
	c.Helper()
	secret := map[string]bool{} // all parts of all keys
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
		c.Fatalf("the creation of %d current keys was not recorded", len(current))
	}
	output := c.output.String()
	for i := 0; i+leakLength <= len(output); i++ {
		if secret[output[i:i+leakLength]] {
			c.Fatal("the functions printed a part of a key")
		}
	}
}
