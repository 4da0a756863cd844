// Package doctor checks what can be wrong with managed secrets before it does harm: the account,
// the registries, and each secret with the functions that serve it.
//
// The checks are tables: accountChecks, registryChecks, secretChecks. Packages managed and
// awsclient read AWS, and package quilt reads the registry. It writes nothing but one probe key at
// a time, which it revokes (probe.go). Keys are compared in memory, and none is shown.
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

// Options say what to check.
type Options struct {
	Secrets        []string // names or ARNs; none: all managed secrets
	RevokeFunction string   // that sweeps; "": the rotate function's tag names it
	Registry       string   // URL that the functions must use; "": theirs is taken
	// URL of the catalog, whose config.json names the registry and the platform's version; or ""
	Catalog  string
	Client   quilt.Options
	NoProbe  bool // create no key
	Progress func(done, total int)
}

// Group is what was found about one thing.
type Group struct {
	Subject string // name of the secret, host of the registry, URL of the catalog, or Account
	Results []Result
}

// Account is the subject of the checks that concern all secrets.
const Account = "AWS account"

// visit is one run of all checks.
type visit struct {
	Options
	cloud *awsclient.Cloud

	given      string // the registry that Registry or Catalog names; "" for none
	catalog    *quilt.Catalog
	registries map[string]*registry // by URL
	holders    *managed.Holders
	scanErr    error         // why there are no holders
	probing    chan struct{} // held while a probe key exists
	keyWait    time.Duration
}

// secretsAtOnce limits how many secrets are checked at the same time.
const secretsAtOnce = 10

// Run runs all checks and reports group by group: account, registries, secrets. It fails only if it
// was interrupted: a failed check is a result, not an error.
func Run(ctx context.Context, c *awsclient.Cloud, o Options, report func(Group)) error {
	v := &visit{Options: o, cloud: c, given: o.Registry, registries: map[string]*registry{},
		probing: make(chan struct{}, 1), keyWait: defaultKeyWait}
	show := func(subject string, results []Result) {
		if ctx.Err() == nil {
			report(Group{subject, results})
		}
	}
	a := &account{visit: v}
	show(Account, examine(ctx, accountChecks, a))
	if o.Catalog != "" {
		show(o.Catalog, examine(ctx, catalogChecks, v))
	}
	patients := v.admit(ctx, a.secrets)
	for _, r := range v.registriesOf(patients) {
		show(r.host, examine(ctx, registryChecks, r))
	}
	if ctx.Err() != nil {
		return terminal.WithHint(ctx.Err(), "nothing was changed")
	}
	return v.treat(ctx, patients, report)
}

// admit describes the secrets and their functions.
func (v *visit) admit(ctx context.Context, names []string) []*patient {
	patients := make([]*patient, len(names))
	var group errgroup.Group
	group.SetLimit(secretsAtOnce)
	for i, name := range names {
		patients[i] = &patient{visit: v, name: name}
		group.Go(func() error {
			patients[i].open(ctx)
			return nil
		})
	}
	_ = group.Wait() // no function fails: each patient has its error
	return patients
}

// treat checks the secrets, several at the same time, and reports them in their order.
func (v *visit) treat(ctx context.Context, patients []*patient, report func(Group)) error {
	done := make([]chan []Result, len(patients))
	var group errgroup.Group
	group.SetLimit(secretsAtOnce)
	for i := range patients {
		done[i] = make(chan []Result, 1)
	}
	go func() {
		for i, p := range patients {
			group.Go(func() error {
				done[i] <- examine(ctx, secretChecks, p)
				return nil
			})
		}
	}()
	var left []string
	for i, p := range patients {
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
