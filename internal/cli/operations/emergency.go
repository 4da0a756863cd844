package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Emergency tells what was done about a key that has leaked.
type Emergency struct {
	Secret        string     `json:"secret"`
	ARN           string     `json:"arn"`
	Leaked        LeakedKey  `json:"leaked"`
	NewVersionID  string     `json:"newVersionId,omitempty"` // "": the leaked key was not current any more
	NewKeyID      string     `json:"newKeyId,omitempty"`
	LeakedRefused bool       `json:"leakedKeyRefused"` // it was seen that it no longer logs in
	Strays        []StrayKey `json:"strays"`           // keys of the same user that no secret in care keeps, newest first
	StraysKnown   bool       `json:"straysKnown"`      // false: the list could not be made
	Timeline      []Moment   `json:"timeline"`
}

// LeakedKey is the key that has leaked.
type LeakedKey struct {
	VersionID   string `json:"versionId"`
	KeyID       string `json:"keyId,omitempty"`
	Fingerprint string `json:"fingerprint"`
}

// EmergencyOptions say how a leaked key is dealt with.
type EmergencyOptions struct {
	Registry    *quilt.Client
	Version     string // whose key has leaked: its id, or how it begins; "": the current one
	Patience    Patience
	Anyway      bool // revoke it even where another secret holds it, or that is not known
	Unasked     bool // nobody is there to say which key has leaked
	SkipRestart bool
	RestartTime time.Duration // how long services are waited for
	LogIn       Login         // makes the new key, where no function rotates the secret
}

// Emergency makes a leaked key useless: it is replaced, and then revoked.
//
// The order: consumers get a new key before the old one dies, so that the emergency causes no outage of its own; they are restarted before it, since
// those that read the key at their start would fail. A restart that fails holds nothing up: the leak is worse. A crash or a Ctrl-C leaves the
// leaked key alive until it is revoked, and the same command with --version goes on from there; a step that is done is not done again, since the
// rotation is skipped where the leaked key is not the current one any more. Twice at once, the second rotation is refused by the service.
func (d *Operator) Emergency(ctx context.Context, s *managed.Secret, o EmergencyOptions) (Emergency, error) {
	line := &timeline{Teller: d.Tell, began: time.Now()}
	operator := *d
	operator.Tell = line
	e := &emergency{Operator: &operator, secret: s, options: o, result: Emergency{Secret: s.Name, ARN: s.ARN, Strays: []StrayKey{}}}
	err := e.run(ctx)
	e.result.Timeline = line.moments
	return e.result, err
}

type emergency struct {
	*Operator
	secret  *managed.Secret
	options EmergencyOptions
	result  Emergency

	leaked apikey.Key
	owner  string // whose it is; "": not known
}

func (e *emergency) run(ctx context.Context) error {
	if err := e.note(ctx); err != nil {
		return stateOf(err, "nothing was done: the leaked key still lives", "")
	}
	again := e.again()
	for _, stage := range []struct {
		do    func(context.Context) error
		state string
	}{
		{e.unstick, "THE LEAKED KEY STILL LIVES; it was not replaced, and AWSPENDING may have been taken off"},
		{e.replace, "THE LEAKED KEY STILL LIVES; if the rotation has started, it goes on at AWS without this command"},
		{e.restart, "THE LEAKED KEY STILL LIVES; it is not current any more, and services may be restarting"},
		{e.revoke, "THE LEAKED KEY MAY STILL LIVE; it is not current any more"},
		{e.prove, "the leaked key was revoked, as far as is known; that it is refused was not seen"},
		{e.listStrays, "the leaked key is refused; which other keys its user has was not listed"},
	} {
		if err := ctx.Err(); err != nil {
			return hint.With(err, stage.state+"\n"+again)
		}
		if err := stage.do(ctx); err != nil {
			return stateOf(err, stage.state, again)
		}
	}
	if !e.result.LeakedRefused {
		return hint.With(errors.New("the leaked key still logs in, as far as is known"), again+"\nif it goes on: have an administrator of the registry revoke it, by its id")
	}
	return nil
}

// again is the command that goes on. It names the version: without it, another run would take the new key for the leaked one.
func (e *emergency) again() string {
	return fmt.Sprintf("go on with: quilt-rotate emergency %s --version %s", e.secret.Name, e.result.Leaked.VersionID)
}

// stateOf adds to any error in which state the leaked key is, and how to go on, below the error's own hint.
func stateOf(err error, state, again string) error {
	err = awsclient.Explain(err)
	lines := slices.DeleteFunc([]string{state, hint.Of(err), again}, func(line string) bool { return line == "" })
	return hint.With(err, strings.Join(lines, "\n"))
}

// note finds the key that has leaked, and demands a confirmation.
func (e *emergency) note(ctx context.Context) error {
	version, err := e.leakedVersion()
	if err != nil {
		return err
	}
	value, err := e.secret.Value(ctx, version.ID)
	if err != nil {
		return fmt.Errorf("the key of the version %s of %s cannot be read: %w", version.ID, e.secret.Name, err)
	}
	e.leaked = value.Key()
	e.result.Leaked = LeakedKey{version.ID, version.Key(), e.leaked.Fingerprint()}
	state, owner, err := tryKey(ctx, e.options.Registry, e.leaked)
	if err == nil && state != KeyLogsIn {
		err = vouched(ctx, e.secret, e.options.Registry)
	}
	if err != nil {
		return err
	}
	e.owner = owner
	says := map[KeyState]string{KeyLogsIn: "it logs in, as " + owner, KeyRefused: "it is refused already", KeyUnknown: "whether it logs in is not known"}[state]
	e.Tell.Tell(terminal.Noted, "the leaked key is "+e.leaked.Fingerprint(), fmt.Sprintf("version %s; %s", wording.Short(version.ID), says))
	if err := e.warnOfOthers(ctx); err != nil {
		return err
	}
	protected, err := e.protected(ctx)
	if err != nil {
		return err
	}
	word, err := e.whichLeaked(ctx, version)
	if err != nil {
		return err
	}
	what := "this revokes the key " + e.leaked.Fingerprint()
	if protected {
		what = fmt.Sprintf("this replaces the current key of %s now, and revokes the old one, %s", e.secret.Name, e.leaked.Fingerprint())
	}
	if services, err := e.secret.Restart(); err == nil && len(services) > 0 && !e.options.SkipRestart {
		what += ", after a restart of " + names(services)
	}
	return e.Confirm(ctx, what+": whoever still uses it then stops working", word)
}

// whichLeaked gives the word that confirms. Where no version was named and superseded keys log in too, it is the version's id, so that nobody takes the
// new key for the leaked one after a run that was cut off; where nobody can be asked, the version must be named.
func (e *emergency) whichLeaked(ctx context.Context, version vault.Version) (string, error) {
	if e.options.Version != "" {
		return e.secret.Name, nil
	}
	living, err := e.livingElsewhere(ctx)
	if err != nil || len(living) == 0 {
		return e.secret.Name, err
	}
	if !e.options.Unasked {
		e.Tell.Tell(terminal.Noted, "has one of those leaked? then do not confirm, and name its version: --version", "")
		return short(version.ID), nil
	}
	ids := []string{version.ID + " (current)"}
	for _, v := range living {
		ids = append(ids, v.ID)
	}
	e.result.Leaked = LeakedKey{} // it is not known which one leaked
	return "", hint.With(fmt.Errorf("%d keys of %s may log in: which one has leaked?", len(ids), e.secret.Name), "name its version with --version: "+strings.Join(ids, ", "))
}

// warnOfOthers tells of another secret that holds the leaked key: its consumers are hurt too. It fails only where ctx has ended.
func (e *emergency) warnOfOthers(ctx context.Context) error {
	e.Tell.Doing("looking whether another secret holds it too")
	keepers, err := managed.FindKeepers(ctx, e.Cloud, e.secret.ARN)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.Tell.Tell(terminal.Warned, "whether another secret holds the leaked key is not known", awsclient.Explain(err).Error())
		return nil
	}
	if other, kept := keepers.OfKey(e.leaked); kept {
		e.Tell.Tell(terminal.Warned, "the secret "+other+" holds the leaked key too: it needs another one", "quilt-rotate emergency "+other)
	}
	for _, u := range keepers.Unread {
		e.Tell.Tell(terminal.Warned, "the secret "+u.Secret+" cannot be read, and may hold the leaked key too", awsclient.Explain(u.Err).Error())
	}
	return nil
}

func (e *emergency) leakedVersion() (vault.Version, error) {
	if e.options.Version == "" {
		if current, ok := e.secret.Holder(vault.Current); ok {
			return current, nil
		}
		return vault.Version{}, hint.With(fmt.Errorf("no version of %s is current", e.secret.Name), "name the one whose key has leaked: --version; see: quilt-rotate status "+e.secret.Name)
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
		return vault.Version{}, hint.With(fmt.Errorf("%s has no version that begins with %s", e.secret.Name, e.options.Version), "see: quilt-rotate status "+e.secret.Name)
	}
	return vault.Version{}, hint.With(fmt.Errorf("%d versions of %s begin with %s", len(found), e.secret.Name, e.options.Version), "give more of its id")
}

// protected tells whether the leaked key is the current or the pending one, so that it must be replaced before it can be revoked. A value
// that has it in another place than the key's counts too: somebody may read it there.
func (e *emergency) protected(ctx context.Context) (bool, error) {
	for _, stage := range []string{vault.Current, vault.Pending} {
		holder, ok := e.secret.Holder(stage)
		if !ok {
			continue
		}
		raw, err := e.Cloud.Vault.ReadIfAny(ctx, e.secret.ARN, holder.ID)
		if errors.Is(err, vault.ErrNoValue) || errors.Is(err, vault.ErrBinary) {
			continue
		}
		if err != nil {
			return false, err
		}
		value, err := apikey.ParseValue(raw, e.secret.Tags[settings.TagField])
		if err == nil && value.Key().Equal(e.leaked) || strings.Contains(raw.Reveal(), e.leaked.Reveal()) {
			return true, nil
		}
	}
	return false, nil
}

// unstick takes AWSPENDING off, where it would refuse the rotation, or keep the leaked key from being revoked.
func (e *emergency) unstick(ctx context.Context) error {
	if _, stuck := waiting(e.secret); !stuck {
		return nil
	}
	operator := *e.Operator
	operator.Confirm = func(context.Context, string, string) error { return nil } // it was given
	unstuck, err := operator.Unstick(ctx, e.secret, UnstickOptions{Registry: e.options.Registry, Now: true})
	if errors.Is(err, errFinished) { // as good: what is current now is looked at again
		err = e.secret.Look(ctx)
	}
	if err == nil && unstuck.Detached {
		e.Tell.Tell(terminal.Done, "another rotation was under way, and is given up: AWSPENDING was taken off", "")
	}
	return err
}

// replace rotates, where the leaked key is the current one.
func (e *emergency) replace(ctx context.Context) error {
	protected, err := e.protected(ctx)
	if err != nil {
		return err
	}
	if !protected {
		e.Tell.Tell(terminal.Noted, "the leaked key is not current any more, so there is nothing to replace", "")
		return nil
	}
	if !e.secret.Deployed() {
		return e.install(ctx)
	}
	rotated, err := e.Rotate(ctx, e.secret, e.options.Patience)
	e.result.NewVersionID, e.result.NewKeyID = rotated.VersionID, rotated.KeyID
	if err == nil {
		e.Tell.Tell(terminal.Done, "replaced: AWSCURRENT is the new version "+rotated.VersionID, "key "+rotated.KeyID)
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	e.Tell.Tell(terminal.Failed, "the leaked key was not replaced: IT STILL LIVES", "")
	next := fmt.Sprintf("put another key in: quilt-rotate recover %[1]s --replace; then: quilt-rotate emergency %[1]s --version %[2]s", e.secret.Name, e.result.Leaked.VersionID)
	if first := hint.Of(awsclient.Explain(err)); first != "" {
		next = first + "\n" + next
	}
	return hint.With(awsclient.Explain(err), next)
}

// restart has the configured services fetch the new key. What fails is told, and holds nothing up.
func (e *emergency) restart(ctx context.Context) error {
	services, err := e.secret.Restart()
	switch {
	case err != nil:
		e.Tell.Tell(terminal.Warned, "no service is restarted", err.Error())
		return nil
	case e.options.SkipRestart:
		e.Tell.Tell(terminal.Noted, "no service is restarted, as was asked for", "")
		return nil
	case len(services) == 0:
		e.Tell.Tell(terminal.Noted, "no service is to be restarted", "the tag "+settings.TagRestart+" names none")
		return nil
	}
	var begun []settings.Service
	for _, service := range services {
		e.Tell.Doing("restarting " + service.String())
		if err := finish(ctx, func(ctx context.Context) error { return e.Cloud.Redeploy(ctx, service) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.Tell.Tell(terminal.Warned, "the service "+service.String()+" was not restarted", awsclient.Explain(err).Error())
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
	e.Tell.Doing(fmt.Sprintf("waiting until %s have the new key, for %s at most", names(services), terminal.About(e.options.RestartTime)))
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
			e.Tell.Tell(terminal.Warned, "the service "+service.String()+" is not through its restart: it may still use the leaked key", awsclient.Explain(failed[i]).Error())
			continue
		}
		e.Tell.Tell(terminal.Done, "restarted "+service.String(), "")
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

// prove logs in with the leaked key.
func (e *emergency) prove(ctx context.Context) error {
	state, _, err := tryKey(ctx, e.options.Registry, e.leaked)
	if err != nil {
		return err
	}
	e.result.LeakedRefused = state == KeyRefused
	switch state {
	case KeyRefused:
		e.Tell.Tell(terminal.Done, "proved: the leaked key is refused", "")
		e.unlabel(ctx)
	case KeyLogsIn:
		e.Tell.Tell(terminal.Failed, "THE LEAKED KEY STILL LOGS IN", "")
	default:
		e.Tell.Tell(terminal.Failed, "whether the leaked key still logs in is not known", "the registry gave no answer")
	}
	return nil
}

// unlabel removes the labels of the leaked key, if a session of its owner does not find it. A sweep could not: if it never saw the version superseded, nothing
// shows it whose key that was. Marks come off first, as in a sweep. A crash before it or in between, or a failure, leaves labels that the next sweep removes
// or reports.
func (e *emergency) unlabel(ctx context.Context) {
	id := e.result.Leaked.KeyID
	session, err := e.asCurrent(ctx)
	if err != nil || id == "" {
		return
	}
	if l, err := session.Login(ctx, id); err != nil || l.Key != nil || !quilt.SameUser(l.Email, e.owner) {
		return
	}
	err = e.secret.Look(ctx)
	version := e.secret.Versions[e.result.Leaked.VersionID]
	var labels []string
	for _, mark := range version.Marks {
		labels = append(labels, mark.Label())
	}
	for _, label := range append(labels, vault.KeyLabel(id)) {
		if err == nil && version.Has(label) {
			err = e.takeOff(ctx, e.secret.ARN, label, version.ID)
		}
	}
	if err != nil {
		e.Tell.Tell(terminal.Warned, "the labels of the leaked key were not removed", awsclient.Explain(err).Error())
	}
}
