package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

type statusCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all that are in care."`
	sweeperOption
	JSON  bool     `name:"json" xor:"form" help:"Print the result as JSON."`
	Watch interval `xor:"form" placeholder:"5s" help:"Look again and again, every five seconds or as given (--watch=1m), until interrupted. In a pipe: a line for each change."`
}

// Help says what is shown, and what a program can rely on.
func (statusCommand) Help() string {
	return `Shows each secret with its versions and their keys, its rotation, and what the next sweep will do: the revoke function makes the plan, and does nothing. What a person should look at has a ✗ or a !.

With --json: an array with an object for each secret, in the order asked for. Its fields: secret, arn, time, rotation {on, function, last, next, overdue, underWay, underWaySince}, pausedUntil, pauseReason, replicas, versions [{versionId, stages, value, supersededSince, sameKeyAs, keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}], sweep {outcome, actions, notes, wouldFail {errorType, error}, health, registry}, problems [{severe, text, hint}], error, hint. What is not known is left out.

Exit status 1: a secret could not be looked at, wholly or in part. Problems are no failure of the look.`
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
	aws, err := awsclient.Open(ctx)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) ([]status.Status, error) { return o.look(ctx, aws) }
	if o.Watch > 0 {
		return watch(ctx, c, time.Duration(o.Watch), look)
	}
	list, err := look(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		if err := c.JSON(list); err != nil {
			return err
		}
	} else {
		o.print(c, aws, list)
	}
	for _, s := range list {
		if s.Error != "" {
			return commandline.ErrReported
		}
	}
	return nil
}

func (o *statusCommand) look(ctx context.Context, aws *awsclient.Cloud) ([]status.Status, error) {
	var names []string
	for _, name := range o.Secrets {
		names = append(names, string(name))
	}
	if len(names) == 0 {
		var err error
		if names, err = status.Names(ctx, aws); err != nil {
			return nil, err
		}
	}
	return status.All(ctx, aws, o.RevokeFunction, names)
}

func (o *statusCommand) print(c *terminal.Console, aws *awsclient.Cloud, list []status.Status) {
	if len(list) == 0 {
		fmt.Fprintln(c.Out, "no secret is in care in "+aws.Region)
		fmt.Fprintln(c.Err, "one comes into care by a stack (infra/README.md), or by: quilt-rotate adopt SECRET")
	}
	for i, s := range list {
		if i > 0 {
			fmt.Fprintln(c.Out)
		}
		for _, line := range statusLines(s, c.Watched(), c.Width()) {
			fmt.Fprintln(c.Out, line)
		}
	}
}

// watch looks again and again: on a terminal it draws what there is to see, in a pipe it prints what has changed. Ctrl-C is how it ends.
func watch(ctx context.Context, c *terminal.Console, every time.Duration, look func(context.Context) ([]status.Status, error)) error {
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
		list, err := look(ctx)
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
			screen = screenLines(list, every, c.Width())
			mu.Unlock()
		}
		for _, s := range list {
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
