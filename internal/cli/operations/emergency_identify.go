package operations

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// identify finds the leaked key and asks for confirmation.
func (e *emergency) identify(ctx context.Context) error {
	version, err := e.leakedVersion()
	if err != nil {
		return err
	}
	value, err := e.secret.Value(ctx, version.ID)
	if e.leaked = e.options.Leaked; e.leaked.IsZero() {
		e.leaked = value.Key()
	}
	if err != nil && (e.options.Leaked.IsZero() || ctx.Err() != nil) {
		return fmt.Errorf("the key of the version %s of %s cannot be read: %w", version.ID, e.secret.Name, err)
	}
	e.result.Leaked = LeakedKey{VersionID: version.ID, Fingerprint: e.leaked.Fingerprint()}
	if e.isOwn = value.Key().Equal(e.leaked); e.isOwn {
		e.result.Leaked.KeyID = version.Key()
	}
	state, owner, err := tryKey(ctx, e.options.Registry, e.leaked)
	if err == nil && state != KeyLogsIn && !e.secret.NamesRegistry() {
		err = LogsInThere(ctx, e.secret, e.options.Registry)
	}
	if err != nil {
		return err
	}
	e.owner, e.state = owner, state
	says := map[KeyState]string{KeyLogsIn: "it logs in, as " + owner, KeyRefused: "the registry refuses it",
		KeyUnknown: "it is not known whether it logs in"}[state]
	e.Progress.Report(terminal.Noted, "the leaked key is "+e.leaked.Fingerprint(),
		fmt.Sprintf("version %s; %s", status.Short(version.ID), says))
	protected, err := e.isProtected(ctx)
	if err != nil {
		return err
	}
	if protected {
		if err := e.replaceable(ctx); err != nil {
			return err
		}
	}
	word, err := e.whichLeaked(ctx, version)
	if err != nil {
		return err
	}
	what := "this revokes the key " + e.leaked.Fingerprint()
	if current, _ := e.secret.Holder(vault.Current); protected && current.ID != version.ID &&
		version.Has(vault.Pending) {
		what = fmt.Sprintf("this ends the rotation of %s that is under way, and revokes its key, %s", e.secret.Name,
			e.leaked.Fingerprint())
	} else if protected {
		what = fmt.Sprintf("this replaces the current key of %s now, and revokes the old one, %s", e.secret.Name,
			e.leaked.Fingerprint())
	}
	if services, err := e.secret.Restart(); err == nil && len(services) > 0 && !e.options.SkipRestart {
		what += ", after a restart of " + names(services)
	}
	return e.Confirm(ctx, what+": every program that still uses it stops working", word)
}

// replaceable refuses a secret that has too few free labels for a new key. It also refuses a
// current value that contains the leaked key in another place than the secret's key, because a
// rotation replaces only the secret's key. It runs before anybody logs in.
func (e *emergency) replaceable(ctx context.Context) error {
	if free := vault.LabelQuota - e.secret.Labels(); free < rotationLabels {
		return terminal.WithHint(
			fmt.Errorf("the secret %s has %d free staging labels of %d, and a new key needs %d", e.secret.Name,
				max(free, 0), vault.LabelQuota, rotationLabels),
			fmt.Sprintf("remove labels that nobody needs: aws secretsmanager update-secret-version-stage --secret-id "+
				"%[1]s --version-stage LABEL --remove-from-version-id ID\n"+
				"or revoke superseded keys early: quilt-rotate emergency %[1]s --version ID; to see labels and "+
				"versions: quilt-rotate status %[1]s", e.secret.Name))
	}
	current, ok := e.secret.Holder(vault.Current)
	if !ok {
		return nil
	}
	value, err := e.secret.Value(ctx, current.ID)
	if err == nil && value.Key().Equal(e.leaked) {
		return nil
	}
	if held, err := e.contains(ctx, current.ID); err != nil || !held {
		return err
	}
	return terminal.WithHint(fmt.Errorf("the current value of %s contains the leaked key, but not as the key of the "+
		"secret, so no rotation replaces it", e.secret.Name),
		"remove it from the value, or put another key there: aws secretsmanager put-secret-value --secret-id "+
			e.secret.Name+"; then run this command again with --version "+e.result.Leaked.VersionID)
}

// rotationLabels is the number of labels that must be free for a rotation (package rotation,
// LabelQuota).
const rotationLabels = 5

// whichLeaked returns the word that the operator must type to confirm. Usually it is the name of
// the secret. If no version was given and superseded keys may also be valid, it is the version's
// id, so that nobody confirms the new key instead of the leaked key after an interrupted run. If
// there is nobody to ask, the version must be given.
func (e *emergency) whichLeaked(ctx context.Context, version vault.Version) (string, error) {
	superseded := slices.DeleteFunc(e.superseded(), func(v vault.Version) bool {
		// the same key is not listed again; a version that cannot be read may hold another key
		same, _ := e.contains(ctx, v.ID)
		return same
	})
	if e.options.Version != "" || !e.options.Leaked.IsZero() || len(superseded) == 0 {
		return e.secret.Name, nil
	}
	ids := []string{version.ID + " (current)"}
	for _, v := range superseded {
		e.Progress.Report(terminal.Warned, "a superseded key may also be valid", "version "+v.ID)
		ids = append(ids, v.ID)
	}
	if !e.options.Unasked {
		e.Progress.Report(terminal.Noted, "if one of these keys leaked, do not confirm; run this command again with "+
			"--version and the id of its version", "")
		return short(version.ID), nil
	}
	e.result.Leaked = LeakedKey{} // it is not known which key leaked
	return "", terminal.WithHint(fmt.Errorf("%d keys of %s may be valid, and it is not known which one leaked",
		len(ids), e.secret.Name), "give the version of the leaked key with --version: "+strings.Join(ids, ", "))
}

func (e *emergency) leakedVersion() (vault.Version, error) {
	see := "to see its versions: quilt-rotate status " + e.secret.Name
	if e.options.Version == "" {
		if current, ok := e.secret.Holder(vault.Current); ok {
			return current, nil
		}
		return vault.Version{}, terminal.WithHint(fmt.Errorf("no version of %s is current", e.secret.Name),
			"give the version of the leaked key with --version; "+see)
	}
	var found []vault.Version
	for _, v := range e.secret.Sorted() {
		if strings.HasPrefix(v.ID, e.options.Version) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return vault.Version{}, terminal.WithHint(fmt.Errorf("%s has no version that begins with %s", e.secret.Name,
			e.options.Version), see)
	}
	return vault.Version{}, terminal.WithHint(fmt.Errorf("%d versions of %s begin with %s", len(found), e.secret.Name,
		e.options.Version), "give more characters of the id")
}

// superseded returns the versions that have a key label and are neither current nor pending. Their
// keys may be valid.
func (e *emergency) superseded() []vault.Version {
	return slices.DeleteFunc(e.secret.Sorted(),
		func(v vault.Version) bool { return v.Has(vault.Current) || v.Has(vault.Pending) || len(v.Keys) == 0 })
}

// FindLeaked finds the managed secret and the version whose value contains the key. If a secret is
// given, it searches only that secret. If several versions contain the key, it returns the current
// one. It fails if no secret or more than one secret contains the key.
func (d *Operator) FindLeaked(ctx context.Context, key apikey.Key, secret string) (found managed.Holder,
	all *managed.Holders, err error) {
	if all, err = d.startScan(ctx).result(ctx); err != nil {
		return managed.Holder{}, nil, err
	}
	holders := slices.DeleteFunc(all.OfKey(key), func(h managed.Holder) bool {
		return secret != "" && h.Secret != secret && !strings.HasPrefix(h.ARN+"-", secret+"-")
	})
	looked := all.Scope()
	if len(all.Unread) > 0 {
		var names []string
		for _, u := range all.Unread {
			names = append(names, u.Secret)
		}
		looked += "; these could not be read and may hold it: " + strings.Join(names, ", ")
	}
	if len(holders) == 0 {
		return managed.Holder{}, nil, terminal.WithHint(fmt.Errorf("no managed secret holds the key %s (%s)",
			key.Fingerprint(), looked),
			"check other regions and accounts; if no secret holds it, revoke it: quilt-rotate keys revoke --from-stdin")
	}
	var others []string
	for _, h := range holders {
		if h.Secret != holders[0].Secret {
			others = append(others, h.Secret+" (version "+h.VersionID+")")
		}
	}
	if len(others) > 0 {
		return managed.Holder{}, nil,
			terminal.WithHint(fmt.Errorf("more than one secret holds the key %s: %s (version %s), %s",
				key.Fingerprint(), holders[0].Secret, holders[0].VersionID, strings.Join(others, ", ")),
				"run this for each secret: quilt-rotate emergency SECRET --leaked-key - < FILE; the last run revokes "+
					"the "+
					"key")
	}
	d.Progress.Report(terminal.Noted, "the secret "+holders[0].Secret+" holds the key "+key.Fingerprint(), looked)
	return holders[0], all, nil
}
