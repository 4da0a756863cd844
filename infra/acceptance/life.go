package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// life is the life of a key and the observations that were made.
type life struct {
	*throwaway
	registry *quilt.Client
	patience time.Duration // how long to wait for what should happen at once
	wait     time.Duration // how long to wait for retries and events
	out      io.Writer

	began time.Time
	seen  observations
	arn   string // of the service's secret
	input string // of the schedule of the sweeps
}

// A part is one part of the life.
type part struct {
	name string
	live func(l *life, ctx context.Context) error
	// stops: if the part fails, the later parts are skipped
	stops bool
}

// deployment comes before the life.
var deployment = []part{{"the deployment", (*life).deployAll, true}, {"the rule for " +
	"events", (*life).watchEvents, false}}

// parts are the parts of the life in their order. The rotation on need comes first, because the
// functions start none within a day after another rotation.
var parts = []part{
	{"the first test run", (*life).firstTest, true},
	{"labels", (*life).putLabels, false},
	{"the first key", (*life).firstKey, true},
	{"the registry", (*life).askRegistry, false},
	{"the schedule of the sweeps", (*life).readSchedule, false},
	{"rotation on need", (*life).onNeed, false},
	{"a rotation", (*life).rotateOnce, true},
	{"a consumer with quilt3", (*life).runQuilt3, false},
	{"a key that is held, then revoked", (*life).holdAndRevoke, false},
	{"a rollback", (*life).rollBack, false},
	{"a rotation with RotateImmediately=false", (*life).testRun, false},
	{"a stuck AWSPENDING", (*life).stick, false},
	{"a secret of another stack", (*life).anotherStack, false},
	{"a rotation that fails", (*life).fail, false},
	{"a denied permission", (*life).deny, false},
	{"steps with a permission denied", (*life).denyEachStep, false},
	{"a secret that is not served", (*life).askStranger, false},
	{"an emergency", (*life).emergency, false},
	{"the events", (*life).readEvents, false},
	{"the end of a secret", (*life).retireAll, false},
}

// errSkipped says why a part was skipped.
type errSkipped struct{ why string }

func (e errSkipped) Error() string { return e.why }

// live runs the parts and adds their results to the report. If a part fails, the life ends only if
// the later parts need it.
func (l *life) live(ctx context.Context, parts []part, r *report) error {
	for _, p := range parts {
		began, before := time.Now(), l.seen
		fmt.Fprintf(l.out, "%s: ", p.name)
		err := p.live(l, ctx)
		if ctx.Err() != nil { // a part that Ctrl-C interrupted has no result
			l.seen, err = before, errors.New("interrupted")
		}
		done := lived{Part: p.name, Outcome: passed, Seconds: time.Since(began).Seconds()}
		if why, ok := errors.AsType[errSkipped](err); ok {
			done.Outcome, done.Detail = skipped, why.Error()
		} else if err != nil {
			done.Outcome, done.Detail = failed, err.Error()
		}
		r.Life = append(r.Life, done)
		fmt.Fprintf(l.out, "%s (%.1f s) %s\n", done.Outcome, done.Seconds, r.hide.clean(done.Detail))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if done.Outcome == failed && p.stops {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (l *life) describe(ctx context.Context, secretID string) (vault.Secret, error) {
	return l.cloud.vault.Describe(ctx, secretID)
}

// settled waits until no rotation of the secret is in progress.
func (l *life) settled(ctx context.Context, secretID string) error {
	return await(ctx, l.patience, func() (bool, error) {
		s, err := l.describe(ctx, secretID)
		if err != nil {
			return false, err
		}
		pending, some := s.Holder(vault.Pending)
		return !some || pending.Has(vault.Current), nil
	})
}

func (l *life) logsIn(ctx context.Context, key apikey.Key) bool {
	_, err := l.registry.WithKey(key).Me(ctx)
	return err == nil
}

func (l *life) tag(ctx context.Context, secretID string, tags map[string]string) error {
	in := &secretsmanager.TagResourceInput{SecretId: &secretID}
	for name, value := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: &name, Value: &value})
	}
	_, err := l.cloud.secrets.TagResource(ctx, in)
	return err
}

// sweep runs a sweep of the service's secret and returns its result.
func (l *life) sweep(ctx context.Context) (revocation.Result, error) {
	var result revocation.Result
	err := l.run.rotate(ctx, &result, "", "revoke", l.service(), "--yes", "--json")
	return result, err
}

func did(result revocation.Result, action revocation.Kind) bool {
	return slices.ContainsFunc(result.Actions,
		func(a revocation.Taken) bool { return a.Action == action && a.Error == "" })
}

// rotateKey rotates a secret with the command. It checks that the new key is current and works, and
// that the old key still works if it worked before.
func (l *life) rotateKey(ctx context.Context, secretID string) (old, new apikey.Key, err error) {
	if old, err = l.cloud.currentKey(ctx, secretID); err != nil {
		return old, new, err
	}
	worked := l.logsIn(ctx, old)
	if err = l.run.rotate(ctx, nil, "", "rotate", secretID, "--json"); err != nil {
		return old, new, err
	}
	if new, err = l.cloud.currentKey(ctx, secretID); err != nil {
		return old, new, err
	}
	switch {
	case new.Equal(old):
		err = errors.New("the rotation left the old key current")
	case !l.logsIn(ctx, new):
		err = errors.New("the new key does not log in")
	case worked && !l.logsIn(ctx, old):
		err = errors.New("the old key no longer logs in")
	}
	return old, new, err
}

func (l *life) deployAll(ctx context.Context) error {
	fmt.Fprintln(l.out)
	return l.deploy(ctx)
}

func (l *life) watchEvents(ctx context.Context) error { return l.watch(ctx) }

// firstTest waits for the end of the test run that the deployment starts.
func (l *life) firstTest(ctx context.Context) error {
	s, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	l.arn = s.ARN
	if err := l.settled(ctx, l.service()); err != nil {
		return err
	}
	return await(ctx, l.patience, func() (bool, error) {
		lines, err := l.cloud.log(ctx, l.rotate, l.began)
		l.seen.FirstTest = lines
		return slices.ContainsFunc(lines, func(line logLine) bool { return line.Step != "" }), err
	})
}

// putLabels stores a value with two labels in a secret without rotation.
func (l *life) putLabels(ctx context.Context) error {
	name, value := l.scratch(), "{}"
	if _, err := l.cloud.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value}); err != nil {
		return err
	}
	put := &labelsPut{Asked: []string{"acceptance:label", vault.Pending}}
	value = `{"stored": true}`
	stored, err := l.cloud.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name,
		SecretString: &value, ClientRequestToken: aws.String(uuid.NewString()), VersionStages: put.Asked})
	if err != nil {
		return err
	}
	put.Answered = stored.VersionStages
	described, err := l.cloud.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		return err
	}
	put.Described = described.VersionIdsToStages[*stored.VersionId]
	slices.Sort(put.Answered)
	slices.Sort(put.Described)
	slices.Sort(put.Asked)
	l.seen.Labels = put
	return nil
}

// firstKey stores the first key after a login on the terminal.
func (l *life) firstKey(ctx context.Context) error {
	fmt.Fprintln(l.out)
	if err := l.run.logIn(ctx, "bootstrap", l.service(), "--registry", l.config.Registry); err != nil {
		return err
	}
	key, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	me, err := l.registry.WithKey(key).Me(ctx)
	if err != nil {
		return err
	}
	return l.tag(ctx, l.service(), map[string]string{settings.TagOwner: me.Email})
}

// askRegistry sends requests to the registry with the current key, and lets the function do the
// same.
func (l *life) askRegistry(ctx context.Context) error {
	key, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	if l.seen.Registry, err = ask(ctx, l.registry, key, l.service(), l.arn, l.patience); err != nil {
		return err
	}
	var plan revocation.Result
	err = l.run.rotate(ctx, &plan, "", "revoke", l.service(), "--dry-run", "--json")
	reason := ""
	switch {
	case err != nil:
		reason = err.Error()
	case plan.WouldFail != nil:
		reason = plan.WouldFail.Error
	}
	l.seen.NotReached = &reason
	return err
}

// onNeed revokes the current key at the registry and starts the state machine. The state machine
// must rotate the secret, with the issuing credential.
func (l *life) onNeed(ctx context.Context) error {
	if l.issuer() == "" {
		return errSkipped{"the file names no issuing credential, which creates a key when the current one is refused"}
	}
	if l.input == "" {
		return errors.New("the schedule of the sweeps is not known")
	}
	refused, err := l.cloud.currentKey(ctx, l.service())
	if err == nil {
		err = l.registry.WithKey(refused).RevokeKeyBySecret(ctx, refused)
	}
	if err == nil {
		err = l.runSweeps(ctx)
	}
	if err != nil {
		return err
	}
	return await(ctx, l.patience, func() (bool, error) {
		now, err := l.cloud.currentKey(ctx, l.service())
		return err == nil && !now.Equal(refused) && l.logsIn(ctx, now), err
	})
}

// rotateOnce rotates the secret and makes the observations of the first rotation.
func (l *life) rotateOnce(ctx context.Context) error {
	before, err := l.cloud.vault.ReadCurrent(ctx, l.service())
	if err != nil {
		return err
	}
	old, new, err := l.rotateKey(ctx, l.service())
	if err != nil {
		return err
	}
	after, err := l.cloud.vault.ReadCurrent(ctx, l.service())
	if err != nil {
		return err
	}
	if strings.Replace(before.Reveal(), old.Reveal(), new.Reveal(), 1) != after.Reveal() {
		return errors.New("more than the key changed in the value")
	}
	s, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	current, _ := s.Holder(vault.Current)
	pending, _ := s.Holder(vault.Pending)
	l.seen.AfterStep = &pendingAfter{current.ID, pending.ID}
	if current.Key() == "" {
		return errors.New("the new version does not have the label of its key")
	}
	return l.readLogs(ctx)
}

// readLogs reads the logs of the functions before any permission is denied.
func (l *life) readLogs(ctx context.Context) error {
	l.seen.Refused, l.seen.StepsDone = nil, 0
	for _, f := range []lambdaFunction{l.rotate, l.revoke} {
		lines, err := l.cloud.log(ctx, f, l.began)
		if err != nil {
			return err
		}
		for _, line := range lines {
			switch {
			case denied(line):
				l.seen.Refused = append(l.seen.Refused, line)
			case line.Message == "step done" || line.Message == "sweep done" || line.Message == "sweep looked at":
				l.seen.StepsDone++
				l.seen.Longest = max(l.seen.Longest, line.Took)
			}
		}
	}
	return nil
}

// holdAndRevoke uses the superseded key after its grace period. A sweep then holds the key, and the
// next sweep after the quiet period revokes it. Tags set short periods, because the configuration
// file does not accept periods that short.
func (l *life) holdAndRevoke(ctx context.Context) error {
	s, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	previous, _ := s.Holder(vault.Previous)
	value, err := vault.ReadValue(ctx, l.cloud.vault.Read, s.ARN, previous.ID, "")
	if err != nil {
		return err
	}
	old := value.Key()
	if err := l.tag(ctx, l.service(), map[string]string{settings.TagGrace: "1s",
		settings.TagQuiet: "1h"}); err != nil {
		return err
	}
	result, err := l.sweep(ctx)
	if err != nil {
		return err
	}
	if !did(result, revocation.Mark) {
		return errors.New("the sweep did not mark the superseded version")
	}
	pause(ctx, 2*time.Second)
	if !l.logsIn(ctx, old) {
		return errors.New("the old key does not log in before it is revoked")
	}
	if result, err = l.sweep(ctx); err != nil {
		return err
	}
	held := did(result, revocation.Hold)
	if !held && l.logsIn(ctx, old) {
		return errors.New("the sweep neither held nor revoked the old key")
	}
	if err := l.tag(ctx, l.service(), map[string]string{settings.TagQuiet: "1s"}); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	if _, err = l.sweep(ctx); err != nil {
		return err
	}
	switch revoked := !l.logsIn(ctx, old); {
	case !revoked && held:
		return errSkipped{"the key was held, and not revoked: the registry's record of its use is coarse"}
	case !held:
		return errSkipped{"the key was revoked, and not held: the registry did not record its use"}
	}
	return nil
}

// rollBack moves AWSCURRENT back, and rotates again.
func (l *life) rollBack(ctx context.Context) error {
	old, _, err := l.rotateKey(ctx, l.service())
	if err != nil {
		return err
	}
	if err := l.run.rotate(ctx, nil, "", "rollback", l.service(), "--registry", l.config.Registry, "--yes",
		"--json"); err != nil {
		return err
	}
	now, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	if !now.Equal(old) || !l.logsIn(ctx, now) {
		return errors.New("the old key is not current, or does not log in")
	}
	// If AWSPENDING stayed on the version after its rotation, it would block the next rotation.
	if err := l.unstick(ctx); err != nil {
		return err
	}
	_, _, err = l.rotateKey(ctx, l.service())
	return err
}

// testRun starts a rotation with RotateImmediately=false, which only tests the configuration.
func (l *life) testRun(ctx context.Context) error {
	before, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	since := time.Now().Add(-time.Second)
	started, err := l.cloud.secrets.RotateSecret(ctx,
		&secretsmanager.RotateSecretInput{SecretId: aws.String(l.service()),
			RotateImmediately: aws.Bool(false)})
	if err != nil {
		return err
	}
	var steps []string
	if err := await(ctx, l.patience, func() (bool, error) {
		lines, err := l.cloud.log(ctx, l.rotate, since)
		steps = nil
		for _, line := range lines {
			if line.Version == aws.ToString(started.VersionId) && line.Step != "" {
				steps = append(steps, line.Step+" "+line.Outcome)
			}
		}
		return len(steps) > 0, err
	}); err != nil {
		return fmt.Errorf("the function's log shows no step: %w", err)
	}
	if err := l.settled(ctx, l.service()); err != nil {
		return err
	}
	now, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	if !now.Equal(before) {
		return errors.New("another key is current after a test run")
	}
	if slices.ContainsFunc(steps, func(s string) bool { return s != "testSecret ok" }) {
		return fmt.Errorf("the steps were %s, and not testSecret alone", strings.Join(steps, ", "))
	}
	return nil
}

// stick stores a pending version by hand, as an interrupted rotation leaves it. The version must
// block the next rotation until the command removes AWSPENDING.
func (l *life) stick(ctx context.Context) error {
	value, err := l.cloud.vault.ReadCurrent(ctx, l.service())
	if err != nil {
		return err
	}
	if _, err := l.cloud.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(l.service()), SecretString: aws.String(value.Reveal() + " "),
		ClientRequestToken: aws.String(uuid.NewString()), VersionStages: []string{vault.Pending}}); err != nil {
		return err
	}
	_, err = l.cloud.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String(l.service())})
	if err == nil {
		return errors.New("a rotation was not refused while AWSPENDING was stuck")
	}
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "InvalidRequestException" {
		return err
	}
	if err := l.unstick(ctx); err != nil {
		return err
	}
	_, _, err = l.rotateKey(ctx, l.service())
	return err
}

func (l *life) unstick(ctx context.Context) error {
	if err := l.run.rotate(ctx, nil, "", "unstick", l.service(), "--registry", l.config.Registry, "--now", "--yes",
		"--json"); err != nil {
		return err
	}
	return l.settled(ctx, l.service())
}

// anotherStack rotates a secret of another stack, which finds the function by its parameter.
func (l *life) anotherStack(ctx context.Context) error {
	if err := l.deployTeam(ctx); err != nil {
		return err
	}
	if err := l.settled(ctx, l.team()); err != nil {
		return err
	}
	key, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	if err := l.run.rotate(ctx, nil, key.Reveal()+"\n", "bootstrap", l.team(), "--registry",
		l.config.Registry); err != nil {
		return err
	}
	_, _, err = l.rotateKey(ctx, l.team())
	return err
}

// fail makes a rotation fail in createSecret before a key is created, with the tag of another
// registry. It waits for retries.
func (l *life) fail(ctx context.Context) (err error) {
	before, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	wrong := map[string]string{settings.TagRegistry: "https://registry.invalid"}
	if err := l.tag(ctx, l.service(), wrong); err != nil {
		return err
	}
	f := &failing{LastRotatedBefore: before.Rotation.Last}
	since := time.Now().Add(-time.Second)
	_, err = l.cloud.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String(l.service())})
	if err == nil {
		err = await(ctx, l.wait, func() (bool, error) {
			lines, err := l.cloud.log(ctx, l.rotate, since)
			f.Tries = slices.DeleteFunc(lines, func(line logLine) bool {
				return line.Step != "createSecret" || line.ErrorType == "" || line.Secret != l.arn
			})
			return len(f.Tries) > 1, err
		})
		f.Waited = time.Since(since).Round(time.Second)
		if errors.Is(err, errPatience) {
			err = nil
		}
	}
	after, describing := l.describe(ctx, l.service())
	f.LastRotatedAfter = after.Rotation.Last
	// Ctrl-C must not leave a tag that retire refuses.
	restored := l.tag(context.WithoutCancel(ctx), l.service(),
		map[string]string{settings.TagRegistry: l.config.Registry})
	if err = errors.Join(err, describing, restored); err != nil {
		return err
	}
	l.seen.Failing = f
	if err := l.unstick(ctx); err != nil {
		return err
	}
	if len(f.Tries) == 0 {
		return errors.New("the function's log shows no failed step")
	}
	_, _, err = l.rotateKey(ctx, l.service())
	return err
}

// askStranger requests a dry run for a secret whose rotation does not name the function.
func (l *life) askStranger(ctx context.Context) error {
	name := l.stranger()
	made, err := l.cloud.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: aws.String(`{"note": "of an acceptance run"}`)})
	if err != nil {
		return err
	}
	answer, _, err := l.cloud.invoke(ctx, l.revoke, map[string]any{"secretId": *made.ARN, "dryRun": true})
	l.seen.Stranger = &answer
	return err
}

// emergency replaces the current key and revokes it at once.
func (l *life) emergency(ctx context.Context) error {
	leaked, err := l.cloud.currentKey(ctx, l.service())
	if err != nil {
		return err
	}
	s, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	current, _ := s.Holder(vault.Current)
	if err := l.run.rotate(ctx, nil, "", "emergency", l.service(), "--registry", l.config.Registry, "--version",
		current.ID, "--skip-restart", "--yes", "--json"); err != nil {
		return err
	}
	now, err := l.cloud.currentKey(ctx, l.service())
	switch {
	case err != nil:
		return err
	case l.logsIn(ctx, leaked):
		return errors.New("the leaked key still logs in")
	case !l.logsIn(ctx, now):
		return errors.New("the new key does not log in")
	}
	return nil
}

// retireAll retires the secrets and checks that rotation is off.
func (l *life) retireAll(ctx context.Context) error {
	before, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	if err := l.retire(ctx, l.service()); err != nil {
		return err
	}
	after, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	l.seen.AfterCancel = &rotator{before.Rotation.Function, after.Rotation.Function}
	if _, err := l.describe(ctx, l.team()); err != nil {
		return nil // its stack was not deployed
	}
	return l.retire(ctx, l.team())
}
