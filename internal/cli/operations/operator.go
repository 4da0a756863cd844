// Package operations is what an operator does to one secret beside its rotations and sweeps: store
// the first key, rotate now, roll back, recover, revoke a leaked key, retire.
//
// Each operation is a list of steps that can stop anywhere: what is left is safe, the same command
// continues from there, and an interruption says in which state the secret is. The promises are
// those of the rotation: the key in AWSCURRENT works at all times, no key that somebody may need is
// revoked, no key is left behind, and none is shown. It relies on package managed for what is
// deployed and on the two functions for their own work. It never makes a key current that it has
// not seen log in, and never takes the refusal of a key alone as proof that the key was revoked
// ([checkKey]).
package operations

import (
	"context"
	"errors"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// Teller reports the progress of an operation. terminal.Progress is one.
type Teller interface {
	Doing(what string)
	Tell(mark terminal.Mark, what, detail string)
	Say(lines ...string)
}

// Operator is what an operation works with.
type Operator struct {
	Cloud *awsclient.Cloud
	Tell  Teller
	Place string // the secret and its registry, as each question names them; "": not known
	// Confirm asks before a change that cannot be undone. It fails unless the word is typed.
	Confirm func(ctx context.Context, what, word string) error
	// Poll is how long to wait between two looks at something that AWS does by itself. Default: one
	// second.
	Poll time.Duration
	// NewKeyWait is how long a new key that the registry refuses is tried again. Default: 20
	// seconds.
	NewKeyWait time.Duration
}

// Login lets a person log in at the registry that the keys come from.
type Login func(ctx context.Context, registry *quilt.Client) (*quilt.Session, quilt.Identity, error)

const defaultPoll = time.Second

func (d *Operator) poll() time.Duration {
	if d.Poll == 0 {
		return defaultPoll
	}
	return d.Poll
}

// sleep waits one poll, or until ctx ends.
func (d *Operator) sleep(ctx context.Context) error {
	timer := time.NewTimer(d.poll())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeTime limits a write that is completed although somebody pressed Ctrl-C.
const writeTime = 30 * time.Second

// finish completes a write: after a Ctrl-C in the middle, nobody would know whether it was done.
// After a Ctrl-C, it does not begin.
func finish(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return write(ctx)
}

// ending is the context of what is left to do when the purpose of an operation is achieved: a
// Ctrl-C would only hide that.
func ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTime)
}

// left adds to an interruption in which state the secret is. Other errors pass as they are.
func left(err error, state string) error {
	if errors.Is(err, context.Canceled) {
		return terminal.WithHint(err, state)
	}
	return err
}

// short is what people read of a version's id; results and errors have all of it.
func short(id string) string { return id[:min(len(id), 8)] }
