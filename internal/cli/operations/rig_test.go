package operations_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/terminal"
)

// operator runs commands in a process of its own, which a test can kill at any request.
type operator struct {
	*operations.Operator
	ctx      context.Context
	process  *sandboxtest.Process
	registry *quilt.Client
	output   *transcript
}

func newOperator(t testing.TB, r *sandboxtest.Rig) *operator {
	t.Helper()
	p := r.NewProcess()
	c := awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: aws.String(r.AWSURL), HTTPClient: &http.Client{Transport: p},
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxBackoff, o.RateLimiter = time.Millisecond,
					ratelimit.None
			})
		},
	})
	c.Vault = c.Vault.WithMaxLag(r.MaxLag)
	registry, err := quilt.NewClient(r.RegistryURL, quilt.Options{Transport: p, RetryInterval: time.Millisecond,
		AttemptTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	output := &transcript{}
	return &operator{
		ctx: context.Background(),
		Operator: &operations.Operator{
			Cloud: c, Progress: output, Confirm: func(context.Context, string, string) error { return nil },
			Poll: time.Millisecond, NewKeyWait: r.NewKeyWait,
		},
		process: p, registry: registry, output: output,
	}
}

// secret returns the secret, or nil if it does not exist.
func (p *operator) secret(name string) (*managed.Secret, error) {
	s, err := managed.Open(p.ctx, p.Cloud, name)
	if awsclient.NotFound(err) {
		return nil, nil
	}
	return s, err
}

// logIn logs in with user and password.
func logIn(ctx context.Context, registry *quilt.Client) (*quilt.Session, quilt.Identity, error) {
	session, err := registry.LoginPassword(ctx, sandbox.UserName, quilt.NewPassword(sandbox.UserPassword))
	if err != nil {
		return nil, quilt.Identity{}, err
	}
	me, err := session.Me(ctx)
	return session, me, err
}

func (p *operator) bootstrap(name string) (operations.KeyIn, error) {
	s, err := p.secret(name)
	if err != nil {
		return operations.KeyIn{}, err
	}
	return p.Bootstrap(p.ctx, operations.Bootstrap{Name: name, Secret: s, Registry: p.registry, LogIn: logIn})
}

func (p *operator) rollback(name, to string) (operations.RolledBack, error) {
	s, err := p.secret(name)
	if err != nil {
		return operations.RolledBack{}, err
	}
	return p.Rollback(p.ctx, s, operations.RollbackOptions{Registry: p.registry, To: to})
}

func (p *operator) recover(name string, newOwner bool) (operations.KeyIn, error) {
	s, err := p.secret(name)
	if err != nil {
		return operations.KeyIn{}, err
	}
	return p.Recover(p.ctx, operations.Recovery{Secret: s, Registry: p.registry, NewOwner: newOwner, LogIn: logIn})
}

func (p *operator) adopt(name string, tags map[string]string) (operations.Adopted, error) {
	s, err := p.secret(name)
	if err != nil {
		return operations.Adopted{}, err
	}
	return p.Adopt(p.ctx, operations.Adoption{Secret: s, Registry: p.registry, Tags: tags})
}

// transcript records the output of a command.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

func (t *transcript) Doing(string) {}

func (t *transcript) Report(mark terminal.Mark, what, detail string) {
	t.Print(fmt.Sprintf("%d %s  %s", mark, what, detail))
}

func (t *transcript) Print(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, lines...)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
