package revocation

import (
	"fmt"
	"slices"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Failed is the outcome of a sweep of a run that failed.
const Failed Outcome = "failed"

// Answer is what a sweep of a run returns. It is small, because the state machine keeps the answers
// of a whole page.
type Answer struct {
	Outcome Outcome       `json:"outcome"`
	Event   *notice.Event `json:"event,omitempty"`  // nil: there is nothing to report
	Rotate  *Need         `json:"rotate,omitempty"` // nil: no rotation is needed
}

// answer also returns an answer if the sweep failed.
func (h *Handler) answer(req Request, result Result, extra extras, err error) Answer {
	a := Answer{Outcome: result.Outcome, Event: h.event(req, result, extra, err), Rotate: extra.need}
	if err != nil {
		a.Outcome = Failed
	}
	return a
}

// urgency says how often a person gets a message.
type urgency int

const (
	never   urgency = iota // never: there is only an event
	morning                // once a day, from the sweep at the secret's [SearchHour]
	always                 // from every sweep while the state lasts
)

// urgentFailures are those in which consumers have no valid key. transientFailures may end without
// anybody's help: they cause an event but no message, and alarms count them.
var (
	urgentFailures    = []string{fault.TypeName(&fault.CurrentKeyRefused{}), fault.TypeName(&fault.Overwritten{})}
	transientFailures = []string{fault.TypeName(&fault.RegistryUnavailable{}), fault.TypeName(&fault.OutOfTime{})}
)

// concern is one thing that an event reports about a secret.
type concern struct {
	finding  notice.Finding
	urgency  urgency
	sentence string
	page     string // of the runbook
}

// maxQuoted is how many bytes of an error a message quotes. It leaves room for the name of the
// runbook page at the end of the message.
const maxQuoted = 1000

// heldTooLong is how long a key may be held before a person should look for its consumer.
const heldTooLong = 7 * 24 * time.Hour

// fewLabels is how many free labels a secret should have. With one label less, it is still rotated.
const fewLabels = 6

// concerns returns what a sweep has to report, the most important first.
func concerns(req Request, result Result, extra extras, failure *Failure) (all []concern) {
	add := func(finding notice.Finding, u urgency, page, sentence string, args ...any) {
		all = append(all, concern{finding, u, fmt.Sprintf(sentence, args...), page})
	}
	daily := req.Time.UTC().Hour() == SearchHour(result.Secret)
	if failure != nil {
		u, sentence := morning, "the sweep failed: %s"
		switch {
		case slices.Contains(transientFailures, failure.ErrorType):
			u = never
		case slices.Contains(urgentFailures, failure.ErrorType):
			u, sentence = always, "consumers have no valid key: %s"
		}
		if extra.need != nil && extra.need.Reason == NeedRefused { // the rotation on need has its own message
			u = never
		}
		add(notice.Attention, u, Page(failure.ErrorType), sentence, redact.Clip(failure.Error, maxQuoted))
	}
	if extra.expires {
		add(notice.Attention, always, "key-expires",
			"the current key expires soon, and no rotation is planned before that")
	}
	if slices.ContainsFunc(result.Actions, func(t Taken) bool { return Ends[t.Reason] == Person }) {
		add(notice.Attention, morning, "key-needs-attention", "a key is not revoked until somebody decides about it")
	}
	if h := result.Health; h != nil && daily {
		switch {
		case h.RotationOff:
			add(notice.Attention, morning, "rotation-off", "rotation is switched off")
		case h.RotationOverdue:
			add(notice.Attention, morning, "rotation-overdue", "the date of the next rotation is past")
		}
		if h.FreeLabels < fewLabels {
			add(notice.Attention, morning, "few-labels", "only %d staging labels are free", h.FreeLabels)
		}
	}
	if result.Outcome == NotBootstrapped && daily {
		add(notice.Attention, morning, "not-bootstrapped", "the secret waits for its first key")
	}
	for _, t := range result.Actions {
		switch finding := findingOf(extra.secret, t); finding {
		case notice.Healed:
			add(finding, never, "on-need", "a rotation on need has replaced the key")
			add(notice.Rotated, never, "on-need", "the key was rotated")
		case notice.Rotated:
			add(finding, never, "README", "the key was rotated, and the former one is in its grace period")
		case notice.Orphan:
			add(finding, never, "orphans", "a key that no version held was revoked")
		case notice.Revoked:
			add(finding, never, "README", "a superseded key was revoked")
		case notice.Held:
			u := never
			if h := result.Health; h != nil && h.OldestSuperseded != nil && h.OldestSuperseded.Duration > heldTooLong {
				u = morning
			}
			add(finding, u, "held-too-long",
				"a superseded key is still used: find the consumer that has not fetched the current one")
		}
	}
	for i := range all {
		if all[i].urgency == morning && !daily {
			all[i].urgency = never
		}
	}
	return all
}

// findingOf returns the finding that an action leads to, or "" if there is none.
func findingOf(secret vault.Secret, t Taken) notice.Finding {
	former := secret.Versions[t.Version]
	switch {
	case Ends[t.Reason] == Person:
		return notice.Attention
	case t.Action == Hold:
		return notice.Held
	case !t.Done:
		return ""
	case t.Action == Revoke:
		return notice.Revoked
	case t.Action == RevokeOrphan:
		return notice.Orphan
	case !former.Has(vault.Previous): // it was never current, or another version was current after it
		return ""
	}
	current, _ := secret.Holder(vault.Current)
	switch {
	// A refused key is not marked.
	case OnNeed(current.ID) && (t.Action == Mark || t.Action == Unlabel && len(former.Marks) == 0):
		return notice.Healed
	case t.Action == Mark:
		return notice.Rotated
	}
	return ""
}

// event returns the event about the sweep, or nil if the sweep did and found nothing.
func (h *Handler) event(req Request, result Result, extra extras, err error) *notice.Event {
	failure := newFailure(err)
	all := concerns(req, result, extra, failure)
	if len(all) == 0 {
		return nil
	}
	d := notice.Detail{
		Secret: notice.NewSecret(result.Secret, extra.secret), Registry: h.Sweeper.Settings.RegistryURL,
		Run: req.Run, Time: req.Time,
	}
	first := all[0]
	for _, c := range all {
		d.Findings = append(d.Findings, c.finding)
		d.NeedsPerson = d.NeedsPerson || c.urgency != never
		if c.urgency > first.urgency {
			first = c
		}
	}
	d.Message = fmt.Sprintf("%s. See docs/runbook/%s.md", first.sentence, first.page)
	for _, t := range result.Actions {
		if findingOf(extra.secret, t) != "" {
			d.Keys = append(d.Keys, notice.Key{
				Action: string(t.Action), Reason: string(t.Reason),
				KeyID: t.KeyID, Fingerprint: t.Fingerprint, VersionID: t.Version,
				Until: t.Until, LastUsedAt: t.LastUsedAt,
			})
		}
	}
	if failure != nil {
		d.Failure = &notice.Failure{ErrorType: failure.ErrorType, Error: failure.Error}
	}
	return notice.New(d)
}

// Page returns the name of the runbook page about an error type.
func Page(errorType string) string {
	if page := pages[errorType]; page != "" {
		return page
	}
	return errorType
}

// pages has the error types whose runbook page has another name.
var pages = map[string]string{
	fault.TypeName(&fault.BadIssuer{}):         "issuer-refused",
	fault.TypeName(&fault.CurrentKeyRefused{}): "current-key-refused",
	fault.TypeName(&fault.LabelQuota{}):        "few-labels",
	fault.TypeName(&fault.NotBootstrapped{}):   "not-bootstrapped",
	fault.TypeName(&fault.Overwritten{}):       "value-overwritten",
	fault.TypeName(&fault.RotationOff{}):       "rotation-off",
}
