// Package status reads the state of a managed secret: its versions and their keys, its rotation,
// its pause, its replicas, what the next sweep will do, and its problems. It also has the sentences
// that describe the actions of a sweep (Planned, Done), which several commands print.
//
// It relies on package managed for the secret, and on the revoke function for the plan of the next
// sweep. It changes nothing. `quilt-rotate status --json` prints [Status]: a field of it never
// changes its meaning.
package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Status is the state of one secret.
type Status struct {
	Secret      string     `json:"secret"` // name, or the text in the request if the name is not known
	ARN         string     `json:"arn,omitempty"`
	Time        time.Time  `json:"time"`               // Secrets Manager's clock
	Registry    string     `json:"registry,omitempty"` // URL of the registry that its keys belong to
	Rotation    Rotation   `json:"rotation,omitzero"`
	PausedUntil *time.Time `json:"pausedUntil,omitempty"`
	PauseReason string     `json:"pauseReason,omitempty"`
	AllPaused   bool       `json:"allSweepsPaused,omitempty"` // see [AllPaused]
	Replicas    []Replica  `json:"replicas,omitempty"`
	// versions with labels: current, pending, previous, then superseded ones, the last one first
	Versions []revocation.VersionInfo `json:"versions,omitempty"`
	Sweep    *Sweep                   `json:"sweep,omitempty"`   // what the next sweep will do; nil: not known
	History  *History                 `json:"history,omitempty"` // nil: was not asked for
	Problems []Problem                `json:"problems,omitempty"`
	Error    string                   `json:"error,omitempty"` // why the secret, or a part of it, could not be read
	Hint     string                   `json:"hint,omitempty"`

	marked   bool // the secret has a tag or a label of quilt-rotate
	unserved bool // no function serves the secret; a problem reports this
}

// Rotation is how a secret is rotated.
type Rotation struct {
	Known         bool       `json:"-"` // false: the secret could not be read
	On            bool       `json:"on"`
	Function      string     `json:"function,omitempty"` // ARN
	Last          *time.Time `json:"last,omitempty"`
	Next          *time.Time `json:"next,omitempty"`
	Overdue       bool       `json:"overdue,omitempty"`
	UnderWay      bool       `json:"underWay,omitempty"` // AWSPENDING is on a version that is not current
	UnderWaySince *time.Time `json:"underWaySince,omitempty"`
	// the last rotation was not scheduled: a sweep found that the key was refused or about to
	// expire
	LastOnNeed bool `json:"lastOnNeed,omitempty"`
	OnNeedOff  bool `json:"onNeedOff,omitempty"` // a tag turns rotation on need off
}

// IsZero reports whether the rotation is not known, so that the JSON does not have it.
func (r Rotation) IsZero() bool { return !r.Known }

// Replica is a replica region.
type Replica struct {
	Region string `json:"region"`
	Status string `json:"status"`
}

// Sweep is what the next sweep will do, as the function plans it.
type Sweep struct {
	Outcome   revocation.Outcome   `json:"outcome"`
	Actions   []revocation.Taken   `json:"actions"` // planned actions
	Notes     []string             `json:"notes,omitempty"`
	WouldFail *revocation.Failure  `json:"wouldFail,omitempty"`
	Health    *revocation.Health   `json:"health,omitempty"`
	Registry  *revocation.Registry `json:"registry,omitempty"`
	// registry's time, which dates of keys are compared with; Secrets Manager's time if it is not
	// known
	RegistryTime time.Time `json:"-"`
}

// Problem is something that an operator should look at.
type Problem struct {
	Severe bool   `json:"severe"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// atOnce limits how many secrets are read at the same time. Each read invokes the revoke function,
// and the concurrency of the account may be low.
const atOnce = 10

// All reads several secrets and returns them in their order. A secret that cannot be read does not
// stop the others. progress is called after each secret. It fails only if ctx has ended.
func All(ctx context.Context, c *awsclient.Cloud, revokeFunction string, names []string,
	progress func(done, total int)) ([]Status, error) {
	list := make([]Status, len(names))
	var done atomic.Int64
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			list[i] = Of(ctx, c, revokeFunction, name)
			progress(int(done.Add(1)), len(names))
			return nil
		})
	}
	_ = group.Wait() // no function fails: each status has its own error
	return list, ctx.Err()
}

// AllPaused finds the stacks whose schedule of sweeps is disabled, and sets AllPaused in the status
// of their secrets. It returns the names of the schedules. unknown is an error if some schedules
// could not be read.
func AllPaused(ctx context.Context, c *awsclient.Cloud, list []Status) (schedules []string, unknown error) {
	looked := map[string]bool{} // by function: whether its sweeps are paused
	for i := range list {
		arn := vault.UnqualifiedFunction(list[i].Rotation.Function)
		// without a sweep, the function is not ours or cannot be read
		if _, known := looked[arn]; !known && arn != "" && list[i].Sweep != nil {
			f, err := c.Function(ctx, arn)
			s, named, scheduleErr := managed.SweepSchedule(ctx, c, f)
			if looked[arn] = named && scheduleErr == nil && !s.Enabled; looked[arn] {
				schedules = append(schedules, s.Name)
			}
			unknown = cmp.Or(err, scheduleErr, unknown)
		}
		list[i].AllPaused = looked[arn]
	}
	return schedules, unknown
}

// Of reads one secret.
func Of(ctx context.Context, c *awsclient.Cloud, revokeFunction, name string) Status {
	s, err := managed.Open(ctx, c, name)
	if deleted, ok := errors.AsType[*managed.DeletedError](err); ok {
		problem := Problem{true, deleted.Error(), terminal.Hint(err)}
		return Status{Secret: deleted.Secret, Time: time.Now().UTC(), Versions: []revocation.VersionInfo{},
			Problems: []Problem{problem}}
	}
	if err != nil {
		return Status{Secret: name, Time: time.Now().UTC(), Versions: []revocation.VersionInfo{}}.failed(err)
	}
	s.RevokeFunction = revokeFunction
	st := described(s.Secret)
	if st.Rotation.UnderWay {
		pending, _ := s.Holder(vault.Pending)
		if since, err := c.Vault.VersionCreated(ctx, s.ARN, pending.ID); err == nil && !since.IsZero() {
			st.Rotation.UnderWaySince = &since
		}
	}
	st.Versions = FromLabels(s.Secret)
	ours, err := s.Managed(ctx)
	st.Registry, _ = s.RegistryURL(ctx) // if it is not known, the sweep fails and reports why
	if err == nil && !ours {
		st.unserved = true
		st.Problems = append(problems(st), Problem{Text: "the secret is not managed",
			Hint: "to manage it: quilt-rotate adopt " + s.Name + " --schedule 'rate(30 days)' --registry URL"})
		return st
	}
	if !s.Deployed() && revokeFunction == "" {
		st.unserved = true
		st.Problems = append(problems(st), Problem{Text: "rotation is off: no function rotates it",
			Hint: s.NotRotated()})
		return st
	}
	if result, err := s.Sweep(ctx, true); err != nil {
		st = st.failed(err)
	} else {
		st.Sweep = newSweep(result, st.Time)
		if len(result.Versions) > 0 {
			st.Versions = result.Versions
		}
	}
	st.Problems = problems(st)
	return st
}

func (s Status) failed(err error) Status {
	err = awsclient.Explain(err)
	s.Error, s.Hint = err.Error(), terminal.Hint(err)
	if errors.Is(err, context.Canceled) {
		s.Error = "interrupted"
	}
	return s
}

func newSweep(r revocation.Result, now time.Time) *Sweep {
	sw := &Sweep{Outcome: r.Outcome, Actions: r.Actions, Notes: r.Notes, WouldFail: r.WouldFail, Health: r.Health,
		Registry: r.Registry, RegistryTime: now}
	if r.Registry != nil {
		sw.RegistryTime = r.Registry.Time
	}
	return sw
}

// described returns the status from the answer of DescribeSecret.
func described(s vault.Secret) Status {
	pending, isPending := s.Holder(vault.Pending)
	st := Status{
		Secret: s.Name, ARN: s.ARN, Time: s.Now, PauseReason: s.Tags[settings.TagPauseReason],
		marked: managed.Marked(s.Tags, s.Sorted()),
		Rotation: Rotation{
			Known: true,
			On:    s.Rotation.Enabled, Function: s.Rotation.Function, Last: moment(s.Rotation.Last),
			Next: moment(s.Rotation.Next),
			Overdue: s.Rotation.Enabled && !s.Rotation.Next.IsZero() &&
				s.Now.Sub(s.Rotation.Next) > revocation.OverdueAfter,
			UnderWay: isPending && !pending.Has(vault.Current),
		},
	}
	if current, _ := s.Holder(vault.Current); revocation.OnNeed(current.ID) {
		st.Rotation.LastOnNeed = true
	}
	st.Rotation.OnNeedOff = s.Tags[settings.TagOnNeed] == "off"
	st.PausedUntil = managed.PausedUntil(s)
	for _, r := range s.Replicas {
		st.Replicas = append(st.Replicas, Replica{r.Region, r.Status})
	}
	return st
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// FromLabels returns the versions with the data of their labels, in the order of a dry run.
func FromLabels(s vault.Secret) []revocation.VersionInfo {
	rows := []revocation.VersionInfo{}
	for _, v := range s.Sorted() {
		row := revocation.VersionInfo{Version: v.ID, Stages: slices.Sorted(slices.Values(v.Stages)),
			KeyInfo: revocation.KeyInfo{KeyID: v.Key()}}
		for _, m := range v.Marks {
			if row.SupersededSince == nil || m.Since.After(*row.SupersededSince) {
				row.SupersededSince = moment(m.Since)
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b revocation.VersionInfo) int { return cmp.Compare(rank(a), rank(b)) })
	return rows
}

func rank(v revocation.VersionInfo) int {
	for i, stage := range []string{vault.Current, vault.Pending, vault.Previous} {
		if slices.Contains(v.Stages, stage) {
			return i
		}
	}
	return 3
}

// problems returns what an operator should look at. A test checks that each hint works in the state
// that it is given for (testdata/advice.txtar of the command).
func problems(s Status) []Problem {
	var list []Problem
	note := func(severe bool, hint, format string, args ...any) {
		list = append(list, Problem{severe, fmt.Sprintf(format, args...), hint})
	}
	rotate := "quilt-rotate rotate " + s.Secret
	if s.Sweep != nil && s.Sweep.WouldFail != nil {
		note(true, awsclient.Runbook(s.Sweep.WouldFail.ErrorType), "the next sweep would fail: %s: %s",
			s.Sweep.WouldFail.ErrorType, s.Sweep.WouldFail.Error)
		if s.Sweep.WouldFail.ErrorType == "CurrentKeyRefused" { // a refused key cannot create a key
			rotate = "quilt-rotate recover " + s.Secret + ", then: " + rotate
		}
	}
	if s.Rotation.UnderWay { // no other rotation can start
		rotate = "if it does not end: quilt-rotate unstick " + s.Secret + ", then: " + rotate
	}
	if s.Sweep != nil && s.Sweep.Outcome == revocation.NotBootstrapped {
		note(true, "quilt-rotate bootstrap "+s.Secret, "the secret waits for its first key")
	}
	if !s.Rotation.On && !s.unserved {
		retire := "quilt-rotate retire " + s.Secret
		if !s.marked { // nothing is left to retire
			retire = "aws secretsmanager delete-secret --secret-id " + s.Secret
		}
		note(true, managed.NotRotated(s.Secret)+"; if nobody needs the key: "+retire, "rotation is switched off")
	}
	if s.Rotation.Overdue {
		note(true, rotate, "the rotation has been overdue since %s", Clock(*s.Rotation.Next))
	}
	if since := s.Rotation.UnderWaySince; since != nil && s.Time.Sub(*since) > revocation.OverdueAfter {
		note(true, "quilt-rotate unstick "+s.Secret, "a rotation has been under way since %s, and no other rotation "+
			"can start", Clock(*since))
	}
	for _, r := range s.Replicas {
		if r.Status != vault.InSync {
			note(false, "aws secretsmanager describe-secret --secret-id "+s.Secret, "the replica in %s is %s", r.Region,
				r.Status)
		}
	}
	for _, v := range s.Versions {
		if slices.Contains(v.Stages, vault.Current) && !v.ExpiresAt.IsZero() && s.Sweep != nil {
			if left := v.ExpiresAt.Sub(s.Sweep.RegistryTime); left < expiresSoon {
				note(left < expiresNow, rotate, "the current key expires on %s", Clock(v.ExpiresAt))
			}
		}
	}
	needed := RotationLabels
	if s.Rotation.UnderWay { // AWSPENDING is already attached
		needed--
	}
	if s.Sweep != nil && s.Sweep.Health != nil && s.Sweep.Health.FreeLabels < needed {
		note(true, FreeLabels(s.Secret, s.Versions, s.Rotation.UnderWay),
			"free staging labels: %d; a rotation needs %d", s.Sweep.Health.FreeLabels, needed)
	}
	return list
}

// FreeLabels returns the hint that says how to free labels. Labels that quilt-rotate did not write
// are removed first, because a sweep needs a free label itself. A sweep does nothing while a
// rotation is under way, and keeps keys in their grace period.
func FreeLabels(secret string, versions []revocation.VersionInfo, underWay bool) string {
	text := fmt.Sprintf("quilt-rotate revoke %[1]s, then: quilt-rotate rotate %[1]s; if keys are in their grace "+
		"period, revoke one of them early: quilt-rotate emergency %[1]s --version ID", secret)
	if label, version := foreignLabel(versions); label != "" {
		text = fmt.Sprintf("remove the labels that nobody needs: aws secretsmanager update-secret-version-stage "+
			"--secret-id %s --version-stage %s --remove-from-version-id %s, then: %s",
			secret, label, version, text)
	}
	if underWay {
		text = "quilt-rotate unstick " + secret + ", then: " + text
	}
	return text
}

// foreignLabel returns a label that neither AWS nor quilt-rotate wrote, or "".
func foreignLabel(versions []revocation.VersionInfo) (label, version string) {
	for _, v := range versions {
		for _, stage := range v.Stages {
			if !strings.HasPrefix(stage, "AWS") && !strings.HasPrefix(stage, "quilt-") {
				return stage, v.Version
			}
		}
	}
	return "", ""
}

// RotationLabels is the number of labels that must be free before a rotation starts: one for
// AWSPENDING, and five for createSecret (package rotation, LabelQuota).
const RotationLabels = 6

// The alarms of a deployment have the same thresholds (infra/keyrotation).
const (
	expiresSoon = 14 * 24 * time.Hour
	expiresNow  = 7 * 24 * time.Hour
)
