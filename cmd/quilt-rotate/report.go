package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/report"
	"quilt-rotate/internal/cli/trail/runner"
	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

type reportCommand struct {
	Since  lookBack   `default:"90d" help:"How far to look back: days, such as 90d, or hours, such as 36h."`
	Secret []secretID `placeholder:"SECRET" sep:"none" help:"Report only this secret: its name or ARN. Can be repeated. Default: all managed secrets."`
	MaxGap lookBack   `placeholder:"TIME" help:"Longest time that your policy allows between two rotations, such as 90d. Default: the interval and the window of each secret's schedule, plus a margin."`

	Database  string `env:"QUILT_AUDIT_DATABASE" placeholder:"NAME" help:"Also read the registry's audit trail, from this Glue database: the physical id of the resource AuditTrailDatabase of the Quilt stack, such as audittraildatabase-…"`
	Workgroup string `env:"QUILT_AUDIT_WORKGROUP" default:"primary" help:"Athena workgroup, such as <Quilt stack>-audit."`
	Format    string `enum:"table,json,csv,html" default:"table" help:"Output format: table, json, csv or html."`
	JSON      bool   `name:"json" help:"Same as --format json."`
}

// Help describes the report and where its data comes from.
func (reportCommand) Help() string {
	return `For each secret, the report shows:

  - its rotations, with the age of the replaced key
  - when the replaced key was revoked, and whether the registry then refused it
  - gaps between rotations that are longer than the policy allows
  - exceptions (held keys, pauses and failures) with their reasons

The command reads Secrets Manager, the logs of the functions and, with --database, the registry's audit trail. Each line
of the report names its sources. The report also says which data could not be read. The command changes nothing. To
understand the report, see docs/evidence.md.

  quilt-rotate report --since 365d --max-gap 90d --format html > rotations.html

With --json: an object with place, time, since, sources, unseen, secrets [{secret, arn, created, deleted, rotationOn,
schedule, maxGapSeconds, policy, rotations [{time, kind, versionId, keyId, fingerprint, createdBy, failures, sources,
replaced {versionId, keyId, fingerprint, derived, ageSeconds, ageAtLeast, ageSources, end {state, time, refusedSeen,
reason, by, until, sources}}}], gaps [{from, to, seconds, atLeast, covered, sources}], exceptions [{kind, from, to,
times, what, reason, versionId, keyId, sources}], unseen, error, hint}]. Unknown values are left out.

Exit status 1: a secret could not be read.`
}

// lookBack is a duration in days or in the format of the functions' settings.
type lookBack time.Duration

var wholeDays = regexp.MustCompile(`^[0-9]{1,4}d$`)

// longestLookBack is ten years, the longest retention in CloudWatch Logs except for an unlimited one.
const longestLookBack = 3653 * 24 * time.Hour

// UnmarshalText parses days or hours. It refuses a time that is longer than a log can go back.
func (l *lookBack) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if wholeDays.Match(text) {
		var days int
		days, err = strconv.Atoi(string(text[:len(text)-1]))
		d = time.Duration(days) * 24 * time.Hour
	}
	if err != nil || d < time.Hour || d > longestLookBack {
		return errors.New("must be days or hours, such as 90d or 36h, from 1h to 3653d")
	}
	*l = lookBack(d)
	return nil
}

func (o *reportCommand) Run(ctx context.Context, c *terminal.Console) error {
	if o.JSON {
		o.Format = "json"
	}
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return err
	}
	progress := c.Progress(true)
	options := report.Options{Since: time.Duration(o.Since), MaxGap: time.Duration(o.MaxGap), Progress: progress.Doing}
	for _, s := range o.Secret {
		options.Secrets = append(options.Secrets, string(s))
	}
	if o.Database != "" {
		options.Trail = o.trail(aws)
	}
	evidence, err := report.Read(ctx, aws, options)
	progress.Close()
	if err != nil {
		return err
	}
	if options.Trail == nil {
		evidence.Unseen = slices.Insert(evidence.Unseen, 0, "the registry's audit trail was not read (give "+
			"--database), so the report does not show who created and revoked keys outside the functions")
	}
	if err := o.write(c, evidence); err != nil {
		return err
	}
	if slices.ContainsFunc(evidence.Secrets, func(s report.Secret) bool { return s.Error != "" }) {
		return commandline.ErrReported
	}
	return nil
}

// trail asks the audit trail for keys that were created or revoked.
func (o *reportCommand) trail(aws *awsclient.Cloud) func(context.Context, int) (*trail.Answer, error) {
	return func(ctx context.Context, days int) (*trail.Answer, error) {
		sql, err := trail.Query{Kind: trail.Changes, Days: days, Limit: trail.MaxLimit}.SQL(time.Now())
		if err != nil {
			return nil, err
		}
		r := runner.Runner{Client: aws.Athena(), Database: o.Database, Workgroup: o.Workgroup}
		answer, err := r.Run(ctx, sql)
		if failure, ok := errors.AsType[*runner.Error](err); ok {
			return nil, terminal.WithHint(err, failure.Hint)
		}
		return answer, err
	}
}

func (o *reportCommand) write(c *terminal.Console, evidence report.Report) error {
	switch o.Format {
	case "json":
		return evidence.WriteJSON(c.Out)
	case "csv":
		return evidence.WriteCSV(c.Out)
	case "html":
		return evidence.WriteHTML(c.Out)
	}
	width := 0
	if c.Watched() {
		width = c.Width()
	}
	return evidence.WriteTable(c.Out, width)
}
