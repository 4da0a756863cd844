package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

type auditCommand struct {
	keyLogin
	Own          bool            `help:"Report only the keys of the user who logs in. Does not require an administrator."`
	UnusedDays   int             `default:"90" help:"A key that was not used for this number of days counts as unused."`
	ExpiringDays int             `default:"14" help:"A key that expires within this number of days counts as expiring."`
	Format       string          `enum:"table,json,csv" default:"table" help:"Output format: table, json or csv."`
	JSON         bool            `name:"json" help:"Same as --format json."`
	FailOn       []audit.Finding `placeholder:"FINDING" help:"Exit with status 1 if a key has one of these findings: expired, expiring, unused, never-used, unmanaged, elsewhere, name."`
}

// Help is the long help.
func (auditCommand) Help() string {
	return `Requires an administrator of the registry. With --own, any user can report their own keys. The command also reads
the managed secrets of the AWS account and region, to find which secret holds each key. Findings:

  expired     The key has expired.
  expiring    The key expires soon: see --expiring-days.
  unused      The key was neither created nor used recently: see --unused-days.
  never-used  The key was not used since it was created, a day ago or earlier.
  unmanaged   No managed secret holds the key.
  elsewhere   The key was created for a secret of another account or region.
  name        The name does not follow the form purpose-environment-date, such as ci-prod-2026q4.

  quilt-rotate audit --format csv > keys.csv
  quilt-rotate audit --fail-on unmanaged,expiring

With --json: an object with registry, askedBy, scope, time, thresholds {unusedDays, expiringDays}, unjudged, notes, totals {keys, statuses, owners [{owner, keys, expired, findings}], findings}, keys [{keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt, daysToExpiry, daysUnused, secret, findings}].`
}

func (o *auditCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := o.check(); err != nil {
		return err
	}
	session, me, err := o.logIn(ctx, c)
	if err != nil {
		return err
	}
	keys, err := o.list(ctx, session, me)
	if err != nil {
		return err
	}
	options := audit.Options{Now: registryTime(keys, me), Registry: session.Host(), AskedBy: me.Email,
		UnusedDays: o.UnusedDays, ExpiringDays: o.ExpiringDays}
	o.holders(ctx, c, &options)
	if err := ctx.Err(); err != nil {
		return err
	}
	report := audit.New(keys, options)
	if err := o.write(c, report); err != nil {
		return err
	}
	return o.verdict(report)
}

func (o *auditCommand) check() error {
	if o.JSON {
		o.Format = "json"
	}
	switch {
	case o.UnusedDays < 1:
		return &usageError{errors.New("--unused-days: must be at least 1")}
	case o.ExpiringDays < 1:
		return &usageError{errors.New("--expiring-days: must be at least 1")}
	}
	return nil
}

func (o *auditCommand) list(ctx context.Context, s *quilt.Session, me quilt.Identity) ([]quilt.APIKey, error) {
	if o.Own {
		return s.ListKeys(ctx, quilt.KeyFilter{})
	}
	if !me.IsAdmin {
		return nil, terminal.WithHint(fmt.Errorf("%s is not an administrator of the registry", me.Email),
			"log in as an administrator, or report on your own keys with --own")
	}
	return s.AdminListKeys(ctx, quilt.AdminKeyFilter{})
}

// registryTime returns the registry's time when it returned the list. Dates of keys are compared
// with this time.
func registryTime(keys []quilt.APIKey, me quilt.Identity) time.Time {
	if len(keys) > 0 {
		return keys[0].RegistryTime
	}
	return me.RegistryTime
}

// holders finds which managed secrets hold the keys. If AWS does not answer, the report is written
// without that, because it is mainly about the registry.
func (o *auditCommand) holders(ctx context.Context, c *terminal.Console, options *audit.Options) {
	aws, err := awsclient.Open(ctx, c)
	var holders *managed.Holders
	if err == nil {
		holders, err = scan(ctx, c, aws)
	}
	if err != nil {
		options.Unread = "the managed secrets could not be listed"
		if ctx.Err() == nil {
			printError(c, "could not check which keys the managed secrets hold", err)
		}
		return
	}
	for _, u := range holders.Unread {
		printError(c, "the secret "+u.Secret+" could not be read", u.Err)
	}
	options.Scope = holders.Scope()
	if len(holders.Secrets) == 0 { // this may be the wrong account or region
		options.Unread = "no managed secret was found in " + holders.Place.String()
		return
	}
	options.Secret, options.Elsewhere = holders.Secret, holders.Elsewhere
	if len(holders.Unread) > 0 {
		options.Unread = "not every managed secret could be read"
	}
	for _, s := range holders.Secrets {
		if s.Deleted {
			options.Notes = append(options.Notes, fmt.Sprintf("%s; to restore it: %s",
				&managed.DeletedError{Secret: s.Name}, managed.RestoreCommand(s.Name)))
		}
	}
}

func (o *auditCommand) write(c *terminal.Console, report audit.Report) error {
	switch o.Format {
	case "json":
		return report.WriteJSON(c.Out)
	case "csv":
		// CSV rows have no place for these lines
		for _, line := range append([]string{"API keys at " + report.Registry, report.Scope}, report.Notes...) {
			if line != "" {
				fmt.Fprintln(c.Err, terminal.Legible(line))
			}
		}
		return report.WriteCSV(c.Out)
	}
	width := 0
	if c.Watched() {
		width = c.Width()
	}
	return report.WriteTable(c.Out, width)
}

// verdict returns an error if a key has a finding of --fail-on, or if the report could not check
// that.
func (o *auditCommand) verdict(report audit.Report) error {
	var unjudged []string
	for _, finding := range o.FailOn {
		if slices.Contains(report.Unjudged, finding) {
			unjudged = append(unjudged, string(finding))
		}
	}
	if len(unjudged) > 0 {
		return terminal.WithHint(fmt.Errorf("could not check which keys are %s",
			strings.Join(unjudged, " or ")), strings.Join(report.Notes, "; "))
	}
	var found []string
	for _, finding := range report.Fails(o.FailOn) {
		found = append(found, string(finding))
	}
	if len(found) > 0 {
		return terminal.WithHint(fmt.Errorf("keys with these findings exist: %s", strings.Join(found, ", ")),
			"the report above lists them; to see what each finding means: quilt-rotate audit --help")
	}
	return nil
}

// printError prints what failed and the hint to standard error.
func printError(c *terminal.Console, what string, err error) {
	err = awsclient.Explain(err)
	fmt.Fprintf(c.Err, "%s: %s\n", what, terminal.LegibleLines(err.Error()))
	if text := terminal.Hint(err); text != "" {
		fmt.Fprintln(c.Err, text)
	}
}
