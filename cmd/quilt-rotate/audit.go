package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/audit"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

type auditCommand struct {
	keyLogin
	Own          bool            `help:"Only the keys of the user who logs in: needs no administrator."`
	UnusedDays   int             `default:"90" help:"A key that was last used longer ago is unused."`
	ExpiringDays int             `default:"14" help:"A key that has fewer days left is expiring."`
	Format       string          `enum:"table,json,csv,html" default:"table" help:"table, json, csv or html (one self-contained page)."`
	JSON         bool            `name:"json" help:"As --format json."`
	FailOn       []audit.Finding `placeholder:"FINDING,…" help:"End with exit status 1 where there are such keys: expired, expiring, unused, never-used, unmanaged, name."`
}

// Help says what the short help does not.
func (auditCommand) Help() string {
	return `For an administrator of the registry; --own is for everybody.

  quilt-rotate audit --format html > keys.html
  quilt-rotate audit --fail-on unmanaged,expiring

With --json: an object with registry, askedBy, time, thresholds {unusedDays, expiringDays}, unjudged, notes, totals {keys, statuses, owners [{owner, keys, expired, findings}], findings}, keys [{keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt, daysToExpiry, daysUnused, secret, findings}].`
}

func (o *auditCommand) Run(ctx context.Context, c *terminal.Console) error {
	if err := o.check(c); err != nil {
		return err
	}
	session, me, err := o.logIn(ctx, c, apikey.Key{})
	if err != nil {
		return err
	}
	keys, err := o.list(ctx, session, me)
	if err != nil {
		return err
	}
	held, complete := o.held(ctx, c, keys)
	if err := ctx.Err(); err != nil {
		return err
	}
	report := audit.New(keys, audit.Options{
		Now: registryTime(keys, me), Registry: session.Host(), AskedBy: me.Email, Held: held, HeldComplete: complete, UnusedDays: o.UnusedDays, ExpiringDays: o.ExpiringDays,
	})
	if err := o.write(c, report); err != nil {
		return err
	}
	return o.verdict(report)
}

func (o *auditCommand) check(c *terminal.Console) error {
	if o.JSON {
		o.Format = "json"
	}
	switch {
	case o.UnusedDays < 1:
		return &usageError{errors.New("--unused-days: must be at least 1")}
	case o.ExpiringDays < 1:
		return &usageError{errors.New("--expiring-days: must be at least 1")}
	case o.Format == "html" && c.Watched():
		return hint.With(&usageError{errors.New("a page is for a browser, and standard output is a terminal")}, "send it to a file: quilt-rotate audit --format html > keys.html")
	}
	return nil
}

func (o *auditCommand) list(ctx context.Context, s *quilt.Session, me quilt.Identity) ([]quilt.APIKey, error) {
	if o.Own {
		return s.ListKeys(ctx, quilt.KeyFilter{})
	}
	if !me.IsAdmin {
		return nil, hint.With(fmt.Errorf("%s is no administrator of the registry", me.Email), "log in as an administrator, or report on your own keys with --own")
	}
	return s.AdminListKeys(ctx, quilt.AdminKeyFilter{})
}

// registryTime is the registry's clock when it gave the list, which its dates are compared with.
func registryTime(keys []quilt.APIKey, me quilt.Identity) time.Time {
	if len(keys) > 0 {
		return keys[0].RegistryTime
	}
	return me.RegistryTime
}

// held tells which keys the secrets in care hold. Where AWS does not tell, the report goes on without: it is about the registry first.
func (o *auditCommand) held(ctx context.Context, c *terminal.Console, keys []quilt.APIKey) (audit.Held, bool) {
	aws, err := awsclient.Open(ctx)
	if err == nil {
		var held audit.Held
		var unread []managed.Unread
		held, unread, err = managed.Held(ctx, aws, keys)
		for _, u := range unread {
			tellError(c, "the secret "+u.Secret+" could not be looked at", u.Err)
		}
		if err == nil {
			return held, len(unread) == 0
		}
	}
	if ctx.Err() == nil {
		tellError(c, "which keys secrets hold is not known", err)
	}
	return nil, false
}

func (o *auditCommand) write(c *terminal.Console, report audit.Report) error {
	switch o.Format {
	case "json":
		return report.WriteJSON(c.Out)
	case "csv":
		for _, note := range report.Notes { // rows have no place for them
			fmt.Fprintln(c.Err, note)
		}
		return report.WriteCSV(c.Out)
	case "html":
		return report.WriteHTML(c.Out)
	}
	width := 0
	if c.Watched() {
		width = c.Width()
	}
	return report.WriteTable(c.Out, audit.TableOptions{Width: width, Colour: c.Watched()})
}

// verdict fails on what was asked for: where it was found, and where it could not be looked for.
func (o *auditCommand) verdict(report audit.Report) error {
	var unjudged []string
	for _, finding := range o.FailOn {
		for _, u := range report.Unjudged {
			if u == finding {
				unjudged = append(unjudged, string(u))
			}
		}
	}
	if len(unjudged) > 0 {
		return hint.With(fmt.Errorf("the report cannot tell which keys are %s", strings.Join(unjudged, " or ")), strings.Join(report.Notes, "; "))
	}
	var found []string
	for _, finding := range report.Fails(o.FailOn) {
		found = append(found, string(finding))
	}
	if len(found) > 0 {
		return hint.With(fmt.Errorf("there are keys that are %s", strings.Join(found, " and ")), "the report above names them; what each finding means: quilt-rotate audit --help")
	}
	return nil
}

// tellError says beside the result what failed, and how to go on.
func tellError(c *terminal.Console, what string, err error) {
	err = awsclient.Explain(err)
	fmt.Fprintf(c.Err, "%s: %v\n", what, err)
	if text := hint.Of(err); text != "" {
		fmt.Fprintln(c.Err, text)
	}
}
