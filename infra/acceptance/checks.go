package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/quilt"
)

// An answer is the result of a check.
type answer string

// The answers.
const (
	asAssumed answer = "as assumed"
	different answer = "different"
	notSeen   answer = "could not be seen"
)

// A finding is the answer of one check and the data that shows it.
type finding struct {
	Answer answer
	Seen   string
}

func yes(format string, args ...any) finding   { return finding{asAssumed, fmt.Sprintf(format, args...)} }
func no(format string, args ...any) finding    { return finding{different, fmt.Sprintf(format, args...)} }
func blind(format string, args ...any) finding { return finding{notSeen, fmt.Sprintf(format, args...)} }

// A check tests one fact that is not documented. The reports and docs/acceptance.md are generated
// from the table of checks.
type check struct {
	Name    string
	Assumed string
	Depends string // what in the project depends on it
	How     string // how a run sees it
	Settles []string
	judge   func(o *observations) finding
}

const notThatFar = "the run did not get that far"

const notEnforced = "a permission that the secret's policy denied was still allowed, so IAM is not evaluated here"

// checks are all checks. Settles has the texts for the same facts in other lists of unknown facts.
var checks = []check{
	{"key-manages-keys", "A key may create, list and revoke keys of its user.",
		"Each rotation creates a key with the current one. If it may not, the secret needs an issuing " +
			"credential (issuer).",
		"The current key creates a key that is valid for a day, lists it and revokes it.",
		[]string{"can a key create, list and revoke keys?", "may a key create keys"},
		registry(func(r *registryAnswers) finding {
			for _, refused := range []struct{ what, err string }{{"create", r.Create}, {"list", r.List},
				{"revoke", r.Revoke}} {
				if refused.err != "" {
					return no("the key may not %s keys: %s", refused.what, refused.err)
				}
			}
			return yes("it created, listed and revoked a key")
		})},
	{"use-recorded", "The registry records the use of a key at once.",
		"The quiet period: without it, the grace period alone decides when a superseded key is revoked.",
		"A new key logs in, and its lastUsedAt is read.",
		[]string{"does the registry record the use of a key without delay?"},
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "" || r.NotAccepted != "":
				return blind("no new key logged in")
			case r.LastUsed == nil:
				return no("no use is recorded")
			case (quilt.APIKey{LastUsedAt: r.LastUsed}).LatestUse().Before(r.Used.Add(-2 * time.Second)):
				return no("the recorded use is %s before the login", r.Used.Sub(*r.LastUsed).Round(time.Second))
			}
			return yes("the login was recorded")
		})},
	{"use-granularity", "lastUsedAt is exact to the second.",
		"The quiet period: a coarser time counts as the end of its minute, hour or day, so a key is held longer.",
		"A new key logs in twice, and its lastUsedAt is read after each login.",
		[]string{"granularity of lastUsedAt"},
		registry(func(r *registryAnswers) finding {
			if r.LastUsed == nil || r.LastUsed2 == nil {
				return blind("no use is recorded")
			}
			for _, unit := range []struct {
				name   string
				length time.Duration
			}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
				if whole(*r.LastUsed, unit.length) && whole(*r.LastUsed2, unit.length) {
					return no("the time is that of a whole %s", unit.name)
				}
			}
			return yes("exact to the second or better")
		})},
	{"new-key-accepted", "A new key is accepted at once.",
		"testSecret and finishSecret try a refused new key again for 20 seconds; if that is too short, " +
			"rotations fail.",
		"A new key logs in right after its creation, again and again until it is accepted.",
		[]string{"time until a new key is accepted"},
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "":
				return blind("no key was created")
			case r.NotAccepted != "":
				return no("it was not accepted: %s", r.NotAccepted)
			case r.Accepted > 2*time.Second:
				return no("it was accepted after %s", r.Accepted.Round(time.Second/10))
			}
			return yes("the first login succeeded, or one within 2 seconds")
		})},
	{"name-rules", "The registry keeps the name of a key as it was given.",
		"The end of the name is the only link to the secret when a crash leaves a key behind: without it, " +
			"orphans are not found.",
		"A key is created with a name of the greatest length that rotations use.",
		[]string{"name rules"},
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "":
				return blind("no key was created")
			case r.GotName != r.AskedName:
				return no("%d characters were asked for, and %d were kept", len(r.AskedName), len(r.GotName))
			}
			return yes("all %d characters were kept", len(r.GotName))
		})},
	{"revoke-by-text", "The registry answers Ok to a revocation by the key's own text.",
		"A superseded key whose id is not known is revoked by its text, and a later refusal of it is then believed.",
		"A new key is revoked by its text.",
		[]string{"whether the registry answers Ok to a revocation by the key's own text"},
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "":
				return blind("no key was created")
			case r.ByText != "":
				return no("%s", r.ByText)
			}
			return yes("Ok")
		})},
	{"revoke-absent-id", "The registry answers Ok or InvalidInput to the revocation of an id that does not exist.",
		"A revocation whose answer was lost is tried again: any other answer counts as a failure, until a list " +
			"without the id ends it.",
		"The id of the revoked key is revoked once more.",
		[]string{"what revoke answers for an absent id"},
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "" || r.Absent == "":
				return blind("no key was revoked")
			case r.Absent != "Ok" && r.Absent != "InvalidInput":
				return no("%s", r.Absent)
			}
			return yes("%s", r.Absent)
		})},
	{"revoked-key-refused", "A revoked key is refused at once.",
		"A sweep and `emergency` prove a revocation by a login that is refused, and keep the key's labels otherwise.",
		"The revoked key logs in.", nil,
		registry(func(r *registryAnswers) finding {
			switch {
			case r.Create != "" || r.Absent == "":
				return blind("no key was revoked")
			case r.StillValid:
				return no("it still logged in")
			}
			return yes("refused")
		})},
	{"quilt3", "quilt3 logs in with a key from the secret.",
		"docs/consumers/python.md: the example was tested with a stand-in that sends quilt3's requests.",
		"python3 with quilt3 lists the keys, with the current key of the secret.",
		[]string{"quilt3 itself"},
		of(func(o *observations) *program { return o.Quilt3 }, func(p *program) finding {
			switch {
			case p.Missing != "":
				return blind("%s", p.Missing)
			case p.Failed != "":
				return no("%s", p.Failed)
			}
			return yes("it listed the keys")
		})},
	{"labels-in-one-call", "PutSecretValue attaches all labels together with the value.",
		"createSecret stores the key with AWSPENDING and quilt-key in one call. If a label is missing, it " +
			"attaches it, and a crash in between is found by the key's fingerprint.",
		"A value is stored with two labels in a secret without rotation.",
		[]string{"are labels written with the value, in one call?", "labels written in one call"},
		of(func(o *observations) *labelsPut { return o.Labels }, func(l *labelsPut) finding {
			if !slices.Equal(l.Described, l.Asked) {
				return no("%d of %d labels are on the version", len(l.Described), len(l.Asked))
			}
			if !slices.Equal(l.Answered, l.Asked) {
				return no("the answer names %d of %d labels", len(l.Answered), len(l.Asked))
			}
			return yes("both labels are on the version, and in the answer")
		})},
	{"function-after-cancel", "A secret whose rotation was cancelled still names its rotation function.",
		"The sweep of a retired secret: a secret that names the function counts as managed only if it also has " +
			"labels of quilt-rotate.",
		"DescribeSecret before and after the rotation is cancelled.",
		[]string{"RotationLambdaARN after CancelRotateSecret"},
		of(func(o *observations) *rotator { return o.AfterCancel }, func(r *rotator) finding {
			if r.After != r.Before {
				return no("RotationLambdaARN is no longer that of the function")
			}
			return yes("RotationLambdaARN did not change")
		})},
	{"pending-after-success", "After a rotation, AWSPENDING is on the new current version, or on none.",
		"finishSecret leaves AWSPENDING, and everything treats AWSPENDING on the current version as no rotation.",
		"DescribeSecret after a rotation has succeeded.",
		[]string{"AWSPENDING after success"},
		of(func(o *observations) *pendingAfter { return o.AfterStep }, func(p *pendingAfter) finding {
			switch p.Pending {
			case "":
				return yes("no version has it")
			case p.Current:
				return yes("the current version has it")
			}
			return no("another version has it")
		})},
	{"retries", "Secrets Manager repeats a failed rotation by itself.",
		"The alarm pending-too-long: without repetitions, a person must act on each failed rotation.",
		"A rotation fails in createSecret, and the function's log shows when it is tried again.",
		[]string{"how often does Secrets Manager repeat a rotation?", "retries and their spacing", "Retry count " +
			"and spacing"},
		failure(func(f *failing) finding {
			switch tries := f.Tries; {
			case len(tries) == 0:
				return blind("the function's log shows no failed step")
			case len(tries) == 1:
				return no("no repetition within %s", f.Waited.Round(time.Second))
			default:
				var gaps []string
				for i := 1; i < len(tries); i++ {
					gaps = append(gaps, tries[i].At.Sub(tries[i-1].At).Round(time.Second/10).String())
				}
				return yes("%d tries within %s, after %s", len(tries), f.Waited.Round(time.Second),
					strings.Join(gaps, ", "))
			}
		})},
	{"retry-token", "A repetition has the same version as the failed rotation.",
		"createSecret finds the pending value of the failed rotation. With another version, each try would " +
			"leave a key.",
		"The versions of the failed steps in the function's log.",
		[]string{"same-token reuse across windows"},
		failure(func(f *failing) finding {
			versions := map[string]bool{}
			for _, try := range f.Tries {
				versions[try.Version] = true
			}
			switch {
			case len(f.Tries) < 2:
				return blind("the rotation was not repeated")
			case len(versions) > 1:
				return no("%d versions in %d tries", len(versions), len(f.Tries))
			}
			return yes("one version in %d tries", len(f.Tries))
		})},
	{"last-rotated-after-failure", "A rotation that fails leaves LastRotatedDate as it was.",
		"Rotation on need waits for a day after LastRotatedDate, and the alarm rotation-overdue counts from it.",
		"DescribeSecret before a rotation and after it has failed.",
		[]string{"effect of failures on LastRotatedDate"},
		failure(func(f *failing) finding {
			if len(f.Tries) == 0 {
				return blind("the function's log shows no failed step")
			}
			if !f.LastRotatedAfter.Equal(f.LastRotatedBefore) {
				return no("LastRotatedDate changed")
			}
			return yes("LastRotatedDate did not change")
		})},
	{"step-time-limit", "Secrets Manager has no time limit for a step that is shorter than the function's.",
		"A step may take as long as the function's timeout, of which it uses up to 20 seconds to wait for a new key.",
		"The longest step that succeeded, in the function's log.",
		[]string{"any service-side step timeout"},
		func(o *observations) finding {
			if o.Longest < 20*time.Second {
				return blind("the longest step took %s, which is no test", o.Longest.Round(time.Millisecond))
			}
			return yes("a step of %s succeeded", o.Longest.Round(time.Second))
		}},
	{"enabled-in-test-run", "DescribeSecret says that rotation is on during the first test run.",
		"testSecret accepts a secret whose rotation is off, and logs a warning.",
		"The function's log of the test run that the deployment starts.",
		[]string{"RotationEnabled during a test run"},
		func(o *observations) finding {
			ran := false
			for _, line := range o.FirstTest {
				if strings.HasPrefix(line.Message, "rotation is not switched on") {
					return no("rotation was off")
				}
				ran = ran || line.Step == "testSecret"
			}
			if !ran {
				return blind("the function's log shows no test run")
			}
			return yes("rotation was on")
		}},
	{"roles-sufficient", "The roles have every permission that rotations and sweeps use.",
		"infra/keyrotation/permissions.go. Tests compare the policies with the requests of the built functions.",
		"The functions' logs of all steps and sweeps before anything was denied.",
		[]string{"are the roles' permissions sufficient?"},
		func(o *observations) finding {
			switch {
			case len(o.Refused) > 0:
				return no("IAM refused a request: %s", o.Refused[0].Error)
			case !enforced(o):
				return blind(notEnforced)
			case o.StepsDone == 0:
				return blind("no step was seen")
			}
			return yes("%d steps and sweeps, and none was refused", o.StepsDone)
		}},
	{"rotator-condition", "IAM compares secretsmanager:resource/AllowRotationLambdaArn with the secret's " +
		"rotation function.",
		"The roles serve every secret whose rotation names the function, and no other, by this condition alone.",
		"The functions serve a secret whose rotation names them, and are asked to sweep one whose rotation does not.",
		[]string{"does `secretsmanager:resource/AllowRotationLambdaArn` work as documented?",
			"IAM's evaluation of AllowRotationLambdaArn and VersionStage"},
		func(o *observations) finding {
			switch {
			case len(o.Refused) > 0 && o.StepsDone == 0:
				return no("a secret that names the function is refused: %s", o.Refused[0].Error)
			case !enforced(o):
				return blind(notEnforced)
			case o.Stranger == nil || o.StepsDone == 0:
				return blind(notThatFar)
			case !strings.Contains(*o.Stranger, "AccessDenied"):
				return no("a secret that does not name the function was read")
			}
			return yes("the function's own secret was served, and the other one was refused")
		}},
	{"rotator-condition-in-first-test", "The condition AllowRotationLambdaArn holds during the first test run.",
		"The test run of a deployment: if the condition does not hold yet, a step that IAM refuses is tried " +
			"again for 20 seconds, and then fails.",
		"The function's log of the test run that the deployment starts.",
		[]string{"whether the condition AllowRotationLambdaArn holds during the first test run"},
		func(o *observations) finding {
			tests := 0
			for _, line := range o.FirstTest {
				if denied(line) {
					return no("the test run was refused")
				}
				if line.Step == "testSecret" {
					tests++
				}
			}
			switch {
			case !enforced(o):
				return blind(notEnforced)
			case tests == 0:
				return blind("the function's log shows no test run")
			}
			return yes("the test run was not refused")
		}},
	{"stage-condition", "IAM compares secretsmanager:VersionStage with the label that is moved.",
		"The revoke role moves no labels but its own: no fault of a sweep can move AWSCURRENT.",
		"A policy denies the rotate role to move AWSCURRENT. Then a rotation attaches a label of quilt-rotate " +
			"and moves AWSCURRENT.",
		[]string{"IAM's evaluation of AllowRotationLambdaArn and VersionStage"},
		func(o *observations) finding {
			switch {
			case !enforced(o):
				return blind(notEnforced)
			case o.Stages == nil:
				return blind(notThatFar)
			case !o.Stages.CurrentRefused:
				return no("AWSCURRENT was moved, although that was denied")
			case !o.Stages.LabelMoved:
				return no("another label was refused, too")
			}
			return yes("AWSCURRENT was refused, and another label was not")
		}},
	{"network", "The network lets the functions reach Secrets Manager and the registry.",
		"The option network of the file, and the VPC endpoints or the NAT that its subnets need.",
		"A sweep that only looks is answered by the function itself.",
		[]string{"can the functions reach the registry?"},
		of(func(o *observations) *string { return o.NotReached }, func(reason *string) finding {
			if *reason != "" {
				return no("%s", *reason)
			}
			return yes("the function answered, with the registry's view of the key")
		})},
	{"label-event", "EventBridge gets an event Secret Label Updated with name, labelUpdated and versionId.",
		"The restart of ECS services (infra/keyrotation/restart.go), and the rules in docs/events.",
		"A rule writes the events of Secrets Manager into a log group.",
		[]string{"shape of `Secret Label Updated`", "delivery level, Region coverage and replica behaviour of " +
			"`Secret Label Updated`"},
		func(o *observations) finding {
			if len(o.Events) == 0 {
				return blind("no event came within %s", o.Watched.Round(time.Second))
			}
			for _, e := range o.Events {
				if slices.Contains([]string{e.Name, e.Label, e.Version, e.Resource}, "") ||
					e.Source != "aws.secretsmanager" {
					return no("an event lacks its source, its resource, or a field of its detail")
				}
				if !e.Expected {
					return no("an event for %s names a version that did not get it", e.Label)
				}
			}
			return yes("%d events with all fields", len(o.Events))
		}},
	{"request-id", "The requestID of an event of Secrets Manager ends with the version of the rotation.",
		"Nothing: the id is not used. It would connect an event of CloudTrail with a version.",
		"The same rule. Such events come only if the account has a trail.",
		[]string{"meaning of the UUID in requestID"},
		func(o *observations) finding {
			if len(o.Service) == 0 {
				return blind("no such event came: the account may have no trail")
			}
			for _, e := range o.Service {
				if !e.HasToken {
					return no("the requestID of %s does not end with a version of the secret", e.Name)
				}
			}
			return yes("%d events end with the version", len(o.Service))
		}},
	{"schedule-retries", "The schedule of the sweeps has the retry policy of the template: 10 attempts in 900 " +
		"seconds.",
		"A run of sweeps that cannot be started. Nothing relies on the defaults of EventBridge Scheduler.",
		"GetSchedule.",
		[]string{"Scheduler RetryPolicy defaults"},
		of(func(o *observations) *retryPolicy { return o.Retry }, func(p *retryPolicy) finding {
			if *p != (retryPolicy{10, 900}) {
				return no("%d attempts in %d seconds", p.Attempts, p.Seconds)
			}
			return yes("10 attempts in 900 seconds")
		})},
	{"replica-lag", "A replica gets a new value within the grace period.",
		"A sweep revokes nothing while a replica is not InSync. A replica that says InSync too early would " +
			"serve a revoked key.",
		"This run has no replica, because a replica needs a second region.",
		[]string{"replica lag"},
		func(*observations) finding { return blind("the throwaway secret has no replica") }},
}

// of judges a part of the observations if the run made it.
func of[T any](part func(*observations) *T, judge func(*T) finding) func(*observations) finding {
	return func(o *observations) finding {
		if seen := part(o); seen != nil {
			return judge(seen)
		}
		return blind(notThatFar)
	}
}

func registry(judge func(*registryAnswers) finding) func(*observations) finding {
	return of(func(o *observations) *registryAnswers { return o.Registry }, judge)
}

func failure(judge func(*failing) finding) func(*observations) finding {
	return of(func(o *observations) *failing { return o.Failing }, judge)
}

func enforced(o *observations) bool { return o.Enforced != nil && *o.Enforced }

func denied(line logLine) bool { return strings.Contains(line.Error, "AccessDenied") }

func whole(t time.Time, unit time.Duration) bool {
	return t.Equal(t.Truncate(unit))
}
