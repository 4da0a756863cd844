package main

import (
	"context"
	"fmt"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// target is a key that is to be revoked.
type target struct {
	rows   []quilt.APIKey // the registry's key; where the key itself was given: all that it may be, by the fingerprint
	unseen error          // why there are no rows
	key    apikey.Key     // the key itself, where it was given
	what   string         // names it in an error
	told   string         // tells of it in a question
}

// keeper finds a secret in care that keeps the key.
func (t target) keeper(k managed.Keepers) (managed.Keeper, bool) {
	if !t.key.IsZero() {
		if keeper, kept := k.KeeperOfKey(t.key); kept {
			return keeper, true
		}
	}
	for _, row := range t.rows {
		if keeper, kept := k.Keeper(row); kept {
			return keeper, true
		}
	}
	return managed.Keeper{}, false
}

// guard refuses keys that a secret in care keeps, or may keep, and demands a person's word. Nobody answers at once: so it looks again after that.
func (o *keysRevokeCommand) guard(ctx context.Context, c *terminal.Console, targets []target) error {
	where, err := o.check(ctx, c, targets, o.confirmKept)
	if err != nil {
		return err
	}
	if where != "" {
		fmt.Fprintln(c.Err, where)
	}
	if o.Yes {
		return nil
	}
	var told []string
	for _, t := range targets {
		told = append(told, t.told)
	}
	if err := c.Confirm(ctx, "this revokes, at once and for good, "+strings.Join(told, ", and ")+": whoever uses it stops working", "revoke"); err != nil {
		return err
	}
	_, err = o.check(ctx, c, targets, nil)
	return err
}

// check looks at all secrets in care of the account and region, and tells where it looked: "" where it could not. confirm asks of a key that a secret
// keeps, with --anyway; nil: that was asked already.
func (o *keysRevokeCommand) check(ctx context.Context, c *terminal.Console, targets []target, confirm func(context.Context, *terminal.Console, string, string) error) (string, error) {
	keepers, where, err := lookForKeepers(ctx)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", o.unchecked(c, "a secret in care keeps it", err)
	}
	kept := 0
	for _, t := range targets {
		keeper, isKept := t.keeper(keepers)
		if !isKept {
			continue
		}
		kept++
		state := stateOfKept(t.what, keeper)
		if !o.Anyway {
			return "", hint.With(fmt.Errorf("%s: whoever reads that secret would stop working", state), otherThanRevoke(keeper))
		}
		if confirm != nil && !o.Yes {
			if err := confirm(ctx, c, state, keeper.Secret); err != nil {
				return "", err
			}
		}
	}
	for _, u := range keepers.Unread {
		if err := o.unchecked(c, "the secret "+u.Secret+" keeps it", u.Err); err != nil {
			return "", err
		}
	}
	for _, t := range targets {
		if _, isKept := t.keeper(keepers); len(t.rows) > 0 || isKept {
			continue
		}
		err := t.unseen
		if err == nil {
			err = fmt.Errorf("the registry lists no such key of that user")
		}
		if err := o.unchecked(c, "a secret keeps "+t.what+" for a grace period", err); err != nil {
			return "", err
		}
	}
	if kept > 0 || len(keepers.Unread) > 0 {
		return "", nil
	}
	return "no secret in care keeps it: looked in " + where, nil
}

// unchecked refuses what could not be checked; with --anyway it says so and goes on.
func (o *keysRevokeCommand) unchecked(c *terminal.Console, what string, err error) error {
	err = awsclient.Explain(err)
	if o.Anyway {
		fmt.Fprintf(c.Err, "not checked whether %s: %s\n", what, terminal.LegibleLines(err.Error()))
		return nil
	}
	advice := "if you know that none does, add --anyway"
	if more := hint.Of(err); more != "" {
		advice = more + "\n" + advice
	}
	return hint.With(fmt.Errorf("whether %s could not be checked: %w", what, err), advice)
}

func (o *keysRevokeCommand) confirmKept(ctx context.Context, c *terminal.Console, state, secret string) error {
	return c.Confirm(ctx, state+": whoever reads that secret stops working", secret)
}

func stateOfKept(what string, k managed.Keeper) string {
	switch k.Stage {
	case vault.Current:
		return what + " is the current key of " + k.Secret
	case vault.Pending:
		return what + " is about to become the current key of " + k.Secret
	}
	return what + " is a replaced key of " + k.Secret + " that may be in use still"
}

func otherThanRevoke(k managed.Keeper) string {
	if k.Stage == "" {
		return fmt.Sprintf("its sweep revokes it when nobody uses it any more: quilt-rotate status %[1]s\nit has leaked: quilt-rotate emergency %[1]s\nor add --anyway", k.Secret)
	}
	return fmt.Sprintf("replace it first: quilt-rotate rotate %[1]s\nit has leaked: quilt-rotate emergency %[1]s\nor add --anyway", k.Secret)
}

// lookForKeepers asks all secrets in care, and tells where.
func lookForKeepers(ctx context.Context) (managed.Keepers, string, error) {
	aws, err := awsclient.Open(ctx)
	if err != nil {
		return managed.Keepers{}, "", err
	}
	keepers, err := managed.FindKeepers(ctx, aws, "")
	if err != nil {
		return managed.Keepers{}, "", err
	}
	where := "the region " + aws.Region
	if caller, err := aws.Caller(ctx); err == nil {
		where = "the account " + caller.Account + ", region " + aws.Region
	}
	return keepers, where, nil
}
