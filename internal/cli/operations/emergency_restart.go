package operations

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// restart restarts the configured services so that they read the new key. A failure is reported and
// does not delay the revocation.
func (e *emergency) restart(ctx context.Context) error {
	services, err := e.secret.Restart()
	switch {
	case err != nil:
		e.Progress.Report(terminal.Warned, "no service is restarted", err.Error())
		return nil
	case e.options.SkipRestart:
		e.Progress.Report(terminal.Noted, "no service is restarted: --skip-restart", "")
		return nil
	case len(services) == 0:
		e.Progress.Report(terminal.Noted, "no service is restarted", "the tag "+settings.TagRestart+" names no service")
		return nil
	}
	var begun []settings.Service
	for _, service := range services {
		e.Progress.Doing("restarting " + service.String())
		if err := finish(ctx, func(ctx context.Context) error { return e.Cloud.Redeploy(ctx, service) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.Progress.Report(terminal.Warned, "the service "+service.String()+" was not restarted",
				awsclient.Explain(err).Error())
			continue
		}
		begun = append(begun, service)
	}
	return e.awaitServices(ctx, begun)
}

func (e *emergency) awaitServices(ctx context.Context, services []settings.Service) error {
	if len(services) == 0 {
		return nil
	}
	e.Progress.Doing(fmt.Sprintf("waiting for the restart of %s, for at most %s", names(services),
		terminal.About(e.options.RestartTime)))
	failed := make([]error, len(services))
	var all sync.WaitGroup
	for i, service := range services {
		all.Go(func() { failed[i] = e.Cloud.AwaitStable(ctx, service, e.options.RestartTime) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, service := range services {
		if failed[i] != nil {
			e.Progress.Report(terminal.Warned,
				"the restart of "+service.String()+" is not complete: the service may still use the leaked key",
				awsclient.Explain(failed[i]).Error())
			continue
		}
		e.Progress.Report(terminal.Done, "restarted "+service.String(), "")
	}
	return nil
}

func names(services []settings.Service) string {
	var words []string
	for _, s := range services {
		words = append(words, s.String())
	}
	return strings.Join(words, ", ")
}
