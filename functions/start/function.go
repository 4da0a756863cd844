// Package start has the startup of both Lambda functions: it creates their clients, logger and
// metrics from the settings, and limits Go's memory. It decides nothing about keys. Start with this
// file.
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

// Parts are the dependencies of a handler.
type Parts struct {
	Vault    *vault.Vault
	Registry *quilt.Client
	Log      *slog.Logger
	Metrics  *telemetry.Metrics
}

// NewParts creates the dependencies of a handler. The client of Secrets Manager uses the
// configuration of the AWS SDK, and the client of the registry uses the settings.
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

// Run serves invocations with the handler until Lambda ends the process. If err is not nil, it
// prints the error in one line and ends the process.
func Run(handler lambda.Handler, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the function cannot start:", err)
		os.Exit(1)
	}
	limitMemory(os.LookupEnv)
	lambda.Start(handler)
}
