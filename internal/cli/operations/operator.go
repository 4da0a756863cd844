// Package procedure is what a person does to one secret beside its rotations and sweeps: put the first key in, rotate now, roll back, recover, retire.
//
// Each procedure is a list of steps in an order that can be cut off anywhere: what is left is safe, the same command goes on from there, and an
// interruption says in which state the secret is. The promises are those of the rotation: the key in AWSCURRENT works at every instant, no key that
// somebody may need is revoked, none is left behind, none is shown. It relies on package care for what is deployed, and on the two functions for all
// that is theirs; it never makes a key current that it has not seen log in.
package operations

import (
	"context"
	"errors"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// Teller tells a person how far a procedure is. terminal.Progress is one.
type Teller interface {
	Doing(what string)
	Tell(mark terminal.Mark, what, detail string)
	Say(lines ...string)
}

// Operator is what a procedure works with.
type Operator struct {
	Cloud *awsclient.Cloud
	Tell  Teller
	// Confirm demands a person's word before what cannot be undone. It fails where that is not given.
	Confirm func(ctx context.Context, what, word string) error
	// Poll is how long to wait between two looks at something that AWS does by itself. Default: a second.
	Poll time.Duration
	// NewKeyWait is how long a new key that the registry refuses is tried again. Default: 20 seconds.
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

// writeTime bounds a write that is finished although somebody pressed Ctrl-C.
const writeTime = 30 * time.Second

// finish carries out a write to its end: a Ctrl-C in the middle would leave nobody knowing whether it was done. It does not begin after one.
func finish(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return write(ctx)
}

// ending is the context of what is left to do once a procedure has done what it is for: a Ctrl-C then would only hide that.
func ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTime)
}

// left adds to an interruption in which state the secret is. Other errors pass as they are.
func left(err error, state string) error {
	if errors.Is(err, context.Canceled) {
		return hint.With(err, state)
	}
	return err
}

// short is what people read of a version's id; results and errors have all of it.
func short(id string) string { return id[:min(len(id), 8)] }
