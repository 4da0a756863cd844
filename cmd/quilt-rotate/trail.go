package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/trail/runner"
	"quilt-rotate/internal/cli/trail/show"
	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/terminal"
)

type trailCommand struct {
	Days    int    `default:"30" help:"How many days before today (UTC) to search: 1 to 365. Athena charges for the data of each day that it reads."`
	Key     string `placeholder:"KEY" help:"Show only this key: its id, name or fingerprint."`
	Failed  bool   `xor:"question" help:"Show refused logins."`
	Changes bool   `xor:"question" help:"Show when keys were created or revoked."`
	Summary bool   `xor:"question" help:"Show one line for each key and source address, with the number of calls."`
	Limit   int    `default:"10000" help:"Maximum number of rows. The newest rows are shown first."`

	SQL       bool   `name:"sql" help:"Print the query and do not run it."`
	Database  string `env:"QUILT_AUDIT_DATABASE" placeholder:"NAME" help:"Glue database of the audit trail: the physical id of the resource AuditTrailDatabase of the Quilt stack, such as audittraildatabase-…"`
	Workgroup string `env:"QUILT_AUDIT_WORKGROUP" default:"primary" help:"Athena workgroup, such as <Quilt stack>-audit."`
	Format    string `enum:"table,json,csv" default:"table" help:"Output format: table, json or csv."`
	JSON      bool   `name:"json" help:"Same as --format json."`
}

// Help describes what the command needs, and the output for programs.
func (trailCommand) Help() string {
	return `Without --failed, --changes or --summary, the command shows each use of a key. It needs the audit trail of the Quilt
stack, and AWS credentials that may query it.

  quilt-rotate trail --key prod-pipeline-20261120 --days 7
  quilt-rotate trail --summary --format csv > calls.csv

With --json: an object with queryId, scannedBytes and rows, an array with one object for each row. To see the columns of
a row, use --sql.`
}

func (o *trailCommand) Run(ctx context.Context, c *terminal.Console) error {
	q := trail.Query{Kind: o.kind(), Days: o.Days, Key: o.Key, Limit: o.Limit}
	sql, err := q.SQL(time.Now())
	if err != nil {
		return &usageError{err}
	}
	if o.SQL {
		_, err := fmt.Fprintln(c.Out, sql)
		return err
	}
	if o.Database == "" {
		return terminal.WithHint(&usageError{errors.New("no audit database is named")},
			"give its name with --database; to find the name: aws cloudformation describe-stack-resources "+
				"--stack-name <Quilt stack> --logical-resource-id AuditTrailDatabase")
	}
	answer, err := o.ask(ctx, c, sql)
	if err != nil {
		return err
	}
	return o.print(c, q, answer)
}

func (o *trailCommand) kind() trail.Kind {
	switch {
	case o.Failed:
		return trail.Failed
	case o.Changes:
		return trail.Changes
	case o.Summary:
		return trail.Summary
	}
	return trail.Usage
}

// ask runs the query. Ctrl-C stops it at Athena.
func (o *trailCommand) ask(ctx context.Context, c *terminal.Console, sql string) (*trail.Answer, error) {
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	progress := c.Progress(true)
	defer progress.Close()
	r := runner.Runner{
		Client: aws.Athena(), Database: o.Database, Workgroup: o.Workgroup,
		Progress: func(state string) { progress.Doing("Athena: " + state) },
	}
	answer, err := r.Run(ctx, sql)
	if failure, ok := errors.AsType[*runner.Error](err); ok {
		hint := failure.Hint
		if errors.Is(err, context.Canceled) {
			hint = failure.Left
		}
		return nil, terminal.WithHint(err, hint)
	}
	return answer, err
}

func (o *trailCommand) print(c *terminal.Console, q trail.Query, answer *trail.Answer) error {
	switch {
	case o.JSON || o.Format == "json":
		return show.JSON(c.Out, answer)
	case o.Format == "csv":
		return show.CSV(c.Out, answer)
	}
	if _, err := fmt.Fprintln(c.Out, show.Table(answer, c.Watched(), c.Width())); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.Err, show.Footer(answer, q.Most()))
	return err
}
