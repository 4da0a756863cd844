package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/settings"
)

// The two consumers.
const (
	serviceName    = "pipeline"
	serviceWorkers = 24
	staleName      = "nightly"
)

// A chapter is one part of the demo.
type chapter struct {
	title string
	play  func(context.Context) error
}

// runChapters runs the chapters, one after the other.
func (p *play) runChapters(ctx context.Context) error {
	p.show(Opened{AWS: p.AWSURL, Registry: p.RegistryURL})
	var first, second apikey.Key
	chapters := []chapter{
		{"A secret, and a service that reads it for every request", func(ctx context.Context) (err error) {
			first, err = p.bootstrap(ctx)
			return err
		}},
		{"Secrets Manager rotates it", func(ctx context.Context) (err error) {
			second, err = p.rotate(ctx, first)
			return err
		}},
		{"The old key has a grace period, and is held while it is in use", func(ctx context.Context) error {
			return p.hold(ctx, first)
		}},
		{"Unused for more than a day: the old key is revoked", func(ctx context.Context) error {
			return p.revoke(ctx, first, second)
		}},
		{"The current key leaks: rotate, and revoke it at once", func(ctx context.Context) error {
			return p.emergency(ctx, second)
		}},
		{"The promises", p.promised},
	}
	for i, c := range chapters {
		p.show(Chapter{Number: i + 1, Of: len(chapters), Title: c.title})
		if err := c.play(ctx); err != nil {
			return err
		}
		if err := p.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bootstrap creates the first key, stores it with other settings, switches rotation on, and starts
// the service.
func (p *play) bootstrap(ctx context.Context) (apikey.Key, error) {
	made, err := p.MakeKey(ctx, "pipeline-prod-"+p.Clock.Now().Format("20060102"))
	if err != nil {
		return apikey.Key{}, err
	}
	p.rememberKeys()
	p.show(Did{"created a first key manually", fmt.Sprintf("%s of %s", made.Fingerprint, sandbox.UserEmail)})
	if p.secretARN, err = p.StoreSecret(ctx, scene.SecretName, made.Secret); err != nil {
		return apikey.Key{}, err
	}
	p.show(Did{"stored it in the secret " + scene.SecretName, "a JSON object, with four other fields"})
	if err := p.ConfigureRotation(ctx, p.secretARN); err != nil {
		return apikey.Key{}, err
	}
	p.show(Did{"switched rotation on, every 30 days", "the test run of testSecret passed"})
	p.service = p.consume(ctx, serviceName, serviceWorkers, p.fetchCurrent)
	if err := p.service.caughtUp(ctx); err != nil {
		return apikey.Key{}, err
	}
	p.show(Did{fmt.Sprintf("started the service %q", serviceName),
		fmt.Sprintf("%d workers, no retries", serviceWorkers)})
	return made.Secret, p.showVersions("before")
}

// fetchCurrent reads the current key. The service calls it before each request.
func (p *play) fetchCurrent(ctx context.Context) (apikey.Key, error) {
	out, err := p.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.secretARN})
	if err != nil {
		return apikey.Key{}, err
	}
	value, err := apikey.ParseValue(redact.New(aws.ToString(out.SecretString)), "")
	return value.Key(), err
}

// rotate lets Secrets Manager rotate the secret while the service sends requests.
func (p *play) rotate(ctx context.Context, old apikey.Key) (apikey.Key, error) {
	oldVersion, before, err := p.Current(p.secretARN)
	if err != nil {
		return apikey.Key{}, err
	}
	asked := p.service.figures().Requests
	newVersion, err := p.rotateShown(ctx)
	if err != nil {
		return apikey.Key{}, err
	}
	if err := p.service.caughtUp(ctx); err != nil {
		return apikey.Key{}, err
	}
	current, after, err := p.Current(p.secretARN)
	if err != nil {
		return apikey.Key{}, err
	}
	if err := p.showVersions("after"); err != nil {
		return apikey.Key{}, err
	}
	p.check("AWSCURRENT moved to the new version", current == newVersion && current != oldVersion &&
		!after.Key().Equal(old), "")
	p.check("no other byte of the value changed", after.SameButKey(before), "")
	if err := p.checkLogin(ctx, "the new key logs in", after.Key(), true); err != nil {
		return apikey.Key{}, err
	}
	tally := p.service.figures()
	p.check("no request of the service failed", tally.Failures == 0 && tally.Key == after.Key().Fingerprint(),
		"%d requests meanwhile, %d failed", tally.Requests-asked, tally.Failures)
	return after.Key(), nil
}

// rotateShown shows the four steps of a rotation.
func (p *play) rotateShown(ctx context.Context) (newVersion string, err error) {
	defer p.log.await()()
	p.show(Began{"RotateSecret"})
	newVersion, err = p.Rotate(ctx, p.secretARN)
	p.rememberKeys()
	return newVersion, err
}

// hold sweeps twice. The first sweep marks the superseded key. The second sweep holds it, because
// its grace period is over but it is still in use.
func (p *play) hold(ctx context.Context, old apikey.Key) error {
	stale := p.consume(ctx, staleName, 1, func(context.Context) (apikey.Key, error) { return old, nil })
	p.show(Did{fmt.Sprintf("started the job %q", staleName), "it cached the old key " + old.Fingerprint()})
	marked, err := p.sweep(ctx)
	if err != nil {
		return err
	}
	p.check("the superseded key is marked and still valid",
		took(marked, revocation.Mark, old) && stale.figures().Failures == 0, "")
	p.pass(settings.DefaultGrace + time.Hour)
	if err := stale.caughtUp(ctx); err != nil {
		return err
	}
	held, err := p.sweep(ctx)
	if err != nil {
		return err
	}
	p.check("the grace period is over; the key in use is held", took(held, revocation.Hold, old), "")
	p.stopConsumer(stale, fmt.Sprintf("the job %q never failed", staleName))
	return nil
}

// revoke sweeps when the old key has been unused for longer than the quiet period.
func (p *play) revoke(ctx context.Context, old, current apikey.Key) error {
	p.show(Did{fmt.Sprintf("stopped the job %q", staleName), "the warning of the sweep named its key"})
	p.pass(settings.DefaultQuiet + time.Hour)
	swept, err := p.sweep(ctx)
	if err != nil {
		return err
	}
	p.check("the unused key is revoked", took(swept, revocation.Revoke, old), "")
	if err := p.checkLogin(ctx, "the registry refuses the old key", old, false); err != nil {
		return err
	}
	if err := p.checkLogin(ctx, "the current key logs in", current, true); err != nil {
		return err
	}
	return p.showVersions("after the sweep")
}

// emergency replaces the leaked key and revokes it without a grace period, as `quilt-rotate
// emergency` does. The service first gets the time for one request with the new key, because the
// registry refuses a revoked key immediately. The next sweep removes the label.
func (p *play) emergency(ctx context.Context, leaked apikey.Key) error {
	if _, err := p.rotateShown(ctx); err != nil {
		return err
	}
	if err := p.service.caughtUp(ctx); err != nil {
		return err
	}
	if _, err := p.sweep(ctx); err != nil {
		return err
	}
	if err := p.Revoke(ctx, p.secretARN, leaked); err != nil {
		return err
	}
	p.show(Did{"revoked the leaked key " + leaked.Fingerprint(), "without a grace period"})
	if err := p.checkLogin(ctx, "the registry refuses the leaked key", leaked, false); err != nil {
		return err
	}
	swept, err := p.sweep(ctx)
	if err != nil {
		return err
	}
	p.check("the sweep removes its label", took(swept, revocation.Unlabel, leaked), "")
	return nil
}

// promised checks the promises of the whole demo.
func (p *play) promised(ctx context.Context) error {
	if err := p.service.caughtUp(ctx); err != nil {
		return err
	}
	_, current, err := p.Current(p.secretARN)
	if err != nil {
		return err
	}
	p.stopConsumer(p.service, fmt.Sprintf("the service %q never failed", serviceName))
	if err := p.checkLogin(ctx, "the current key logs in", current.Key(), true); err != nil {
		return err
	}
	left := p.Registry.Keys()
	p.check("no other key is left behind", len(left) == 1 && left[0].Secret == current.Key().Reveal(),
		"%d at the registry", len(left))
	found, searched := p.searchKeys()
	p.check("no key in anything printed or logged", found == 0, "%d kB searched", searched/1000)
	return nil
}

func (p *play) sweep(ctx context.Context) (revocation.Result, error) {
	p.show(Began{"sweep"})
	result, err := p.Sweep(ctx, p.secretARN)
	if err == nil {
		p.show(Swept{At: p.Clock.Now(), Actions: result.Actions})
	}
	return result, err
}

// took reports whether a sweep took this action for the key. A hold is only reported, never done.
func took(result revocation.Result, kind revocation.Kind, key apikey.Key) bool {
	return slices.ContainsFunc(result.Actions, func(t revocation.Taken) bool {
		return t.Action == kind && t.Fingerprint == key.Fingerprint() && (t.Done || kind == revocation.Hold)
	})
}

// pass advances the sandbox's clock.
func (p *play) pass(by time.Duration) {
	p.Clock.Advance(by)
	p.show(ClockMoved{By: by, Now: p.Clock.Now()})
}

func (p *play) checkLogin(ctx context.Context, promise string, key apikey.Key, want bool) error {
	logsIn, err := p.Logins(ctx, key)
	if err != nil {
		return err
	}
	p.check(promise, logsIn == want, "%s", key.Fingerprint())
	return nil
}
