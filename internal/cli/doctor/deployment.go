package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
	"quilt-rotate/internal/vault"
)

// deployAgain is the fix if a property that the stack sets was changed.
const deployAgain = "deploy the stack again"

// leastTimeout is the timeout that a step needs: it waits up to 20 s until the registry accepts a
// new key.
const leastTimeout = 30 * time.Second

func (p *examined) rotateFunction(context.Context) finding {
	switch {
	case p.secret.Rotation.Function == "":
		return failure(p.secret.NotRotated(), "no function rotates the secret")
	case p.functionErr != nil:
		return broken(p.functionErr, "")
	}
	if _, err := settings.LoadRotate(settings.Deployed(p.function.Environment)); err != nil {
		return failure(deployAgain, "%s: %s", p.function.Name, err)
	}
	given, err := settings.RegistryURL(p.given)
	if err == nil && given != p.url {
		return failure("check the URL that you gave, and the registry in the configuration of the stack",
			"%s creates keys at %s, not at %s", p.function.Name, p.url, given)
	}
	if arn := p.secret.Rotation.Function; arn != vault.UnqualifiedFunction(arn) {
		return failure("point the rotation at the function itself: aws secretsmanager rotate-secret --secret-id "+
			p.name+" --no-rotate-immediately --rotation-lambda-arn "+vault.UnqualifiedFunction(arn),
			"the rotation names a version or an alias of the function, but the functions have permission only for "+
				"secrets that name the function itself: %s", arn)
	}
	if p.function.Tags[settings.TagRevokeFunction] == "" {
		return failure("point the rotation to the rotate function of a stack (docs/tools/README.md); if it does, "+
			"use credentials with the permission lambda:ListTags",
			"%s has no tag %s: it is not a rotate function of quilt-rotate, or its tags may not be read",
			p.function.Name, settings.TagRevokeFunction)
	}
	return runs(p.function)
}

// runs checks the properties that both functions need.
func runs(f awsclient.Function) finding {
	switch {
	case f.State != "Active" && f.State != "": // older functions have no state
		return failure("aws lambda get-function --function-name "+f.Name, "%s is %s: %s", f.Name, f.State,
			f.StateReason)
	case f.Timeout < leastTimeout:
		return failure(deployAgain, "the timeout of %s is %s, and it must be at least %s", f.Name, f.Timeout,
			leastTimeout)
	case f.Reserved != nil && *f.Reserved < leastConcurrency:
		return failure("aws lambda delete-function-concurrency --function-name "+f.Name,
			"%s has a reserved concurrency of %d; below %d, Lambda throttles the steps of a rotation, and Secrets "+
				"Manager repeats them", f.Name, *f.Reserved, leastConcurrency)
	}
	return ok("%s, %s", f.Name, f.Timeout)
}

// sweeps reports whether the schedule of all sweeps of the secret's stack is disabled.
func (p *examined) sweeps(ctx context.Context) finding {
	s, named, err := managed.SweepSchedule(ctx, p.cloud, p.function)
	switch {
	case !named:
		return skip("%s has no tag %s, because an older release deployed it", p.function.Name, settings.TagSchedule)
	case err != nil:
		return broken(err, "")
	case !s.Enabled:
		return warning("quilt-rotate resume --all", "all sweeps are paused: the schedule %s is disabled", s.Name)
	}
	return ok("started by the schedule %s", s.Name)
}

// secretsManager is the principal that invokes a rotation function.
const secretsManager = "secretsmanager.amazonaws.com"

func (p *examined) permission(ctx context.Context) finding {
	list, err := p.cloud.Permissions(ctx, p.function.ARN)
	if err != nil {
		return broken(err, "")
	}
	open := false
	for _, permission := range list {
		if permission.Service != secretsManager {
			continue
		}
		if permission.SourceAccount == account12(p.secret.ARN) {
			return ok("Secrets Manager may invoke it for this account")
		}
		open = open || permission.SourceAccount == ""
	}
	if open {
		return failure(deployAgain, "Secrets Manager may invoke it for the secrets of any account: the permission has "+
			"no SourceAccount")
	}
	return failure(deployAgain, "Secrets Manager may not invoke it: its policy has no permission for this account")
}

// account12 returns the account in an ARN.
func account12(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

func (p *examined) sweeper(ctx context.Context) finding {
	name, err := p.secret.Sweeper(ctx)
	if err != nil {
		return broken(err, "")
	}
	f, err := p.cloud.Function(ctx, name)
	if awsclient.NotFound(err) {
		return failure(deployAgain+", or name it with --revoke-function", "the revoke function %s does not exist: "+
			"replaced keys are not revoked", name)
	}
	if err != nil {
		return broken(err, "")
	}
	env, err := settings.LoadRevoke(settings.Deployed(f.Environment))
	if err != nil {
		return failure(deployAgain, "%s: %s", f.Name, err)
	}
	if env.RegistryURL != p.url {
		return failure(deployAgain, "%s uses the registry %s, but the keys are created at another registry", f.Name,
			env.RegistryURL)
	}
	if sweeping, err := env.ForSecret(p.secret.Tags); err == nil { // otherwise the check of the tags reports it
		p.sweeping = &sweeping
	}
	return runs(f)
}

var knownTags = []string{
	settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet,
	settings.TagHoldLimit, settings.TagIssuer, settings.TagOwner, settings.TagOwnerSince, settings.TagRegistry,
	settings.TagOnNeed, settings.TagPauseUntil, settings.TagPauseReason, settings.TagRestart,
}

// tags validates the tags as both functions do. If a function cannot be read, the defaults are
// used.
func (p *examined) tags(context.Context) finding {
	env, err := settings.LoadRotate(settings.Deployed(p.function.Environment))
	if err != nil {
		env = settings.Rotate{ExpiresInDays: settings.DefaultExpiresInDays}
	}
	tags := p.secret.Tags
	var rotationErr error
	p.rotation, rotationErr = env.ForSecret(tags)
	_, revocationErr := settings.Revoke{}.ForSecret(tags)
	_, restartErr := p.secret.Restart()
	if problem := faults(rotationErr, revocationErr, restartErr); problem != "" {
		return failure("correct the tag in the tool that owns the secret, or with aws secretsmanager tag-resource; "+
			"until then, the functions refuse the secret", "%s", problem)
	}
	ours := 0
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if !strings.HasPrefix(name, settings.TagPrefix) {
			continue
		}
		ours++
		if !slices.Contains(knownTags, name) {
			return warning("correct its name, or remove it: aws secretsmanager untag-resource --secret-id "+p.name+
				" --tag-keys "+name, "nothing reads the tag %s", name)
		}
	}
	if until := managed.PausedUntil(p.secret.Secret); until != nil {
		return warning("quilt-rotate resume "+p.name, "sweeps are paused until %s", status.Clock(*until))
	}
	if p.sweeping == nil && !managed.Marked(tags, p.secret.Sorted()) {
		return warning("quilt-rotate adopt "+p.name+" --registry URL --schedule 'rate(30 days)'",
			"the secret is not managed: it has no tag and no label of quilt-rotate, and no rotate function of "+
				"quilt-rotate")
	}
	if !p.secret.RegistryTagged() {
		return warning("quilt-rotate adopt "+p.name+", or set it in the tool that owns the secret",
			"the tag %s is missing: without it, the secret is not swept while rotation is off", settings.TagRegistry)
	}
	return ok("%s set", plural(ours, "tag"))
}

// faults lists each invalid setting once, because both functions read some of the tags.
func faults(errs ...error) string {
	var list []string
	for _, err := range errs {
		if invalid, ok := errors.AsType[*settings.Invalid](err); ok {
			for _, f := range invalid.Faults {
				list = append(list, f.Error())
			}
		} else if err != nil {
			list = append(list, err.Error())
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), "; ")
}

func (p *examined) rotates(context.Context) finding {
	r := p.secret.Rotation
	switch {
	case !r.Enabled:
		return failure(managed.NotRotated(p.name), "rotation is switched off")
	case r.Rules == vault.RotationRules{}:
		return failure("set a schedule in the tool that owns the secret", "the secret has no rotation schedule, so no "+
			"rotation starts")
	// the fix depends on whether a rotation is under way, and on the current key
	case !r.Next.IsZero() && p.now().Sub(r.Next) > day:
		return failure("to see what to do: quilt-rotate status "+p.name,
			"the rotation of %s is overdue by %s", r.Next.UTC().Format(time.DateOnly), days(p.now().Sub(r.Next)))
	}
	return ok("%s", r.Rules)
}

// lifetime applies the rules of the deployment (package schedule): one missed rotation must not
// cause an outage, and at most two keys should be valid at a time.
func (p *examined) lifetime(context.Context) finding {
	rules := p.secret.Rotation.Rules
	s := schedule.Days(rules.AfterDays)
	if rules.Schedule != "" {
		var err error
		if s, err = schedule.Parse(rules.Schedule); err != nil {
			return skip("the schedule has an unknown format: %s", rules.Schedule)
		}
	}
	window := s.Window
	if d, err := time.ParseDuration(rules.Window); err == nil {
		window = d
	}
	life, least := time.Duration(p.rotation.ExpiresInDays)*day, s.MinLifetime(window)
	sum := fmt.Sprintf("2 × %s + window %s + 7 days", span(s.Longest), span(window))
	switch {
	case life < least && least > settings.MaxExpiresInDays*day:
		return failure("rotate more often: a key is valid for at most 365 days",
			"keys are valid for %s; one missed rotation needs %s (%s)", days(life), days(least), sum)
	case life < least:
		return failure(fmt.Sprintf("rotate more often, or set the tag %s to %d or more", settings.TagExpiresInDays,
			least/day), "keys are valid for %s; one missed rotation needs %s (%s)", days(life), days(least), sum)
	case p.sweeping != nil && s.Shortest <= p.sweeping.Grace+p.sweeping.Quiet:
		return warning("rotate less often, or shorten the grace period or the quiet period with the tags "+
			settings.TagGrace+" and "+settings.TagQuiet,
			"the secret is rotated every %s, before the grace period and the quiet period (%s) are over, so more than "+
				"two keys are valid at a time", span(s.Shortest), span(p.sweeping.Grace+p.sweeping.Quiet))
	}
	return ok("keys are valid for %s; one missed rotation needs %s (%s)", days(life), days(least), sum)
}

func (p *examined) replicas(context.Context) finding {
	if len(p.secret.Replicas) == 0 {
		return ok("none")
	}
	var all []string
	for _, r := range p.secret.Replicas {
		if r.Status != vault.InSync {
			return failure("to see why: aws secretsmanager describe-secret --secret-id "+p.name+
				"; to replicate again: aws secretsmanager replicate-secret-to-regions --secret-id "+
				p.name+" --add-replica-regions Region="+r.Region+" --force-overwrite-replica-secret",
				"%s is %s: consumers there may read an old key, and sweeps wait", r.Region, r.Status)
		}
		all = append(all, r.Region)
	}
	return ok("in sync: %s", strings.Join(all, ", "))
}
