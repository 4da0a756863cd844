package operations

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// UntrackedKey is a key of the user that no managed secret holds. Whoever had the leaked key could
// create it.
type UntrackedKey struct {
	KeyID      string     `json:"keyId"`
	KeyName    string     `json:"keyName"`
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	// the name says that the key was created for a secret of another region or account
	HeldElsewhere bool `json:"mayBeHeldElsewhere"`
}

// listUntracked lists the user's keys that no managed secret holds. Somebody may have created them
// with the leaked key. It changes nothing.
func (e *emergency) listUntracked(ctx context.Context) error {
	e.Progress.Doing("listing the other keys of the user")
	var account quilt.Account
	others, err := e.scan.result(ctx)
	if err == nil {
		err = e.secret.Look(ctx)
	}
	if err == nil {
		var session *quilt.Session
		if session, err = e.asCurrent(ctx); err == nil {
			account, err = session.Account(ctx)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.Progress.Report(terminal.Warned,
			"the other keys of the user could not be listed; whoever had the leaked key could have created more",
			awsclient.Explain(err).Error())
		return nil
	}
	e.untracked(ctx, account.Keys, others)
	return nil
}

func (e *emergency) untracked(ctx context.Context, keys []quilt.APIKey, others *managed.Holders) {
	own := map[string]bool{e.result.Leaked.KeyID: true}
	var values []apikey.Key
	for _, v := range e.secret.Sorted() {
		for _, id := range v.Keys {
			own[id] = true
		}
		if value, err := e.secret.Value(ctx, v.ID); err == nil {
			values = append(values, value.Key())
		}
	}
	for _, k := range keys {
		held := others.Secret(k) != ""
		mine := slices.ContainsFunc(values, func(key apikey.Key) bool { return key.Fits(k.Fingerprint) })
		if held || mine || own[k.ID] || k.Status == quilt.Expired {
			continue
		}
		e.result.Untracked = append(e.result.Untracked, UntrackedKey{k.ID, k.Name, k.CreatedAt.UTC(), k.ExpiresAt.UTC(),
			k.LastUsedAt, others.Elsewhere(k.Name)})
	}
	slices.SortStableFunc(e.result.Untracked, func(a, b UntrackedKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	e.result.UntrackedKnown = true
	for _, u := range others.Unread {
		e.Progress.Report(terminal.Warned, "the secret "+u.Secret+" could not be read: it may hold some of these keys",
			awsclient.Explain(u.Err).Error())
	}
	if n := len(e.result.Untracked); n == 0 {
		e.Progress.Report(terminal.Done, "the user has no other key that no managed secret holds", "")
	} else {
		e.Progress.Report(terminal.Warned, fmt.Sprintf("keys of the user that no managed secret holds: %d", n),
			"whoever had the leaked key could have created them")
	}
}
