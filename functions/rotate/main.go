// Command rotate is the Lambda function that Secrets Manager calls to rotate the Quilt API key in a secret.
//
// It only wires: the settings are in internal/settings, the four steps in internal/rotation.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/telemetry"
	"quilt-rotate/internal/vault"
)

func main() {
	handler, err := newHandler(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "rotate cannot start:", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func newHandler(ctx context.Context) (*rotation.Handler, error) {
	env, err := settings.LoadRotate(os.LookupEnv)
	bundle, bundleErr := settings.ReadCABundle(env.CABundle)
	if err := errors.Join(err, bundleErr); err != nil {
		return nil, err
	}
	registry, err := quilt.NewClient(env.RegistryURL, quilt.Options{CABundle: bundle})
	if err != nil {
		return nil, err
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	log := telemetry.NewLogger(os.Stdout, env.LogLevel)
	return &rotation.Handler{
		Rotator: &rotation.Rotator{
			Vault:    vault.New(secretsmanager.NewFromConfig(aws)),
			Registry: rotation.NewRegistry(registry),
			Settings: env,
			Log:      log,
		},
		Log:     log,
		Metrics: telemetry.NewMetrics(os.Stdout, lambdacontext.FunctionName, time.Now),
	}, nil
}
