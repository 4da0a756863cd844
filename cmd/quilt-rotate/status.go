package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

type statusCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all managed secrets."`
	sweeperOption
	JSON  bool     `name:"json" xor:"form" help:"Print the result as JSON."`
	Watch interval `xor:"form" placeholder:"5s" help:"Look again every five seconds or as given (--watch=1m), until interrupted. In a pipe: a line for each change."`
}

// Help says what is shown, and what a program can rely on.
func (statusCommand) Help() string {
	return `Shows each secret with its versions and their keys, its rotation, and what the next sweep will do: the revoke function plans it, and does nothing. A ✗ or a ! marks a problem. A managed secret is one that our
rotate function rotates, or that has a tag or a label of quilt-rotate. Secrets that are marked for deletion are listed, too.

With --json: an array with an object for each secret, in the order asked for. Its fields: secret, arn, time, registry, rotation {on, function, last, next, overdue, underWay, underWaySince}, pausedUntil, pauseReason, replicas, versions [{versionId, stages, value, supersededSince, sameKeyAs, keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}], sweep {outcome, actions, notes, wouldFail {errorType, error}, health, registry}, problems [{severe, text, hint}], error, hint. What is not known is left out.

Exit status 1: a secret could not be looked at, or only in part. A problem of a secret does not change the exit status.`
}

// An interval is how often to look; zero: once. As a flag without a value it is five seconds.
type interval time.Duration

const (
	usualInterval    = 5 * time.Second
	shortestInterval = time.Second
)

// Decode reads "--watch" and "--watch=10s".
func (i *interval) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Peek()
	if token.Type != kong.FlagValueToken {
		*i = interval(usualInterval)
		return nil
	}
	d, err := settings.Duration(fmt.Sprint(ctx.Scan.Pop().Value))
	if err != nil || d < shortestInterval {
		return errors.New("must be a duration of a second or more, such as 10s or 1m")
	}
	*i = interval(d)
	return nil
}

// IsBool lets the flag stand alone.
func (i *interval) IsBool() bool { return true }

func (o *statusCommand) Run(ctx context.Context, c *terminal.Console) error {
	for _, name := range o.Secrets {
		if _, err := settings.Duration(string(name)); err == nil && o.Watch > 0 {
			return &usageError{fmt.Errorf("--watch takes its interval after an equals sign: --watch=%s", name)}
		}
	}
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return err
	}
	progress := c.Progress(o.JSON)
	defer progress.Close()
	look := func(ctx context.Context) (report, error) { return o.look(ctx, aws, reading(progress)) }
	if o.Watch > 0 {
		progress.Close()
		look = func(ctx context.Context) (report, error) { return o.look(ctx, aws, func(int, int) {}) }
		return watch(ctx, c, time.Duration(o.Watch), look)
	}
	found, err := look(ctx)
	progress.Close()
	if err != nil {
		return err
	}
	if o.JSON {
		if err := c.JSON(found.list); err != nil {
			return err
		}
	} else {
		o.print(c, found)
	}
	for _, s := range found.list {
		if s.Error != "" {
			return commandline.ErrReported
		}
	}
	return nil
}

// report is the state of several secrets, and where they are.
type report struct {
	scope string
	list  []status.Status
}

func (o *statusCommand) look(ctx context.Context, aws *awsclient.Cloud, progress func(done, total int)) (report, error) {
	var names []string
	for _, name := range o.Secrets {
		names = append(names, string(name))
	}
	scope := ""
	if len(names) == 0 {
		managed, err := managed.ListSecrets(ctx, aws)
		if err != nil {
			return report{}, err
		}
		for _, s := range managed.Secrets {
			names = append(names, s.Name)
		}
		scope = fmt.Sprintf("%s: %d managed secrets, of %d secrets", managed.Place, len(names), managed.Total)
		if n := len(managed.Unknown); n > 0 {
			scope += fmt.Sprintf("; %d more may be managed: %s", n, awsclient.Explain(managed.Unknown[0].Err))
		}
	} else {
		scope = aws.Place(ctx).String()
	}
	list, err := status.All(ctx, aws, o.RevokeFunction, names, progress)
	return report{scope, list}, err
}

func (o *statusCommand) print(c *terminal.Console, found report) {
	fmt.Fprintln(c.Out, terminal.Faint.Render(found.scope))
	if len(found.list) == 0 {
		fmt.Fprintln(c.Err, "a secret becomes managed through a stack (infra/README.md), or by: quilt-rotate adopt SECRET")
	}
	for _, s := range found.list {
		fmt.Fprintln(c.Out)
		for _, line := range statusLines(s, c.Watched(), c.Width()) {
			fmt.Fprintln(c.Out, line)
		}
	}
}

// watch looks until Ctrl-C. On a terminal it draws the state again each time; in a pipe it prints what has changed.
func watch(ctx context.Context, c *terminal.Console, every time.Duration, look func(context.Context) (report, error)) error {
	var mu sync.Mutex
	screen := []string{"  looking …"}
	live := c.Live(func(int) []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), screen...)
	})
	defer live.Close()
	seen := map[string]status.Status{}
	for {
		found, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && len(seen) == 0:
			return err
		case err != nil: // the next look may come through
			err = awsclient.Explain(err)
			live.Print(stamped(time.Now(), "", []string{err.Error(), hint.Of(err)}), nil)
		case live.Watched():
			mu.Lock()
			screen = screenLines(found, every, c.Width())
			mu.Unlock()
		}
		for _, s := range found.list {
			before, known := seen[s.Secret]
			if !live.Watched() && known {
				live.Print(stamped(s.Time, s.Secret, status.Changes(before, s)), nil)
			} else if !live.Watched() {
				live.Print(stamped(s.Time, s.Secret, []string{compact(s)}), nil)
			}
			seen[s.Secret] = s
		}
		if err := live.Err(); err != nil {
			return err
		}
		timer := time.NewTimer(every)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}
