// Package start starts the two Lambda functions: it makes their clients, logs and metrics from the
// environment.
package start

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/telemetry"
	"quilt-rotate/internal/vault"
)

// Parts are what a handler is made of.
type Parts struct {
	Vault    *vault.Vault
	Registry *quilt.Client
	Log      *slog.Logger
	Metrics  *telemetry.Metrics
}

// NewParts makes the clients: that of Secrets Manager from the SDK's configuration, that of the
// registry from the settings.
func NewParts(ctx context.Context, s settings.Common) (Parts, error) {
	registry, err := quilt.NewClient(s.RegistryURL, quilt.Options{CABundle: s.CABundle})
	if err != nil {
		return Parts{}, err
	}
	aws, err := awsconfig.Load(ctx)
	if err != nil {
		return Parts{}, err
	}
	return Parts{
		Vault:    vault.New(awsconfig.SecretsManager(aws)),
		Registry: registry,
		Log:      telemetry.NewLogger(os.Stdout, s.LogLevel),
		Metrics:  telemetry.NewMetrics(os.Stdout, lambdacontext.FunctionName, time.Now),
	}, nil
}

// Run serves invocations with the handler until Lambda ends the process. If there is no handler, it
// ends the process at once, with one line that says why.
func Run(handler lambda.Handler, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the function cannot start:", err)
		os.Exit(1)
	}
	limitMemory(os.LookupEnv)
	lambda.Start(handler)
}
