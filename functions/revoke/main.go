// Command revoke is the Lambda function that sweeps one secret: it revokes the keys that were replaced, and those that
// a crash left behind.
//
// It only wires: the settings are in internal/settings, the sweep in internal/revocation.
package main

import (
	"context"
	"os"

	"quilt-rotate/internal/function"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
)

func main() {
	handler, err := newHandler(context.Background())
	function.Run(handler, err)
}

func newHandler(ctx context.Context) (*revocation.Handler, error) {
	env, err := settings.LoadRevoke(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	parts, err := function.NewParts(ctx, env.Common)
	if err != nil {
		return nil, err
	}
	return &revocation.Handler{
		Sweeper: &revocation.Sweeper{Vault: parts.Vault, Registry: parts.Registry, Settings: env, Log: parts.Log},
		Log:     parts.Log,
		Metrics: parts.Metrics,
	}, nil
}
