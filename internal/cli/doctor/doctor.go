// Package doctor checks managed secrets for problems before they cause an outage: the AWS account,
// the registries, and each secret with the functions that serve it.
//
// The checks are tables: accountChecks, registryChecks, secretChecks. Packages managed and
// awsclient read AWS, and package quilt reads the registry. The only change that the package makes
// is one probe key at a time, which it revokes (probe.go). Keys are compared in memory and never
// shown.
package doctor

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// Options are the options of [Run].
type Options struct {
	Secrets        []string // names or ARNs; none: all managed secrets
	RevokeFunction string   // "": the function that the rotate function's tag names
	Registry       string   // URL that the functions must use; "": any
	Catalog        string   // URL of the catalog, which names the registry and the version of the stack; or ""
	Client         quilt.Options
	NoProbe        bool // create no probe key
	Progress       func(done, total int)
}

// Group has the results of the checks of one subject.
type Group struct {
	Subject string // name of the secret, host of the registry, URL of the catalog, or Account
	Results []Result
}

// Account is the subject of the checks that concern all secrets.
const Account = "AWS account"

// examination is one run of all checks.
type examination struct {
	Options
	cloud *awsclient.Cloud

	given      string // registry that Registry or Catalog names; "": none
	catalog    *quilt.Catalog
	registries map[string]*registry // by URL
	holders    *managed.Holders
	scanErr    error         // why holders is nil
	probing    chan struct{} // full while a probe key exists
	keyWait    time.Duration
}

// secretsAtOnce limits how many secrets are checked at the same time.
const secretsAtOnce = 10

// Run runs all checks and reports the groups in this order: account, registries, secrets. It fails
// only if it is interrupted. A failed check is a result, not an error.
func Run(ctx context.Context, c *awsclient.Cloud, o Options, report func(Group)) error {
	v := &examination{Options: o, cloud: c, given: o.Registry, registries: map[string]*registry{},
		probing: make(chan struct{}, 1), keyWait: defaultKeyWait}
	show := func(subject string, results []Result) {
		if ctx.Err() == nil {
			report(Group{subject, results})
		}
	}
	a := &account{examination: v}
	show(Account, runChecks(ctx, accountChecks, a))
	if o.Catalog != "" {
		show(o.Catalog, runChecks(ctx, catalogChecks, v))
	}
	secrets := v.openSecrets(ctx, a.secrets)
	for _, r := range v.registriesOf(secrets) {
		show(r.host, runChecks(ctx, registryChecks, r))
	}
	if ctx.Err() != nil {
		return terminal.WithHint(ctx.Err(), "nothing was changed")
	}
	return v.checkSecrets(ctx, secrets, report)
}

// openSecrets describes the secrets and their functions.
func (v *examination) openSecrets(ctx context.Context, names []string) []*examined {
	secrets := make([]*examined, len(names))
	var group errgroup.Group
	group.SetLimit(secretsAtOnce)
	for i, name := range names {
		secrets[i] = &examined{examination: v, name: name}
		group.Go(func() error {
			secrets[i].open(ctx)
			return nil
		})
	}
	_ = group.Wait() // no function fails: each secret stores its error
	return secrets
}

// checkSecrets checks the secrets, several at the same time, and reports them in their order.
func (v *examination) checkSecrets(ctx context.Context, secrets []*examined, report func(Group)) error {
	done := make([]chan []Result, len(secrets))
	var group errgroup.Group
	group.SetLimit(secretsAtOnce)
	for i := range secrets {
		done[i] = make(chan []Result, 1)
	}
	go func() {
		for i, p := range secrets {
			group.Go(func() error {
				done[i] <- runChecks(ctx, secretChecks, p)
				return nil
			})
		}
	}()
	var left []string
	for i, p := range secrets {
		results := <-done[i]
		if p.left != "" {
			left = append(left, p.left)
		}
		if ctx.Err() == nil {
			report(Group{p.name, results})
		}
	}
	switch {
	case ctx.Err() == nil:
		return nil
	case len(left) > 0:
		return terminal.WithHint(ctx.Err(), slices.Max(left))
	}
	return terminal.WithHint(ctx.Err(), "no probe key is left")
}
