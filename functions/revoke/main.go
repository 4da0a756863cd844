// Command revoke is the Lambda function that sweeps one secret: it revokes superseded keys and
// orphans. It also does the steps of a run that sweeps all secrets.
//
// It only connects other packages: the settings are in internal/settings, the sweep is in
// internal/revocation, and the run is in internal/fleet.
package main

import (
	"context"
	"os"

	"quilt-rotate/functions/start"
	"quilt-rotate/internal/fleet"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
)

func main() {
	handler, err := newHandler(context.Background())
	start.Run(handler, err)
}

func newHandler(ctx context.Context) (*fleet.Handler, error) {
	env, err := settings.LoadRevoke(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	parts, err := start.NewParts(ctx, env.Common)
	if err != nil {
		return nil, err
	}
	return &fleet.Handler{
		Sweeps: &revocation.Handler{
			Sweeper: &revocation.Sweeper{Vault: parts.Vault, Registry: parts.Registry, Settings: env, Log: parts.Log},
			Log:     parts.Log,
			Metrics: parts.Metrics,
		},
		Runner: &fleet.Runner{Vault: parts.Vault, Settings: env, Log: parts.Log},
	}, nil
}
