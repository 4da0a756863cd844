// Command rotate is the Lambda function that Secrets Manager calls to rotate the Quilt API key in a
// secret.
//
// It only connects other packages: the settings are in internal/settings, and the four steps are in
// internal/rotation.
package main

import (
	"context"
	"os"

	"quilt-rotate/functions/start"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/settings"
)

func main() {
	handler, err := newHandler(context.Background())
	start.Run(handler, err)
}

func newHandler(ctx context.Context) (*rotation.Handler, error) {
	env, err := settings.LoadRotate(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	parts, err := start.NewParts(ctx, env.Common)
	if err != nil {
		return nil, err
	}
	return &rotation.Handler{
		Rotator: &rotation.Rotator{Vault: parts.Vault, Registry: parts.Registry, Settings: env, Log: parts.Log},
		Log:     parts.Log,
		Metrics: parts.Metrics,
	}, nil
}
