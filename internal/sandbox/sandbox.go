// Package sandbox runs all services that quilt-rotate uses, on loopback and in one process: one AWS
// endpoint with Secrets Manager, Lambda, CloudWatch Logs, ECS, STS and parts of EventBridge
// Scheduler, Parameter Store and KMS, and a Quilt registry. The tests, `make demo` and
// `quilt-sandbox serve` use it.
//
// The services have their real wire protocols: the AWS SDK for Go and the AWS CLI work with them
// without changes. The registry answers the requests that quilt3 8.0.0 sends; it was not tested
// with quilt3 itself. Tests inspect and change a service with its methods. All services share one
// [clock.Clock], and [wire.Hooks] get every request.
//
// Faults are hooks: see [wire.Hooks] for network faults, and [ExpiredToken] and [AccessDenied] for
// errors of AWS.
//
// The sandbox has only dummy credentials and its own keys, and listens only on 127.0.0.1. Never
// store real credentials in it.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/sandbox/awsecs"
	"quilt-rotate/internal/sandbox/awskms"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/awslogs"
	"quilt-rotate/internal/sandbox/awsscheduler"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/awsssm"
	"quilt-rotate/internal/sandbox/clock"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// Constants of every sandbox. None of them is a secret.
const (
	Region          = "us-east-1"
	Account         = "123456789012"
	AccessKeyID     = "sandbox"
	SecretAccessKey = "sandbox"

	UserEmail     = "svc-pipeline@example.com"
	UserName      = "svc_pipeline"
	UserPassword  = "sandbox-user-password"
	AdminEmail    = "admin@example.com"
	AdminName     = "admin"
	AdminPassword = "sandbox-admin-password"
)

// Names of the two functions.
const (
	RotateFunction = "rotate"
	RevokeFunction = "revoke"
)

// Options are the settings of a sandbox. The zero value is valid.
type Options struct {
	AWSPort      int       // 0: any free port
	RegistryPort int       // 0: any free port
	Logs         io.Writer // gets the functions' logs; may be nil

	RotationTries int           // see [awssecrets.Options]
	RetryDelay    time.Duration // see [awssecrets.Options]

	Listen func(port int) (net.Listener, error) // default: TCP on 127.0.0.1
}

// Sandbox is a running sandbox.
type Sandbox struct {
	Clock    *clock.Clock
	Hooks    *wire.Hooks
	Secrets  *awssecrets.Server
	Lambda   *awslambda.Host
	Logs     *awslogs.Server // the logs of the functions in Lambda
	Services *awsecs.Server  // ECS; without services until a test adds some
	Registry *quiltregistry.Registry

	// EventBridge Scheduler, Parameter Store and KMS are empty until a test adds something.
	Schedules  *awsscheduler.Server
	Parameters *awsssm.Server
	Keys       *awskms.Server

	AWSURL      string
	RegistryURL string

	servers  []*http.Server
	handlers map[string]http.Handler      // by the address of the listener
	athena   atomic.Pointer[http.Handler] // nil if there is no Athena
}

// Start starts all services. The registry has an ordinary user and an administrator. Start fails if
// a port is in use.
func Start(options Options) (*Sandbox, error) {
	listen := options.Listen
	if listen == nil {
		listen = onLoopback
	}
	awsListener, err := listen(options.AWSPort)
	if err != nil {
		return nil, fmt.Errorf("start the sandbox's AWS: %w", err)
	}
	registryListener, err := listen(options.RegistryPort)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the sandbox's registry: %w", err), awsListener.Close())
	}
	shared := &clock.Clock{}
	host, err := awslambda.New(awslambda.Options{Region: Region, Account: Account, Stderr: options.Logs, Clock: shared})
	if err != nil {
		return nil, errors.Join(err, awsListener.Close(), registryListener.Close())
	}
	s := &Sandbox{
		Clock: shared, Hooks: &wire.Hooks{}, Lambda: host, handlers: map[string]http.Handler{},
		AWSURL: "http://" + awsListener.Addr().String(), RegistryURL: "http://" + registryListener.Addr().String(),
	}
	s.Secrets = awssecrets.New(awssecrets.Options{
		Clock: s.Clock, Region: Region, Account: Account, Functions: host,
		RotationTries: options.RotationTries, RetryDelay: options.RetryDelay,
	})
	s.Logs = awslogs.New(awslogs.Options{Region: Region, Account: Account, Source: host, Clock: shared})
	s.Schedules = &awsscheduler.Server{Clock: s.Clock, Region: Region, Account: Account}
	s.Parameters = &awsssm.Server{Clock: s.Clock}
	s.Keys = &awskms.Server{Clock: s.Clock, Region: Region, Account: Account}
	s.Services = awsecs.New(awsecs.Options{Clock: s.Clock, Region: Region, Account: Account})
	s.Registry = quiltregistry.New(quiltregistry.Options{Clock: s.Clock, BaseURL: s.RegistryURL})
	s.Registry.AddUser(quiltregistry.User{Name: UserName, Email: UserEmail, Password: UserPassword})
	s.Registry.AddUser(quiltregistry.User{Name: AdminName, Email: AdminEmail, Password: AdminPassword, Admin: true})
	s.serve(awsListener, s.aws())
	s.serve(registryListener, s.Hooks.Wrap("registry", quiltregistry.Operation, s.Registry))
	return s, nil
}

func onLoopback(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

func (s *Sandbox) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.servers = append(s.servers, server)
	s.handlers[listener.Addr().String()] = handler
	go func() { _ = server.Serve(listener) }() // ends when Close is called
}

// Close stops the services and every process that they started.
func (s *Sandbox) Close() error {
	s.Secrets.Close()
	err := s.Lambda.Close()
	for _, server := range s.servers {
		err = errors.Join(err, server.Close())
	}
	return err
}

// AddFunction deploys a built function. Its environment has the URLs of the sandbox and the given
// variables.
func (s *Sandbox) AddFunction(name, bootstrap string, timeout time.Duration, environment map[string]string,
	optFns ...func(*awslambda.Config)) (functionARN string, err error) {
	env := map[string]string{"AWS_ENDPOINT_URL": s.AWSURL, settings.EnvRegistryURL: s.RegistryURL}
	maps.Copy(env, environment)
	config := awslambda.Config{Name: name, Bootstrap: bootstrap, Timeout: timeout, Environment: env}
	for _, change := range optFns {
		change(&config)
	}
	return s.Lambda.Add(config)
}

// Exports returns the environment variables with which the AWS SDKs, the AWS CLI and quilt-rotate
// use the sandbox.
func (s *Sandbox) Exports() [][2]string {
	return [][2]string{
		{"AWS_ENDPOINT_URL", s.AWSURL},
		{settings.EnvRegistryURL, s.RegistryURL},
		{"AWS_ACCESS_KEY_ID", AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", SecretAccessKey},
		{"AWS_REGION", Region},
		{"AWS_DEFAULT_REGION", Region},
	}
}

// SecretsManager returns a client of the sandbox's Secrets Manager. It does not read the
// environment.
func (s *Sandbox) SecretsManager(optFns ...func(*secretsmanager.Options)) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region:       Region,
		BaseEndpoint: aws.String(s.AWSURL),
		Credentials:  credentials.NewStaticCredentialsProvider(AccessKeyID, SecretAccessKey, ""),
	}, optFns...)
}

// CreateSecret creates a secret and returns its ARN.
func (s *Sandbox) CreateSecret(ctx context.Context, in *secretsmanager.CreateSecretInput) (arn string, err error) {
	out, err := s.SecretsManager().CreateSecret(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ARN), nil
}
