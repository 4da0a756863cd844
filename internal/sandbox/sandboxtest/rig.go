// Package sandboxtest runs the two functions in a sandbox, for tests: in this process, with
// complete requests and responses, cold or warm as in Lambda. A test can kill a process in the
// middle of a request.
package sandboxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/fleet"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/telemetry"
	"quilt-rotate/internal/vault"
)

// T is the part of a test that the rig needs. [testing.TB] and [rapid.T] implement it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
}

// A Rig is a sandbox with both functions deployed in this process.
type Rig struct {
	T
	*sandbox.Sandbox
	Hands  *secretsmanager.Client // the client of the test, which acts as a person or another program
	Output *Output                // the logs and metrics of the functions

	RotateEnv settings.Rotate
	RevokeEnv settings.Revoke
	Timeout   time.Duration // of one invocation; the default only ends an invocation that hangs

	// Settings of processes that start later.
	NewKeyWait time.Duration // see [rotation.Rotator]
	MaxLag     time.Duration // how long to wait for an outdated read; the default is too short for a second read

	processes atomic.Int64
	started   sync.Map                // all processes, by id
	warm      atomic.Pointer[Process] // nil: the next invocation starts a process
	cold      atomic.Bool             // every invocation starts a process

	interceptions interceptions
}

// New starts a sandbox and deploys the functions. The waits of the functions are short, so that
// expected failures come soon.
func New(t T) *Rig {
	t.Helper()
	return NewPersistent(t, 1)
}

// NewPersistent starts a sandbox whose Secrets Manager tries a whole rotation the given number of
// times.
func NewPersistent(t T, rotationTries int) *Rig {
	t.Helper()
	return start(t, sandbox.Options{RotationTries: rotationTries, RetryDelay: time.Millisecond})
}

func start(t T, options sandbox.Options) *Rig {
	t.Helper()
	s, err := sandbox.Start(options)
	if err != nil {
		t.Fatalf("start the sandbox: %v", err)
	}
	r := &Rig{
		T: t, Sandbox: s, Output: &Output{}, Timeout: 10 * time.Minute, NewKeyWait: 20 * time.Millisecond,
		MaxLag:    30 * time.Millisecond,
		RotateEnv: settings.Rotate{Common: settings.Common{RegistryURL: s.RegistryURL}, ExpiresInDays: 90},
		RevokeEnv: settings.Revoke{Common: settings.Common{RegistryURL: s.RegistryURL}, Grace: 24 * time.Hour,
			Quiet: 25 * time.Hour, OrphanAge: time.Hour},
	}
	r.Hands = s.SecretsManager(func(o *secretsmanager.Options) {
		o.HTTPClient = &http.Client{Transport: s}
		o.Retryer = quickRetries()
	})
	t.Cleanup(func() { _ = s.Close() })
	r.deploy(sandbox.RotateFunction, func(p *Process) handler { return p.rotate })
	r.deploy(sandbox.RevokeFunction, func(p *Process) handler { return p.revoke })
	return r
}

type handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

type handlerFunc func(ctx context.Context, payload []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func (r *Rig) deploy(name string, function func(*Process) handler) {
	deployed := map[string]string{settings.EnvRegistryURL: r.RegistryURL} // for commands that read the deployment
	tags := map[string]string{}
	if name == sandbox.RotateFunction {
		tags[settings.TagRevokeFunction] = sandbox.RevokeFunction
	}
	_, err := r.Lambda.Add(awslambda.Config{Name: name, Timeout: 10 * time.Minute, Environment: deployed, Tags: tags,
		Handler: handlerFunc(func(ctx context.Context, payload []byte) ([]byte, error) {
			return r.Process().run(ctx, function, payload)
		})})
	if err != nil {
		r.Fatalf("deploy %s: %v", name, err)
	}
}

// Cold(true) makes every invocation start a new process. Cold(false) reuses a warm process.
func (r *Rig) Cold(cold bool) { r.cold.Store(cold) }

// Process returns the process of the next invocation.
func (r *Rig) Process() *Process {
	if p := r.warm.Load(); p != nil && !p.dead.Load() && !r.cold.Load() {
		return p
	}
	p := r.NewProcess()
	r.warm.Store(p)
	return p
}

// Abandon makes the next invocation start a new process while the former process continues, as in
// Lambda when a caller gives up.
func (r *Rig) Abandon() { r.warm.Store(nil) }

// A Process is one execution environment of the functions. It has its own clients and shares only
// the network with other processes.
type Process struct {
	ID     string
	rig    *Rig
	rotate *rotation.Handler
	revoke *fleet.Handler
	dead   atomic.Bool
	ctx    context.Context
	kill   context.CancelFunc
}

// processHeader is the request header with the id of the process that sent the request.
const processHeader = "X-Sandbox-Process"

// NewProcess starts a process.
func (r *Rig) NewProcess() *Process {
	p := &Process{ID: fmt.Sprint(r.processes.Add(1)), rig: r}
	p.ctx, p.kill = context.WithCancel(context.Background())
	client := r.SecretsManager(func(o *secretsmanager.Options) {
		o.HTTPClient = &http.Client{Transport: p}
		o.Retryer = quickRetries()
	})
	registry, err := quilt.NewClient(r.RegistryURL, quilt.Options{Transport: p, RetryInterval: time.Millisecond,
		AttemptTimeout: 5 * time.Minute})
	if err != nil {
		r.Fatalf("make the registry client: %v", err)
	}
	v := vault.New(client).WithMaxLag(r.MaxLag).WithPatience(time.Millisecond)
	log := telemetry.NewLogger(r.Output, r.RotateEnv.LogLevel)
	metrics := telemetry.NewMetrics(r.Output, "sandbox", time.Now)
	p.rotate = &rotation.Handler{Log: log, Metrics: metrics, Rotator: &rotation.Rotator{
		Vault: v, Registry: registry, Settings: r.RotateEnv, Log: log, NewKeyWait: r.NewKeyWait,
	}}
	p.revoke = &fleet.Handler{
		Sweeps: &revocation.Handler{Log: log, Metrics: metrics, Sweeper: &revocation.Sweeper{
			Vault: v, Registry: registry, Settings: r.RevokeEnv, Log: log, RefusalWait: 20 * time.Millisecond,
			RetryInterval: time.Millisecond,
		}},
		Runner: &fleet.Runner{Vault: v, Settings: r.RevokeEnv, Log: log},
	}
	r.started.Store(p.ID, p)
	return p
}

// KillCaller kills the process that sent a request.
func (r *Rig) KillCaller(c *wire.Call) {
	if p, ok := r.started.Load(ProcessOf(c)); ok {
		p.(*Process).Kill()
	}
}

// RoundTrip is the network of the process. A killed process sends nothing.
func (p *Process) RoundTrip(request *http.Request) (*http.Response, error) {
	if p.dead.Load() {
		return nil, context.Canceled
	}
	request = request.Clone(request.Context())
	request.Header.Set(processHeader, p.ID)
	return p.rig.RoundTrip(request)
}

// ProcessOf returns the id of the process that sent a request, or "" for a request of the test.
func ProcessOf(c *wire.Call) string { return c.Request.Header.Get(processHeader) }

// Kill ends the process. It sends no more requests, and its answer is lost.
func (p *Process) Kill() {
	p.dead.Store(true)
	p.kill()
}

func (p *Process) run(ctx context.Context, function func(*Process) handler, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.rig.Timeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: "process-" + p.ID})
	answer, err := function(p).Invoke(ctx, payload)
	if p.dead.Load() {
		return nil, errKilled
	}
	return answer, err
}

var errKilled = fmt.Errorf("the process was killed")

// Step runs one step in the process.
func (p *Process) Step(event Event) error {
	payload, err := json.Marshal(event)
	if err != nil {
		p.rig.Fatalf("encode the event: %v", err)
	}
	_, err = p.run(context.Background(), func(p *Process) handler { return p.rotate }, payload)
	return err
}

// Rotate invokes the rotate function with an event, which may be invalid.
func (p *Process) Rotate(payload []byte) (answer []byte, err error) {
	return p.run(context.Background(), func(p *Process) handler { return p.rotate }, payload)
}

// Revoke invokes the revoke function with an event, which may be invalid.
func (p *Process) Revoke(payload []byte) (answer []byte, err error) {
	return p.run(context.Background(), func(p *Process) handler { return p.revoke }, payload)
}

// Sweep runs one sweep in the process.
func (p *Process) Sweep(secretID string) (revocation.Result, error) {
	return p.sweep(map[string]any{"secretId": secretID})
}

// SweepAt runs one sweep in the process, as if a schedule had started it for that time.
func (p *Process) SweepAt(secretID string, at time.Time) (revocation.Result, error) {
	return p.sweep(map[string]any{"secretId": secretID, "time": at})
}

// Preview runs a dry run of a sweep.
func (p *Process) Preview(secretID string) (revocation.Result, error) {
	return p.sweep(map[string]any{"secretId": secretID, "dryRun": true})
}

func (p *Process) sweep(event map[string]any) (revocation.Result, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		p.rig.Fatalf("encode the event: %v", err)
	}
	answer, err := p.run(context.Background(), func(p *Process) handler { return p.revoke }, payload)
	var result revocation.Result
	if err == nil {
		if err := json.Unmarshal(answer, &result); err != nil {
			p.rig.Fatalf("read the sweep's answer: %v", err)
		}
	}
	return result, err
}

// An Event is an event of Secrets Manager in its JSON form.
type Event struct {
	Step               rotation.Step
	SecretId           string //nolint:revive,staticcheck // the wire's name
	ClientRequestToken string
	RotationToken      string `json:",omitempty"`
}

// quickRetries returns the SDK's retries without waits and without a limit for all requests,
// because these processes meet more faults than real ones.
func quickRetries() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxBackoff = time.Millisecond
		o.RateLimiter = unlimited{}
	})
}

// unlimited replaces the SDK's client-side limit of retries.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// Output has the output of the functions.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Take returns the output so far and removes it.
func (o *Output) Take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.buf.String()
	o.buf.Reset()
	return text
}

// Lines returns the log lines that contain all the given texts.
func (o *Output) Lines(texts ...string) []string {
	var found []string
line:
	for _, line := range strings.Split(o.String(), "\n") {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue line
			}
		}
		found = append(found, line)
	}
	return found
}
