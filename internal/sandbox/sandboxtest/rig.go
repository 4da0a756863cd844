// Package sandboxtest lets tests run the two functions in a sandbox: in this process, over the
// services' real wire, as Lambda runs them (cold or warm), with processes that can be killed in the
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

// T is what the rig needs of a test: [testing.TB] and [rapid.T] have it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
}

// Rig is a sandbox with both functions deployed in this process.
type Rig struct {
	T
	*sandbox.Sandbox
	Hands  *secretsmanager.Client // the test's own, as a person's or another program's
	Output *Output                // everything that the functions wrote

	RotateEnv settings.Rotate
	RevokeEnv settings.Revoke
	Timeout   time.Duration // of one invocation; as it is, it only catches what hangs

	// What holds for processes that start later.
	NewKeyWait time.Duration // see [rotation.Rotator]
	MaxLag     time.Duration // how long reads that lag are waited for; as it is, not long enough for a second look

	processes atomic.Int64
	started   sync.Map                // every process there was, by its id
	warm      atomic.Pointer[Process] // nil: the next invocation starts a process
	cold      atomic.Bool             // every invocation starts a process

	interceptions interceptions
}

// New starts a sandbox and deploys the functions. The waits inside the functions are short, so that
// what never comes true fails soon.
func New(t T) *Rig {
	t.Helper()
	return NewPersistent(t, 1)
}

// NewPersistent starts a sandbox whose Secrets Manager tries a whole rotation that often.
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
	deployed := map[string]string{settings.EnvRegistryURL: r.RegistryURL} // for those who look at the deployment
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

// Cold lets every invocation start a process of its own, or, with false, go to a warm one.
func (r *Rig) Cold(cold bool) { r.cold.Store(cold) }

// Process is the process that the next invocation goes to.
func (r *Rig) Process() *Process {
	if p := r.warm.Load(); p != nil && !p.dead.Load() && !r.cold.Load() {
		return p
	}
	p := r.NewProcess()
	r.warm.Store(p)
	return p
}

// Abandon lets the next invocation start a process of its own, while the former goes on: so does
// Lambda when a caller gives up on one.
func (r *Rig) Abandon() { r.warm.Store(nil) }

// Process is one environment of the functions: its own clients, and nothing shared with others but
// the network.
type Process struct {
	ID     string
	rig    *Rig
	rotate *rotation.Handler
	revoke *fleet.Handler
	dead   atomic.Bool
	ctx    context.Context
	kill   context.CancelFunc
}

// processHeader tells the wire which process a request is from.
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

// KillCaller kills the process that a request is from.
func (r *Rig) KillCaller(c *wire.Call) {
	if p, ok := r.started.Load(ProcessOf(c)); ok {
		p.(*Process).Kill()
	}
}

// RoundTrip is the process's network: a dead process has none.
func (p *Process) RoundTrip(request *http.Request) (*http.Response, error) {
	if p.dead.Load() {
		return nil, context.Canceled
	}
	request = request.Clone(request.Context())
	request.Header.Set(processHeader, p.ID)
	return p.rig.RoundTrip(request)
}

// ProcessOf tells which process a request is from; "" for the test's own.
func ProcessOf(c *wire.Call) string { return c.Request.Header.Get(processHeader) }

// Kill ends the process: it sends nothing more, and nobody hears its answer.
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

// Rotate hands the rotate function an event as it is, well-formed or not.
func (p *Process) Rotate(payload []byte) (answer []byte, err error) {
	return p.run(context.Background(), func(p *Process) handler { return p.rotate }, payload)
}

// Revoke hands the revoke function an event as it is, well-formed or not.
func (p *Process) Revoke(payload []byte) (answer []byte, err error) {
	return p.run(context.Background(), func(p *Process) handler { return p.revoke }, payload)
}

// Sweep runs one sweep in the process.
func (p *Process) Sweep(secretID string) (revocation.Result, error) {
	return p.sweep(map[string]any{"secretId": secretID})
}

// SweepAt runs one sweep in the process, as a schedule that started it for that time.
func (p *Process) SweepAt(secretID string, at time.Time) (revocation.Result, error) {
	return p.sweep(map[string]any{"secretId": secretID, "time": at})
}

// Preview looks at what a sweep would do: a dry run.
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

// Event is Secrets Manager's event, as it stands on the wire.
type Event struct {
	Step               rotation.Step
	SecretId           string //nolint:revive,staticcheck // the wire's name
	ClientRequestToken string
	RotationToken      string `json:",omitempty"`
}

// quickRetries are the SDK's, without its waits, and for processes that live through more faults
// than real ones.
func quickRetries() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxBackoff = time.Millisecond
		o.RateLimiter = unlimited{}
	})
}

// unlimited takes the SDK's client-side limit on retries away.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// Output gathers what the functions wrote.
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

// Take returns what was written, and starts anew.
func (o *Output) Take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.buf.String()
	o.buf.Reset()
	return text
}

// Lines are the log lines that contain all the given texts.
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
