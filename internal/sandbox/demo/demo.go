// Package demo shows the life of a key, with the real functions and the sandbox. A rotation creates
// a key while a service uses the secret. The old key is superseded, held and revoked. A leaked key
// is revoked immediately.
//
// The scenario (scenario.go) sends typed events to the presentation (screen.go). It checks each
// promise itself and does not rely on the results of the functions. Package scene carries out all
// actions. The demo never prints a key, and searches its own output for keys.
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

// Options are the settings of the demo.
type Options struct {
	Functions scene.Functions
	Show      func(Event)   // gets one event at a time
	Printed   func() string // returns everything that was printed, to search it for keys
	Latency   time.Duration // of every request, as on a network
	Beat      time.Duration // a pause between chapters, for people who read them

	// Opened gets the scene before the first chapter. Tests use it to inspect and change the
	// sandbox. It may be nil.
	Opened func(*scene.Scene)
}

// ErrNotKept is the error if a promise was not kept. The output shows which one.
var ErrNotKept = errors.New("the demo did not keep all promises: see the lines with NOT KEPT")

// A play is one run of the demo.
type play struct {
	*scene.Scene
	options Options
	log     *functionLog
	began   time.Time

	// The clients of the consumers do not retry.
	client  *quilt.Client
	secrets *secretsmanager.Client

	secretARN string
	service   *consumer     // fetches the current key for every request
	minted    []redact.Text // every key that was created

	kept, promises int

	mu        sync.Mutex // one event at a time
	consumers []*consumer
}

// Run runs the demo. It fails with [ErrNotKept] if a promise was not kept. When it returns, its
// processes and goroutines have ended.
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
	background.Go(func() { p.showConsumers(ctx) })
	defer background.Wait()
	defer cancel()
	defer p.endConsumers()
	if err := p.runChapters(ctx); err != nil {
		return err
	}
	p.show(Ended{Kept: p.kept, Promises: p.promises, Took: time.Since(p.began)})
	if p.kept < p.promises {
		return ErrNotKept
	}
	return nil
}

// latency delays every request, as a network does.
func latency(d time.Duration) wire.Hook {
	return func(_ *wire.Call, next func()) {
		time.Sleep(d)
		next()
	}
}

func (p *play) show(h Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.options.Show(h)
}

// check counts and shows whether a promise was kept.
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
func (p *play) consume(ctx context.Context, name string, workers int,
	fetch func(context.Context) (apikey.Key, error)) *consumer {
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

// stopConsumer ends a consumer and checks that none of its requests failed.
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

const refresh = 80 * time.Millisecond

func (p *play) showConsumers(ctx context.Context) {
	tick := time.NewTicker(refresh)
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
				p.options.Show(Consumed{c.name, c.figures()})
			}
		}
		p.mu.Unlock()
	}
}

// rememberKeys stores every key of the registry before a key is revoked.
func (p *play) rememberKeys() {
	for _, key := range p.Registry.Keys() {
		p.minted = append(p.minted, redact.New(key.Secret))
	}
}

// searchKeys counts the keys in everything that was printed, logged or returned as an error.
func (p *play) searchKeys() (found, searched int) {
	texts := []string{p.options.Printed()}
	for _, name := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
		for _, line := range p.Lambda.Logs(name) {
			texts = append(texts, line.Text)
		}
	}
	for _, c := range p.consumers {
		texts = append(texts, c.figures().Error)
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
