// Package status reads the state of a managed secret: its versions and their keys, its rotation,
// its pause, its replicas, what the next sweep will do, and its problems. It also has the sentences
// for what a sweep does (Planned, Done), which several commands print.
//
// It relies on package managed for the secret and on the revoke function for the plan of the next
// sweep. It changes nothing. The JSON fields are those of `quilt-rotate status --json`: a field
// keeps its meaning.
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
	Secret      string     `json:"secret"` // its name, or what names it in the request
	ARN         string     `json:"arn,omitempty"`
	Time        time.Time  `json:"time"`               // Secrets Manager's clock
	Registry    string     `json:"registry,omitempty"` // URL of the registry that its keys belong to
	Rotation    Rotation   `json:"rotation,omitzero"`
	PausedUntil *time.Time `json:"pausedUntil,omitempty"`
	PauseReason string     `json:"pauseReason,omitempty"`
	AllPaused   bool       `json:"allSweepsPaused,omitempty"` // see [AllPaused]
	Replicas    []Replica  `json:"replicas,omitempty"`
	// those with labels: current, pending, previous, then the one that was superseded last first
	Versions []revocation.VersionInfo `json:"versions,omitempty"`
	Sweep    *Sweep                   `json:"sweep,omitempty"` // what the next one will do; nil: it is not known
	Problems []Problem                `json:"problems,omitempty"`
	Error    string                   `json:"error,omitempty"` // why it could not be read, wholly or in part
	Hint     string                   `json:"hint,omitempty"`

	marked   bool // it has a tag or a label of quilt-rotate
	unserved bool // no function serves it, which is a problem of its own
}

// Rotation is how a secret is rotated.
type Rotation struct {
	Known         bool       `json:"-"` // false: the secret could not be read
	On            bool       `json:"on"`
	Function      string     `json:"function,omitempty"` // ARN
	Last          *time.Time `json:"last,omitempty"`
	Next          *time.Time `json:"next,omitempty"`
	Overdue       bool       `json:"overdue,omitempty"`
	UnderWay      bool       `json:"underWay,omitempty"` // AWSPENDING sits on a version that is not current
	UnderWaySince *time.Time `json:"underWaySince,omitempty"`
	// the last one was not scheduled: a sweep found the key refused or about to expire
	LastOnNeed bool `json:"lastOnNeed,omitempty"`
	OnNeedOff  bool `json:"onNeedOff,omitempty"` // a tag says that no sweep may have the secret rotated
}

// IsZero leaves out of the JSON what is not known.
func (r Rotation) IsZero() bool { return !r.Known }

// Replica is a replica region.
type Replica struct {
	Region string `json:"region"`
	Status string `json:"status"`
}

// Sweep is what the next sweep will do, as the function plans it.
type Sweep struct {
	Outcome   revocation.Outcome   `json:"outcome"`
	Actions   []revocation.Taken   `json:"actions"` // none is done
	Notes     []string             `json:"notes,omitempty"`
	WouldFail *revocation.Failure  `json:"wouldFail,omitempty"`
	Health    *revocation.Health   `json:"health,omitempty"`
	Registry  *revocation.Registry `json:"registry,omitempty"`
	// its dates are compared with it; Secrets Manager's, if it was not asked
	RegistryTime time.Time `json:"-"`
}

// Problem is what a person should look at.
type Problem struct {
	Severe bool   `json:"severe"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// atOnce limits how many secrets are read at the same time: each invokes the revoke function, and
// the concurrency of the account may be low.
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

// AllPaused finds the stacks whose schedule of sweeps is disabled, and notes that at each of their
// secrets. It returns the schedules. An error says that it is not known of some.
func AllPaused(ctx context.Context, c *awsclient.Cloud, list []Status) (schedules []string, unknown error) {
	looked := map[string]bool{} // by function: its sweeps are paused
	for i := range list {
		arn := vault.UnqualifiedFunction(list[i].Rotation.Function)
		// else its function is none of ours, or cannot be looked at
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
	st.Registry, _ = s.RegistryURL(ctx) // if it is not known, the sweep fails and says why
	if err == nil && !ours {
		st.unserved = true
		st.Problems = append(problems(st), Problem{Text: "it is not managed",
			Hint: "to have it managed: quilt-rotate adopt " + s.Name + " --schedule 'rate(30 days)' --registry URL"})
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

// described is what DescribeSecret says.
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

// FromLabels returns the versions as their labels describe them, in the order of a dry run.
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

// problems lists what an operator should look at. Each hint works in the state that it is given for
// (testdata/advice.txtar of the command).
func problems(s Status) []Problem {
	var list []Problem
	note := func(severe bool, hint, format string, args ...any) {
		list = append(list, Problem{severe, fmt.Sprintf(format, args...), hint})
	}
	rotate := "quilt-rotate rotate " + s.Secret
	if s.Sweep != nil && s.Sweep.WouldFail != nil {
		note(true, awsclient.Runbook(s.Sweep.WouldFail.ErrorType), "the next sweep would fail: %s: %s",
			s.Sweep.WouldFail.ErrorType, s.Sweep.WouldFail.Error)
		if s.Sweep.WouldFail.ErrorType == "CurrentKeyRefused" { // which can create no key
			rotate = "quilt-rotate recover " + s.Secret + ", then: " + rotate
		}
	}
	if s.Rotation.UnderWay { // another one cannot start
		rotate = "if it does not end: quilt-rotate unstick " + s.Secret + ", then: " + rotate
	}
	if s.Sweep != nil && s.Sweep.Outcome == revocation.NotBootstrapped {
		note(true, "quilt-rotate bootstrap "+s.Secret, "it waits for its first key")
	}
	if !s.Rotation.On && !s.unserved {
		retire := "quilt-rotate retire " + s.Secret
		if !s.marked { // nothing is left to retire
			retire = "aws secretsmanager delete-secret --secret-id " + s.Secret
		}
		note(true, managed.NotRotated(s.Secret)+"; if nobody needs the key: "+retire, "rotation is switched off")
	}
	if s.Rotation.Overdue {
		note(true, rotate, "its rotation has been overdue since %s", Clock(*s.Rotation.Next))
	}
	if since := s.Rotation.UnderWaySince; since != nil && s.Time.Sub(*since) > revocation.OverdueAfter {
		note(true, "quilt-rotate unstick "+s.Secret, "its rotation has been under way since %s, and no other one can "+
			"start", Clock(*since))
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
	if s.Rotation.UnderWay { // AWSPENDING is there
		needed--
	}
	if s.Sweep != nil && s.Sweep.Health != nil && s.Sweep.Health.FreeLabels < needed {
		note(true, FreeLabels(s.Secret, s.Versions, s.Rotation.UnderWay),
			"free staging labels: %d; a rotation needs %d", s.Sweep.Health.FreeLabels, needed)
	}
	return list
}

// FreeLabels says how labels become free. A sweep does nothing while a rotation is under way,
// leaves keys that are in their grace period, and needs a free label itself. So labels of others
// come first.
func FreeLabels(secret string, versions []revocation.VersionInfo, underWay bool) string {
	text := fmt.Sprintf("quilt-rotate revoke %[1]s, then: quilt-rotate rotate %[1]s; if keys are in their grace "+
		"period, revoke one of them early: "+
		"quilt-rotate emergency %[1]s --version ID", secret)
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

// foreignLabel is a label that is neither of AWS nor of quilt-rotate; "" if there is none.
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

// RotationLabels is how many labels must be free before a rotation starts: AWSPENDING, and the five
// that createSecret needs then (package rotation, LabelQuota).
const RotationLabels = 6

// What the alarms of a deployment call soon and now (infra/keyrotation).
const (
	expiresSoon = 14 * 24 * time.Hour
	expiresNow  = 7 * 24 * time.Hour
)
