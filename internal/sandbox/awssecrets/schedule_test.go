package awssecrets_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/clock"
)

// clockAt returns a clock that starts at the given time.
func clockAt(t testing.TB, start string) *clock.Clock {
	t.Helper()
	when, err := time.Parse(time.RFC3339, start)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock.Clock{}
	c.Advance(time.Until(when))
	return c
}

func scheduled(rules types.RotationRulesType) func(*secretsmanager.RotateSecretInput) {
	return func(in *secretsmanager.RotateSecretInput) { in.RotationRules = &rules }
}

// NextRotationDate is the last second of the next window, for every form of schedule. The clock
// starts on a Sunday.
func TestNextRotationDate(t *testing.T) {
	tests := []struct{ schedule, duration, want string }{
		{"1", "", "2026-11-23T23:59:59Z"},
		{"30", "", "2026-12-22T23:59:59Z"},
		{"30", "3h", "2026-12-22T02:59:59Z"},
		{"rate(10 days)", "", "2026-12-02T23:59:59Z"},
		{"rate(1 day)", "2h", "2026-11-23T01:59:59Z"},
		{"rate(4 hours)", "", "2026-11-22T12:59:59Z"},
		{"rate(4 hours)", "4h", "2026-11-22T15:59:59Z"},
		{"rate(48 hours)", "", "2026-11-24T00:59:59Z"},
		{"cron(0 4 ? * SUN *)", "2h", "2026-11-29T05:59:59Z"},
		{"cron(0 16 ? * 1 *)", "", "2026-11-22T23:59:59Z"},
		{"cron(0 4 ? * MON-FRI *)", "", "2026-11-23T23:59:59Z"},
		{"cron(0 4 ? * 3#2 *)", "", "2026-12-08T23:59:59Z"},
		{"cron(0 4 ? * 6L *)", "", "2026-11-27T23:59:59Z"},
		{"cron(0 4 ? * L *)", "", "2026-11-28T23:59:59Z"},
		{"cron(0 4 L * ? *)", "", "2026-11-30T23:59:59Z"},
		{"cron(0 4 1,15 * ? *)", "", "2026-12-01T23:59:59Z"},
		{"cron(0 4 1 1/3 ? *)", "", "2027-01-01T23:59:59Z"},
		{"cron(0 4 29 FEB ? *)", "", "2028-02-29T23:59:59Z"},
		{"cron(0 */8 * * ? *)", "", "2026-11-22T16:59:59Z"},
		{"cron(0 2/8 * * ? *)", "6h", "2026-11-22T23:59:59Z"},
		{"cron(0 0 1 jan,jul ? *)", "", "2027-01-01T23:59:59Z"},
		{"cron(0 4 31 2 ? *)", "", ""}, // this date never occurs
	}
	for _, test := range tests {
		t.Run(test.schedule+" "+test.duration, func(t *testing.T) {
			s, _ := startWithRotator(t, awssecrets.Options{Clock: clockAt(t, "2026-11-22T10:30:00Z")})
			rules := types.RotationRulesType{ScheduleExpression: aws.String(test.schedule)}
			if days, err := time.ParseDuration(test.schedule + "ns"); err == nil {
				rules = types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(int64(days))}
			}
			if test.duration != "" {
				rules.Duration = aws.String(test.duration)
			}
			s.ok(s.rotate(2, scheduled(rules)))
			s.ok(s.wait())
			d := s.describe()
			got := ""
			if d.NextRotationDate != nil {
				got = d.NextRotationDate.Format(time.RFC3339)
			}
			if got != test.want {
				t.Errorf("NextRotationDate is %q, want %q", got, test.want)
			}
			if d.RotationRules == nil || aws.ToString(d.RotationRules.ScheduleExpression) != aws.ToString(
				rules.ScheduleExpression) ||
				aws.ToString(d.RotationRules.Duration) != test.duration {
				t.Errorf("the rules are %+v", d.RotationRules)
			}
		})
	}
}

// RotateDue rotates each due secret once, and continues a stuck rotation.
func TestRotateDue(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{Clock: clockAt(t, "2026-11-22T10:30:00Z"), RotationTries: 1})
	s.ok(s.rotate(2, scheduled(types.RotationRulesType{ScheduleExpression: aws.String("rate(2 days)")})))
	s.ok(s.wait())
	if due := s.RotateDue(); len(due) != 0 {
		t.Fatalf("%v is due after its first rotation", due)
	}
	s.clock.Advance(2 * 24 * time.Hour) // into the window, which ends at the end of the day
	if due := s.RotateDue(); len(due) != 0 {
		t.Fatalf("%v is due before its NextRotationDate", due)
	}
	s.clock.Advance(24 * time.Hour)
	r.before = failing("testSecret", 1)
	if due := s.RotateDue(); len(due) != 1 || due[0] != awssecrets.ARN("us-east-1", "123456789012", name) {
		t.Fatalf("due are %v, want %s", due, name)
	}
	if err := s.wait(); err == nil {
		t.Fatal("the rotation succeeded, want an error")
	}
	if next := s.describe().NextRotationDate; next == nil || next.After(s.clock.Now()) {
		t.Fatalf("after a failure NextRotationDate is %v, want a date in the past", next)
	}
	if due := s.RotateDue(); len(due) != 1 {
		t.Fatalf("due are %v, want the secret with the stuck rotation", due)
	}
	s.ok(s.wait())
	if due := s.RotateDue(); len(due) != 0 {
		t.Fatalf("%v is due after its rotation", due)
	}
	if got := r.steps(); got != strings.Join([]string{allSteps, "create set test", allSteps}, " ") {
		t.Errorf("the steps were %q, want %q", got, strings.Join([]string{allSteps, "create set test", allSteps}, " "))
	}
}

// A value that is changed outside a rotation counts as a rotation only if the interval is set in
// days.
func TestManualValueChangeCountsAsRotation(t *testing.T) {
	for what, test := range map[string]struct {
		rules types.RotationRulesType
		moves bool
	}{
		"days": {types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}, true},
		"rate": {types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")}, false},
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := startWithRotator(t, awssecrets.Options{Clock: clockAt(t, "2026-11-22T10:30:00Z")})
			s.ok(s.rotate(2, scheduled(test.rules)))
			s.ok(s.wait())
			s.clock.Advance(5 * 24 * time.Hour)
			s.ok(s.put(3, "v3", "mine"))
			s.ok(s.put(4, "v4"))
			want := "2026-12-22T23:59:59Z"
			if test.moves {
				want = "2026-12-27T23:59:59Z"
			}
			if got := s.describe().NextRotationDate.Format(time.RFC3339); got != want {
				t.Errorf("NextRotationDate is %s, want %s", got, want)
			}
		})
	}
}

// New rules count from the last rotation, or from now if that date would be in the past.
func TestNewRulesCountFromTheLastRotation(t *testing.T) {
	for days, want := range map[int64]string{30: "2026-12-22T23:59:59Z", 3: "2026-11-30T23:59:59Z"} {
		s, _ := startWithRotator(t, awssecrets.Options{Clock: clockAt(t, "2026-11-22T10:30:00Z")})
		s.ok(s.rotate(2, scheduled(types.RotationRulesType{ScheduleExpression: aws.String("rate(90 days)")})))
		s.ok(s.wait())
		s.clock.Advance(5 * 24 * time.Hour)
		s.ok(s.rotate(3, func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(days)}
			in.RotateImmediately = aws.Bool(false)
		}))
		s.ok(s.wait())
		if got := s.describe().NextRotationDate.Format(time.RFC3339); got != want {
			t.Errorf("with %d days NextRotationDate is %s, want %s", days, got, want)
		}
	}
}
