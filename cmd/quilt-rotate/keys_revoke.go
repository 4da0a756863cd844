package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/operations"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

type keysRevokeCommand struct {
	IDs       []keyID `arg:"" optional:"" name:"id" help:"Ids of the keys."`
	FromStdin bool    `help:"Read the key to revoke from standard input. A terminal asks for it and does not show it. The command also logs in with this key, unless another login is given."`
	Anyway    bool    `help:"Revoke a key even if a managed secret holds it, or if that could not be checked. Programs that read that secret stop working."`
	keyLogin
	everybody
	yesOption
	jsonOption
}

// Help is the long help.
func (keysRevokeCommand) Help() string {
	return `Give the ids of the keys, or give the text of one key with --from-stdin. If standard input has the password of --user
too, the first line is the key and the second line is the password.

  quilt-rotate keys revoke 5f0c9a4e-6f0e-4a55-9d5f-0d9b7a8f5a11
  quilt-rotate keys revoke --from-stdin < leaked.txt

The command refuses to revoke a key if one of these is true:

  - The current or pending value of a managed secret contains the key.
  - A superseded version of a managed secret holds the key. A sweep revokes it.
  - It could not be checked whether a managed secret holds the key.
  - The name of the key says that it was created for a secret of another account
    or region. The command reads only the secrets of the account and region that
    its output names.

With --json: an array [{keyId, keyName, owner}] of the revoked keys. keyId is left out if the text of the key was given.`
}

// revokedKey is one revoked key, in JSON.
type revokedKey struct {
	KeyID   string `json:"keyId,omitempty"` // "": the text of the key was given
	KeyName string `json:"keyName,omitempty"`
	Owner   string `json:"owner"`
}

// Run checks all keys before it revokes the first one: a revoked key cannot be restored.
func (o *keysRevokeCommand) Run(ctx context.Context, c *terminal.Console) error {
	if (len(o.IDs) > 0) == o.FromStdin {
		return &usageError{errors.New("give either ids of keys or --from-stdin")}
	}
	if o.FromStdin && o.Admin {
		return &usageError{errors.New("--admin: cannot be used with --from-stdin: an administrator revokes keys by id")}
	}
	client, own, err := o.registry(ctx, c)
	if err != nil {
		return err
	}
	g := &keyGuard{keysRevokeCommand: o, Console: c, registry: client.URL(), place: "registry " + client.Host() +
		", AWS account and region not known"}
	if g.aws, g.noAWS = awsclient.Open(ctx, c); g.noAWS == nil {
		g.place = "registry " + client.Host() + ", " + g.aws.Place(ctx).String()
	}
	var given apikey.Key
	if o.FromStdin {
		if given, err = askKey(ctx, c, g.place, "the key to revoke", "pipe the key into the command (< FILE), or "+
			"give the id of the key as an argument instead of --from-stdin"); err != nil {
			return err
		}
	}
	session, me, err := o.logInAt(ctx, c, client, own, given)
	if err != nil {
		return err
	}
	if err := o.allow(me); err != nil {
		return err
	}
	targets, err := o.targets(ctx, session, me, given)
	if err != nil {
		return err
	}
	if err := g.pass(ctx, targets); err != nil {
		return err
	}
	list := []revokedKey{}
	for _, t := range targets {
		revocation := operations.KeyRevocation{Registry: client, Key: t.key, Admin: o.Admin}
		revocation.Owner, revocation.Sessions = t.shown.Owner, []*quilt.Session{session}
		if len(t.rows) == 1 {
			revocation.KeyID = t.rows[0].ID
		}
		if err := (&operations.Operator{}).RevokeKey(ctx, revocation); err != nil {
			if errors.Is(err, context.Canceled) {
				err = terminal.WithHint(err, "the keys that are listed above were revoked; the others were not")
			}
			return errors.Join(o.print(c, list), err)
		}
		list = append(list, t.shown)
	}
	return o.print(c, list)
}

// askKey reads a key that a user types or pastes. It prints the place first. instead is the hint if
// there is no terminal to ask on.
func askKey(ctx context.Context, c *terminal.Console, place, what, instead string) (apikey.Key, error) {
	if c.Interactive() {
		c.Note(place)
	}
	text, err := c.AskSecret(ctx, what, instead)
	if err != nil {
		return apikey.Key{}, err
	}
	key, err := apikey.Parse(text.Reveal())
	if err != nil {
		return key, terminal.WithHint(fmt.Errorf("the text that was given as %s is %w", what, err),
			"give the whole key on one line")
	}
	return key, nil
}

// target is a key to be revoked.
type target struct {
	shown    revokedKey
	rows     []quilt.APIKey // the key at the registry; if its text was given, all keys with a matching fingerprint
	unlisted error          // why there are no rows
	key      apikey.Key     // the text of the key, if it was given
	what     string         // name of the key in an error
	asked    string         // description of the key in a question
}

func (o *keysRevokeCommand) targets(ctx context.Context, s *quilt.Session, me quilt.Identity,
	given apikey.Key) ([]target, error) {
	var list []target
	for _, id := range o.IDs {
		k, err := o.get(ctx, s, string(id))
		if err != nil {
			return nil, err
		}
		if k == nil {
			return nil, o.unknownKey(string(id), me)
		}
		list = append(list, target{
			shown: revokedKey{k.ID, k.Name, k.UserEmail}, rows: []quilt.APIKey{*k},
			what: "the key " + k.ID, asked: fmt.Sprintf("the key %s of %s (%s), used %s", k.Name, k.UserEmail,
				k.Fingerprint, keyUsed(*k)),
		})
	}
	if o.FromStdin {
		t := target{shown: revokedKey{Owner: me.Email}, key: given, what: "this key",
			asked: fmt.Sprintf("the key %s of %s", given.Fingerprint(), me.Email)}
		t.rows, t.unlisted = s.ListKeys(ctx, quilt.KeyFilter{})
		t.rows = slices.DeleteFunc(t.rows, func(k quilt.APIKey) bool { return !given.Fits(k.Fingerprint) })
		list = append(list, t)
	}
	return list, nil
}

func (o *keysRevokeCommand) print(c *terminal.Console, list []revokedKey) error {
	if o.JSON {
		return c.JSON(list)
	}
	for _, r := range list {
		what, detail := "the key was revoked", r.Owner
		if r.KeyID != "" {
			what, detail = "the key "+r.KeyID+" was revoked", r.KeyName+", "+r.Owner
		}
		if err := c.Print(terminal.Done, what, detail); err != nil {
			return err
		}
	}
	return nil
}

// keyGuard refuses keys that a managed secret holds or may hold, and asks for confirmation.
type keyGuard struct {
	*keysRevokeCommand
	*terminal.Console
	registry string // URL
	place    string // registry, account and region, which each question names
	aws      *awsclient.Cloud
	noAWS    error // why aws is nil
	holders  *managed.Holders
	asked    bool // the user has seen and confirmed what --anyway allows
}

// pass checks all keys, asks for confirmation, and checks the keys again, because something may
// have changed before the answer.
func (g *keyGuard) pass(ctx context.Context, targets []target) error {
	if err := g.check(ctx, targets); err != nil || g.Yes {
		return err
	}
	var asked []string
	for _, t := range targets {
		asked = append(asked, t.asked)
	}
	if err := g.Confirm(ctx, g.place+"\nthis permanently revokes "+strings.Join(asked, ", and ")+
		": every program that uses it stops working", "revoke"); err != nil {
		return err
	}
	g.asked = true
	return g.check(ctx, targets)
}

// read reads all managed secrets the first time. After that, it reads only those that may hold one
// of the keys.
func (g *keyGuard) read(ctx context.Context, targets []target) (err error) {
	if g.holders == nil {
		if g.holders, err = scan(ctx, g.Console, g.aws); err == nil {
			fmt.Fprintf(g.Err, "%s: %s\n", g.place, g.holders.Count())
		}
		return err
	}
	var keys []apikey.Key
	for _, t := range targets {
		keys = append(keys, t.key)
	}
	g.holders, err = g.holders.Refresh(ctx, keys...)
	return err
}

func (g *keyGuard) check(ctx context.Context, targets []target) error {
	err := g.noAWS
	if err == nil {
		err = g.read(ctx, targets)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return g.unchecked("a managed secret holds the key", err)
	}
	ofRegistry := func(s awsclient.Listed) bool { // without a tag, it may be a secret of this registry
		url, err := settings.RegistryOf(s.Tags)
		return err != nil || url == "" || url == g.registry
	}
	if !slices.ContainsFunc(g.holders.Secrets, ofRegistry) {
		if err := g.unchecked("a managed secret holds the key",
			errors.New("no managed secret of this registry was found; check the account and the region")); err != nil {
			return err
		}
	}
	for _, u := range g.holders.Unread {
		if err := g.unchecked("the secret "+u.Secret+" holds the key", u.Err); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if err := g.checkTarget(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (g *keyGuard) checkTarget(ctx context.Context, t target) error {
	var found []managed.Holder
	if !t.key.IsZero() {
		found = g.holders.OfKey(t.key)
	}
	for _, row := range t.rows {
		found = append(found, g.holders.Of(row)...)
	}
	if len(found) > 0 {
		state, otherwise := describeHolder(t.what, found[0])
		switch {
		case !g.Anyway:
			return terminal.WithHint(fmt.Errorf("%s: programs that read that secret would stop working", state),
				otherwise)
		case g.asked || g.Yes:
			return nil
		}
		return g.Confirm(ctx, "secret "+found[0].Secret+", "+g.place+"\n"+state+": programs that read that secret "+
			"stop working", found[0].Secret)
	}
	for _, row := range t.rows {
		if g.holders.Elsewhere(row.Name) {
			err := fmt.Errorf("its name, %s, says that it was created for a secret of another account or region",
				row.Name)
			if err := g.unchecked("a secret elsewhere holds "+t.what, err); err != nil {
				return err
			}
		}
	}
	if len(t.rows) > 0 {
		return nil
	}
	return g.unchecked("a secret still needs "+t.what+" for its grace period",
		cmp.Or(t.unlisted, errors.New("the registry lists no such key of that user")))
}

// unchecked returns an error because something could not be checked. With --anyway, it prints the
// reason once instead.
func (g *keyGuard) unchecked(what string, err error) error {
	err = awsclient.Explain(err)
	if g.Anyway {
		if !g.asked {
			fmt.Fprintf(g.Err, "could not check whether %s: %s\n", what, terminal.LegibleLines(err.Error()))
		}
		return nil
	}
	advice := strings.TrimPrefix(terminal.Hint(err)+"\nif you know that no secret needs the key, add --anyway", "\n")
	return terminal.WithHint(fmt.Errorf("could not check whether %s: %w", what, err), advice)
}

// describeHolder returns where a key is, and what to do instead of revoking it.
func describeHolder(what string, h managed.Holder) (state, otherwise string) {
	leaked := "if it has leaked: quilt-rotate emergency " + h.Secret
	replace := fmt.Sprintf("replace it first: quilt-rotate rotate %s\n%s\nor add --anyway", h.Secret, leaked)
	if h.Beside {
		replace = "remove it from the value first, or put another key there: aws secretsmanager put-secret-value " +
			"--secret-id " + h.Secret + "\nor add --anyway"
	}
	is := what + " is"
	if h.Unsure {
		is = what + " may be"
	}
	switch {
	case h.Issuer:
		return is + " in the issuing credential " + h.Secret, "store another issuing credential there first, or add " +
			"--anyway"
	case h.Deleted:
		return is + " a key of " + h.Secret + ", which is marked for deletion and can be restored",
			"if nobody needs the secret any more, add --anyway; to restore it: " + managed.RestoreCommand(h.Secret)
	case h.Stage == vault.Current:
		return is + " in the current value of " + h.Secret, replace
	case h.Stage == vault.Pending:
		return is + " in the pending value of " + h.Secret, replace
	case h.Beside:
		return is + " in a superseded version of " + h.Secret + " and may still be in use", "if nobody needs it, add " +
			"--anyway"
	}
	return is + " a superseded key of " + h.Secret + " that may still be in use",
		fmt.Sprintf("its sweep revokes it when nobody uses it any more: quilt-rotate status %s\n%s --version %s\nor "+
			"add --anyway", h.Secret, leaked, h.VersionID)
}

// scan reads all managed secrets of the account and region, and shows the progress on a terminal.
func scan(ctx context.Context, c *terminal.Console, aws *awsclient.Cloud) (*managed.Holders, error) {
	progress := c.Progress(true)
	defer progress.Close()
	return managed.Scan(ctx, aws, reading(progress))
}

// reading shows how many secrets were read.
func reading(p *terminal.Progress) func(done, total int) {
	return func(done, total int) { p.Doing(fmt.Sprintf("reading the managed secrets: %d of %d", done, total)) }
}
