// Package demo tells the life of a key, with the real functions against the sandbox: it is made by
// a rotation while a service uses the secret all the time, superseded, held, revoked; and one that
// leaks is revoked at once.
//
// The story (scenario.go) and its presentation (screen.go) know nothing of each other: the story
// tells typed happenings. It trusts nobody: what it says was kept, it looked up itself, past the
// functions' own words. It relies on package scene for everything that happens, and never prints a
// key: it searches its own output for them.
package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/wire"
)

// Options are what the demo is run with.
type Options struct {
	Functions scene.Functions
	Show      func(Happening) // gets one happening at a time
	Printed   func() string   // everything that was printed so far, to be searched for keys
	Latency   time.Duration   // of every request, as if there were a network
	Beat      time.Duration   // a rest between chapters, for people who read along

	// Opened gets the scene before the story begins; may be nil. Tests look into it, and break it.
	Opened func(*scene.Scene)
}

// ErrFellShort says that a promise was not kept; which one was shown.
var ErrFellShort = errors.New("the demo fell short of its promises")

// A play is one run of the demo.
type play struct {
	*scene.Scene
	options Options
	log     *functionLog
	began   time.Time

	// The consumers' own clients: neither tries anything again.
	client  *quilt.Client
	secrets *secretsmanager.Client

	secretARN string
	service   *consumer     // fetches the current key for every request
	minted    []redact.Text // every key there ever was

	kept, promises int

	mu        sync.Mutex // one happening at a time
	consumers []*consumer
}

// Run tells the story to its end, and fails with [ErrFellShort] if anything fell short. It leaves
// no process and no goroutine behind.
func Run(ctx context.Context, o Options) (err error) {
	p := &play{options: o, began: time.Now()}
	p.log = &functionLog{show: p.show}
	p.Scene, err = scene.Open(scene.Options{Sandbox: sandbox.Options{Logs: p.log}, Functions: o.Functions})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if p.client, err = p.NewRegistryClient("quilt-rotate-demo-consumer"); err != nil {
		return err
	}
	p.secrets = p.SecretsManager(func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
	p.Hooks.Set(latency(o.Latency))
	if o.Opened != nil {
		o.Opened(p.Scene)
	}

	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { p.tellConsumers(ctx) })
	defer background.Wait()
	defer cancel()
	defer p.endConsumers()
	if err := p.tell(ctx); err != nil {
		return err
	}
	p.show(Ended{Kept: p.kept, Promises: p.promises, Took: time.Since(p.began)})
	if p.kept < p.promises {
		return ErrFellShort
	}
	return nil
}

// latency lets every request take as long as it does on a network.
func latency(d time.Duration) wire.Hook {
	return func(_ *wire.Call, next func()) {
		time.Sleep(d)
		next()
	}
}

func (p *play) show(h Happening) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.options.Show(h)
}

// check holds a promise against what was found.
func (p *play) check(promise string, kept bool, detail string, args ...any) {
	p.promises++
	if kept {
		p.kept++
	}
	p.show(Checked{Promise: promise, Kept: kept, Detail: fmt.Sprintf(detail, args...)})
}

func (p *play) rest(ctx context.Context) error {
	if p.options.Beat == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(p.options.Beat):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *play) showVersions(when string) error {
	versions, err := p.Versions(p.secretARN)
	if err != nil {
		return err
	}
	p.show(Versions{When: when, Versions: versions})
	return nil
}

// consume starts a consumer.
func (p *play) consume(ctx context.Context, name string, workers int, fetch func(context.Context) (apikey.Key,
	error)) *consumer {
	c := &consumer{name: name, fetch: fetch, use: func(ctx context.Context, key apikey.Key) error {
		_, err := p.client.WithKey(key).Me(ctx)
		return err
	}}
	c.start(ctx, workers)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consumers = append(p.consumers, c)
	return c
}

// stopConsumer ends a consumer, and holds how it fared against what was promised.
func (p *play) stopConsumer(c *consumer, promise string) {
	tally := c.end()
	p.show(Stopped{c.name})
	detail := fmt.Sprintf("%d requests, %d failed", tally.Requests, tally.Failures)
	if tally.Error != "" {
		detail += ": " + tally.Error
	}
	p.check(promise, tally.Failures == 0, "%s", detail)
}

func (p *play) endConsumers() {
	for _, c := range p.consumers {
		c.end()
	}
}

const telling = 80 * time.Millisecond

func (p *play) tellConsumers(ctx context.Context) {
	tick := time.NewTicker(telling)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		for _, c := range p.consumers {
			if !c.leaving() {
				p.options.Show(Consumed{c.name, c.told()})
			}
		}
		p.mu.Unlock()
	}
}

// rememberKeys notes every key that the registry knows, before any is revoked.
func (p *play) rememberKeys() {
	for _, key := range p.Registry.Keys() {
		p.minted = append(p.minted, redact.New(key.Secret))
	}
}

// searchKeys counts the keys in everything that was printed, logged or answered.
func (p *play) searchKeys() (found, searched int) {
	texts := []string{p.options.Printed()}
	for _, name := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
		for _, line := range p.Lambda.Logs(name) {
			texts = append(texts, line.Text)
		}
	}
	for _, c := range p.consumers {
		texts = append(texts, c.told().Error)
	}
	for _, text := range texts {
		searched += len(text)
		for _, key := range p.minted {
			if strings.Contains(text, key.Reveal()) {
				found++
			}
		}
	}
	return found, searched
}
