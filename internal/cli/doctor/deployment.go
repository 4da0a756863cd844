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
	"quilt-rotate/internal/schedule"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// deployAgain is the fix of what a stack sets and somebody changed.
const deployAgain = "deploy the stack again"

// leastTimeout is what a step needs: it waits 20 s for a new key to be known, and the registry may be slow.
const leastTimeout = 30 * time.Second

func (p *patient) rotateFunction(context.Context) finding {
	switch {
	case p.secret.Rotation.Function == "":
		return failure("put the secret into a stack (infra/README.md), and deploy that", "no function rotates the secret")
	case p.functionErr != nil:
		return broken(p.functionErr, "")
	}
	if _, err := settings.LoadRotate(settings.Deployed(p.function.Environment)); err != nil {
		return failure(deployAgain, "%s: %s", p.function.Name, err)
	}
	given, err := settings.RegistryURL(p.given)
	if err == nil && given != p.url {
		return failure("check the URL that you gave, and the registry in the stack's configuration", "%s creates keys at %s, not at %s", p.function.Name, p.url, given)
	}
	if arn := p.secret.Rotation.Function; arn != awsclient.UnqualifiedFunction(arn) {
		return warning("point the rotation at the function itself: aws secretsmanager rotate-secret --secret-id "+p.name+
			" --no-rotate-immediately --rotation-lambda-arn "+awsclient.UnqualifiedFunction(arn),
			"the rotation names a version or an alias: %s. The roles of the functions allow secrets that name the function's unqualified ARN", arn)
	}
	return runs(p.function)
}

// runs is what must hold for any of the functions.
func runs(f awsclient.Function) finding {
	switch {
	case f.State != "Active" && f.State != "": // older functions have no state
		return failure("see it: aws lambda get-function --function-name "+f.Name, "%s is %s: %s", f.Name, f.State, f.StateReason)
	case f.Timeout < leastTimeout:
		return failure(deployAgain, "%s may run for %s only, and needs %s", f.Name, f.Timeout, leastTimeout)
	case f.Reserved != nil && *f.Reserved < leastConcurrency:
		return failure("aws lambda delete-function-concurrency --function-name "+f.Name,
			"%s has a reserved concurrency of %d: below %d its calls are refused, and steps come over and over", f.Name, *f.Reserved, leastConcurrency)
	}
	return ok("%s, %s", f.Name, f.Timeout)
}

// secretsManager is the principal that invokes a rotation function.
const secretsManager = "secretsmanager.amazonaws.com"

func (p *patient) permission(ctx context.Context) finding {
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
			return ok("Secrets Manager may call it, for this account")
		}
		open = open || permission.SourceAccount == ""
	}
	if open {
		return failure(deployAgain+": it demands SourceAccount", "Secrets Manager may call it for anybody's secrets: the permission has no SourceAccount")
	}
	return failure(deployAgain, "Secrets Manager may not call it: its policy has no such permission for this account")
}

// account12 is the account in an ARN.
func account12(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

func (p *patient) sweeper(ctx context.Context) finding {
	name, err := p.secret.Sweeper(ctx)
	if err != nil {
		return broken(err, "")
	}
	f, err := p.cloud.Function(ctx, name)
	if awsclient.NotFound(err) {
		return failure(deployAgain+", or name it with --revoke-function", "the revoke function %s does not exist: replaced keys are not revoked", name)
	}
	if err != nil {
		return broken(err, "")
	}
	env, err := settings.LoadRevoke(settings.Deployed(f.Environment))
	if err != nil {
		return failure(deployAgain, "%s: %s", f.Name, err)
	}
	if env.RegistryURL != p.url {
		return failure(deployAgain, "%s uses another registry than the one that creates the keys: %s", f.Name, env.RegistryURL)
	}
	if sweeping, err := env.ForSecret(p.secret.Tags); err == nil { // else the tags are another check's
		p.sweeping = &sweeping
	}
	return runs(f)
}

var knownTags = []string{
	settings.TagField, settings.TagKeyName, settings.TagExpiresInDays, settings.TagGrace, settings.TagQuiet, settings.TagHoldLimit,
	settings.TagIssuer, settings.TagOwner, settings.TagRegistry, settings.TagPauseUntil, settings.TagPauseReason, settings.TagRestart,
}

// tags reads the settings as both functions do. If a function cannot be looked at, its defaults are used.
func (p *patient) tags(context.Context) finding {
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
		return failure("correct the tag in the stack's configuration, and deploy; until then the functions refuse the secret", "%s", problem)
	}
	ours := 0
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if !strings.HasPrefix(name, settings.TagPrefix) {
			continue
		}
		ours++
		if !slices.Contains(knownTags, name) {
			return warning("correct its name, or take it off", "nothing reads the tag %s", name)
		}
	}
	if until := managed.PausedUntil(p.secret.Secret); until != nil {
		return warning("quilt-rotate resume "+p.name, "sweeps are paused until %s", status.Clock(*until))
	}
	if p.sweeping == nil && !managed.Marked(tags, p.secret.Sorted()) {
		return warning("quilt-rotate adopt "+p.name, "the secret is not managed: it has no tag and no label of ours, and no function of ours rotates it")
	}
	return ok("%s set", plural(ours, "tag"))
}

// faults lists each faulty setting once: some tags are both functions' to read.
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

func (p *patient) rotates(context.Context) finding {
	r := p.secret.Rotation
	switch {
	case !r.Enabled:
		return failure(deployAgain+", or: aws secretsmanager rotate-secret --secret-id "+p.name+" --no-rotate-immediately --rotation-lambda-arn "+r.Function,
			"rotation is switched off")
	case r.Rules == vault.RotationRules{}:
		return failure("set a schedule in the stack's configuration, and deploy", "nothing rotates it by itself: it has no schedule")
	case !r.Next.IsZero() && p.now().Sub(r.Next) > day:
		return failure("see why: quilt-rotate status "+p.name+"; try it: quilt-rotate rotate "+p.name,
			"the rotation of %s is overdue by %s", r.Next.UTC().Format(time.DateOnly), days(p.now().Sub(r.Next)))
	}
	text := r.Rules.Schedule
	if r.Rules.AfterDays > 0 {
		text = "every " + plural(r.Rules.AfterDays, "day")
	}
	if r.Rules.Window != "" {
		text += ", window " + r.Rules.Window
	}
	return ok("%s", text)
}

// lifetime is the arithmetic of the deployment (package schedule): one missed rotation must be no outage, and no third key may live.
func (p *patient) lifetime(context.Context) finding {
	rules := p.secret.Rotation.Rules
	s := schedule.Days(rules.AfterDays)
	if rules.AfterDays == 0 {
		var err error
		if s, err = schedule.Parse(rules.Schedule); err != nil {
			return skip("the schedule is none that the arithmetic knows: %s", rules.Schedule)
		}
	}
	window := s.Window
	if d, err := time.ParseDuration(rules.Window); err == nil {
		window = d
	}
	life, least := time.Duration(p.rotation.ExpiresInDays)*day, s.LeastLife(window)
	sum := fmt.Sprintf("2 × %s + window %s + 7 days", interval(s.Longest), hours(window))
	switch {
	case life < least && least > settings.MaxExpiresInDays*day:
		return failure("rotate more often: no key may live that long; deploy", "keys live %s, and one missed rotation needs %s (%s)", days(life), days(least), sum)
	case life < least:
		return failure(fmt.Sprintf("set expiresInDays to %d or more, or rotate more often; deploy", least/day), "keys live %s, and one missed rotation needs %s (%s)", days(life), days(least), sum)
	case p.sweeping != nil && s.Shortest <= p.sweeping.Grace+p.sweeping.Quiet:
		return warning("rotate less often, or shorten grace or quiet; deploy",
			"rotations come every %s, before grace and quiet (%s) are over: more than two keys live", interval(s.Shortest), hours(p.sweeping.Grace+p.sweeping.Quiet))
	}
	return ok("keys live %s ≥ %s: %s", days(life), days(least), sum)
}

func interval(d time.Duration) string {
	if d%day == 0 {
		return days(d)
	}
	return hours(d)
}

func (p *patient) replicas(context.Context) finding {
	if len(p.secret.Replicas) == 0 {
		return ok("none")
	}
	var late, all []string
	for _, r := range p.secret.Replicas {
		all = append(all, r.Region)
		if r.Status != vault.InSync {
			late = append(late, r.Region+" is "+r.Status)
		}
	}
	if len(late) > 0 {
		return failure("see why: aws secretsmanager describe-secret --secret-id "+p.name+"; then replicate again: aws secretsmanager replicate-secret-to-regions",
			"%s: readers there get an old key, and sweeps wait", strings.Join(late, ", "))
	}
	return ok("in sync: %s", strings.Join(all, ", "))
}
