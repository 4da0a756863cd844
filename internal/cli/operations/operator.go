// Package operations has the operations of an operator on one secret: store the first key, adopt,
// rotate now, sweep now, roll back, recover, end a stuck rotation, pause, revoke a leaked key,
// retire. SwitchSweeps pauses the sweeps of all secrets.
//
// The rules of all operations:
//
//   - An operation can stop after each request. The state that it leaves is safe, and the same
//     command continues from there. The error of an interruption describes the state.
//   - The key in AWSCURRENT works at all times. No key that somebody may still need is revoked. No
//     key is left behind. No key is shown.
//   - A key becomes current only after a login with it succeeded.
//   - A refused login alone is no proof that a key was revoked: see [checkKey].
//
// The package relies on package managed for the deployed functions and their settings. Rotations
// and sweeps run in the functions.
package operations

import (
	"context"
	"errors"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// Progress reports the progress of an operation. terminal.Progress implements it.
type Progress interface {
	Doing(what string)
	Report(mark terminal.Mark, what, detail string)
	Print(lines ...string)
}

// Operator carries out operations.
type Operator struct {
	Cloud    *awsclient.Cloud
	Progress Progress
	Place    string // the secret and its registry, which each question names; "": not known
	// Confirm asks before a change that cannot be undone. It fails unless the user types the word.
	Confirm func(ctx context.Context, what, word string) error
	// Poll is the time between two reads of a state that AWS changes. Default: 1 second.
	Poll time.Duration
	// NewKeyWait is how long to retry a login with a new key that the registry refuses. Default: 20
	// seconds.
	NewKeyWait time.Duration
}

// Login asks a person to log in at the registry of the keys.
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

// writeTime limits how long a write may continue after Ctrl-C.
const writeTime = 30 * time.Second

// finish runs a write to its end, even after Ctrl-C, because an interrupted write may have been
// carried out or not. If ctx has already ended, the write does not start.
func finish(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return write(ctx)
}

// ending returns a context for the last requests of an operation that has reached its purpose. It
// ignores Ctrl-C, so that the result is reported.
func ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTime)
}

// left adds the state of the secret as a hint to an interruption. It returns other errors
// unchanged.
func left(err error, state string) error {
	if errors.Is(err, context.Canceled) {
		return terminal.WithHint(err, state)
	}
	return err
}

// short returns the start of a version's id, for progress messages. Results and errors have the
// whole id.
func short(id string) string { return id[:min(len(id), 8)] }
