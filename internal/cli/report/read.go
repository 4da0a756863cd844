package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Options select what to read.
type Options struct {
	Secrets []string // names or ARNs; none: all managed secrets
	Since   time.Duration
	MaxGap  time.Duration // see [Window]

	// LogPatience limits the time to find and read the logs. Default: until ctx ends.
	LogPatience time.Duration

	// Trail reads the changes of keys in the last days from the audit trail. nil: the trail is not
	// configured.
	Trail    func(ctx context.Context, days int) (*trail.Answer, error)
	Progress func(string)
}

// atOnce is how many requests about secrets run at the same time, and logsAtOnce how many log
// groups are read: CloudWatch Logs allows 5 requests a second for all of them (quotas,
// FilterLogEvents).
const (
	atOnce     = 10
	logsAtOnce = 4
)

// Read reads the sources and returns the evidence. A secret that cannot be read does not stop the
// others: its Error says why. Read fails if the secrets cannot be listed, or if ctx has ended.
func Read(ctx context.Context, c *awsclient.Cloud, o Options) (Report, error) {
	r := reader{Cloud: c, Options: o, groups: map[string]*group{}, functions: map[string]*functions{}}
	names, err := r.names(ctx)
	if err != nil {
		return Report{}, err
	}
	r.describe(ctx, names)
	r.Report.Since = r.Time.Add(-o.Since)
	var reading errgroup.Group
	reading.Go(func() error { r.readTrail(ctx); return nil })
	reading.Go(func() error { r.readLogs(ctx); return nil })
	_ = reading.Wait() // no function fails: what could not be read is in the report
	if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	r.conclude()
	return r.Report, nil
}

type reader struct {
	*awsclient.Cloud
	Options
	Report

	facts     []Facts
	failed    map[int]error
	functions map[string]*functions // by the ARN of the rotate function
	groups    map[string]*group     // by name
	journals  *Journals
	trail     *Changes
	mu        sync.Mutex
}

// functions are the two functions that serve a secret.
type functions struct {
	rotate, revoke *group
	unseen         []string
}

// A group is a log group that is read.
type group struct {
	Coverage
	pattern string
	missing bool
	unsure  bool // its retention is not known
}

func (r *reader) names(ctx context.Context) ([]string, error) {
	if len(r.Options.Secrets) > 0 {
		r.Report.Place = r.Cloud.Place(ctx)
		return r.Options.Secrets, nil
	}
	found, err := managed.ListSecrets(ctx, r.Cloud)
	if err != nil {
		return nil, err
	}
	r.Report.Place = found.Place
	var names []string
	for _, s := range found.Secrets {
		names = append(names, s.ARN)
	}
	if n := len(found.Unknown); n > 0 {
		r.unseen("%s may be managed, and are not in the report: %s", plural(n, "more secret"),
			awsclient.Explain(found.Unknown[0].Err))
	}
	return names, nil
}

// unseen adds what could not be read, once.
func (r *reader) unseen(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Unseen, text) {
		r.Unseen = append(r.Unseen, text)
	}
}

// describe reads the secrets and their versions. The report's time is Secrets Manager's.
func (r *reader) describe(ctx context.Context, names []string) {
	r.facts, r.failed, r.Unseen = make([]Facts, len(names)), map[int]error{}, append([]string{}, r.Unseen...)
	var done atomic.Int64
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i, name := range names {
		all.Go(func() error {
			secret, err := r.Vault.Describe(ctx, name)
			if err == nil {
				r.facts[i].Versions, err = r.Versions(ctx, secret.ARN)
			}
			r.mu.Lock()
			r.facts[i].Secret = secret
			if err != nil {
				r.facts[i].Secret.Name, r.failed[i] = cmp.Or(secret.Name, name), err
			}
			if secret.Now.After(r.Time) {
				r.Time = secret.Now
			}
			r.mu.Unlock()
			r.Progress(fmt.Sprintf("reading the secrets: %d of %d", done.Add(1), len(names)))
			return nil
		})
	}
	_ = all.Wait()
	if r.Time.IsZero() {
		r.Time = time.Now().UTC()
	}
}

// readLogs finds the functions of the secrets and reads their log groups, each once for all
// secrets.
func (r *reader) readLogs(ctx context.Context) {
	if r.LogPatience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.LogPatience)
		defer cancel()
	}
	var arns []string
	for _, f := range r.facts {
		if f.Secret.ARN != "" {
			arns = append(arns, f.Secret.ARN)
			if arn := vault.UnqualifiedFunction(f.Secret.Rotation.Function); arn != "" {
				r.functions[arn] = nil
			}
		}
	}
	r.journals = NewJournals(arns...)
	only := ""
	if len(arns) == 1 {
		only = arns[0]
	}
	for arn := range r.functions {
		r.functions[arn] = r.find(ctx, arn, only)
	}
	var all errgroup.Group
	all.SetLimit(logsAtOnce)
	for _, name := range slices.Sorted(maps.Keys(r.groups)) {
		all.Go(func() error { r.readLog(ctx, name); return nil })
	}
	_ = all.Wait()
	if n := r.journals.Unread; n > 0 {
		r.unseen("%s in the functions' logs were skipped, because other programs wrote them", plural(n, "line"))
	}
}

// find finds the log groups of a rotate function and of the revoke function that its tag names.
func (r *reader) find(ctx context.Context, arn, only string) *functions {
	f := &functions{}
	rotate, err := r.Function(ctx, arn)
	if err != nil {
		f.note("rotations", "the rotate function "+nameOf(arn), err)
		return f
	}
	// A gap at the beginning and the age of the first key count from the rotation before the
	// period. No key is valid for longer than a year, and this log has only a few lines for each
	// rotation.
	f.rotate = r.group(ctx, f, rotate, narrowed(rotatePattern, only), r.Report.Since.Add(-366*day))
	name := rotate.Tags[settings.TagRevokeFunction]
	if name == "" {
		f.unseen = append(f.unseen, "the function "+rotate.Name+" has no tag "+settings.TagRevokeFunction+
			", so the log of the revocations was not found")
		return f
	}
	revoke, err := r.Function(ctx, name)
	if err != nil {
		f.note("revocations", "the revoke function "+nameOf(name), err)
		return f
	}
	f.revoke = r.group(ctx, f, revoke, narrowed(revokePattern, only), r.Report.Since)
	return f
}

func nameOf(function string) string { return function[strings.LastIndex(function, ":")+1:] }

func (f *functions) note(what, which string, err error) {
	why := awsclient.Explain(err).Error()
	if awsclient.NotFound(err) {
		why = "it no longer exists"
	}
	f.unseen = append(f.unseen, fmt.Sprintf("the log of %s cannot be read: %s: %s", what, which, why))
}

// group describes the log group of a function. Without the permission to describe it, it is read
// nevertheless, and the report says that its retention is not known.
func (r *reader) group(ctx context.Context, f *functions, function awsclient.Function, pattern string,
	from time.Time) *group {
	if known := r.groups[function.LogGroup]; known != nil {
		return known
	}
	if level := strings.ToUpper(strings.TrimSpace(function.Environment[settings.EnvLogLevel])); level == "WARN" ||
		level == "ERROR" {
		f.unseen = append(f.unseen, fmt.Sprintf("the function %s has %s=%s, so it does not log successful steps",
			function.Name, settings.EnvLogLevel, level))
	}
	g := &group{Coverage: Coverage{From: from}, pattern: pattern}
	described, err := r.LogGroup(ctx, function.LogGroup)
	kept := r.Time.AddDate(0, 0, -described.Retention)
	switch {
	case awsclient.NotFound(err):
		f.unseen = append(f.unseen, "there is no log group "+function.LogGroup+": it was deleted, or the function "+
			"never ran")
		g.From, g.missing = time.Time{}, true
	case err != nil:
		g.unsure = true
		f.unseen = append(f.unseen, fmt.Sprintf("the retention of the log group %s is not known: %s",
			function.LogGroup, awsclient.Explain(err)))
	case described.Retention > 0 && kept.After(from) && kept.After(described.Created):
		g.From, g.Limit = kept, fmt.Sprintf("the log group %s keeps lines for %d days: the report shows nothing "+
			"before %s", function.LogGroup, described.Retention, clock(kept))
	case described.Created.After(from):
		g.From, g.Limit = described.Created, fmt.Sprintf("the log group %s was created on %s: earlier lines, "+
			"such as those of another stack, are not in it", function.LogGroup, clock(described.Created))
	}
	if !g.From.After(r.Report.Since) {
		g.Limit = ""
	}
	r.groups[function.LogGroup] = g
	return g
}

// narrowed adds the secret to each alternative of a pattern, if the pattern then has a length that
// CloudWatch Logs accepts.
func narrowed(pattern, secretARN string) string {
	const most = 1024 // characters (API reference, FilterLogEvents)
	if secretARN == "" || strings.ContainsAny(secretARN, "\"\\*") {
		return pattern
	}
	if text := strings.ReplaceAll(pattern, `")`, `" && $.secret = "`+secretARN+`")`); len(text) <= most {
		return text
	}
	return pattern
}

// readLog reads the lines of a log group.
func (r *reader) readLog(ctx context.Context, name string) {
	g, lines, pages := r.groups[name], 0, 0
	if g.missing {
		return
	}
	oldest := r.Time
	err := r.LogLines(ctx, name, g.pattern, g.From, func(at time.Time, text string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.journals.Add(at, text)
		if lines++; at.Before(oldest) {
			oldest = at
		}
	}, func() {
		pages++
		r.Progress(fmt.Sprintf("reading the log %s: %s, %s", name, plural(pages, "page"), plural(lines, "line")))
	})
	if err == nil {
		if g.unsure { // the log goes back at least to its oldest line
			g.From = oldest
		}
		return
	}
	g.From = time.Time{} // it is not known which lines were read
	why := awsclient.Explain(err).Error()
	if errors.Is(err, context.DeadlineExceeded) {
		why = "it could not be read to its end in time"
	}
	r.unseen("the log %s could not be read, or only in part: %s", name, why)
}

// readTrail reads the audit trail once for all secrets.
func (r *reader) readTrail(ctx context.Context) {
	if r.Trail == nil {
		return
	}
	days := int((r.Options.Since + day - 1) / day)
	if days > trail.MaxDays {
		days = trail.MaxDays
		r.unseen("the registry's audit trail was read for the last %d days only", days)
	}
	answer, err := r.Trail(ctx, days)
	if err != nil {
		if ctx.Err() == nil {
			text := err.Error()
			if hint := terminal.Hint(err); hint != "" {
				text += " (" + hint + ")"
			}
			r.unseen("the registry's audit trail could not be read: %s", text)
		}
		return
	}
	if len(answer.Rows) >= trail.MaxLimit {
		r.unseen("the registry's audit trail returned only its newest %d rows", len(answer.Rows))
	}
	r.trail = NewChanges(answer)
	if n := r.trail.Unnamed; n > 0 {
		r.unseen("%s in the audit trail have no key id, because sweeps revoke keys by their text, which the "+
			"trail hides", plural(n, "revocation"))
	}
}

// conclude draws the conclusions for all secrets.
func (r *reader) conclude() {
	w := Window{Now: r.Time, Since: r.Report.Since, MaxGap: r.MaxGap}
	r.Report.Secrets = []Secret{}
	for i, f := range r.facts {
		if err := r.failed[i]; err != nil {
			err = awsclient.Explain(err)
			r.Report.Secrets = append(r.Report.Secrets, Secret{Secret: f.Secret.Name, ARN: f.Secret.ARN,
				Rotations: []Rotation{}, Gaps: []Gap{}, Exceptions: []Exception{}, Unseen: []string{},
				Error: err.Error(), Hint: terminal.Hint(err)})
			continue
		}
		f.Journal, f.Trail = r.journals.BySecret[f.Secret.ARN], r.trail
		unseen := []string{}
		if served := r.functions[vault.UnqualifiedFunction(f.Secret.Rotation.Function)]; served != nil {
			unseen = served.unseen
			if served.rotate != nil {
				f.RotateLog = served.rotate.Coverage
			}
			if served.revoke != nil {
				f.RevokeLog = served.revoke.Coverage
			}
		} else {
			unseen = append(unseen, "no function rotates the secret, so there is no log of its rotations")
		}
		s := f.Evidence(w)
		s.Unseen = append(slices.Clone(unseen), s.Unseen...)
		r.Report.Secrets = append(r.Report.Secrets, s)
	}
	r.hoist()
	slices.SortStableFunc(r.Report.Secrets, func(a, b Secret) int { return cmp.Compare(a.Secret, b.Secret) })
}

// hoist moves what could not be read for all secrets to the beginning of the report.
func (r *reader) hoist() {
	list := r.Report.Secrets
	if len(list) < 2 {
		return
	}
	for _, text := range list[0].Unseen {
		if slices.ContainsFunc(list, func(s Secret) bool { return !slices.Contains(s.Unseen, text) }) {
			continue
		}
		r.Unseen = append(r.Unseen, text)
		for i := range list {
			list[i].Unseen = slices.DeleteFunc(list[i].Unseen, func(x string) bool { return x == text })
		}
	}
}
