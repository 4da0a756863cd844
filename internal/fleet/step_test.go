package fleet

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

func outcomes(swept, failed, needy int) (all []Outcome) {
	for range swept - failed - needy {
		all = append(all, Outcome{Outcome: revocation.Swept})
	}
	for range failed {
		all = append(all, Outcome{Outcome: revocation.Failed})
	}
	for i := range needy {
		all = append(all, Outcome{Outcome: revocation.Failed, Rotate: &revocation.Need{SecretID: fmt.Sprint("arn:", i),
			Reason: revocation.NeedRefused}})
	}
	return all
}

func TestJudgeStopsAndRotates(t *testing.T) {
	// If many sweeps fail, or if the registry refuses many keys, the brake stops the run, and no
	// key is replaced.
	for _, c := range []struct {
		name    string
		state   State
		results []Outcome
		want    Do
	}{
		{"nothing yet", State{}, nil, ""},
		{"nine of nine fail", State{}, outcomes(9, 9, 0), ""},
		{"ten of 49 fail", State{}, outcomes(49, 10, 0), Stop},
		{"ten of 50 fail", State{}, outcomes(50, 10, 0), ""},
		{"ten of 49 fail over two pages", State{Swept: 40, Failed: 6}, outcomes(9, 4, 0), Stop},
		{"failures at the end of the list", State{Listed: true}, outcomes(49, 10, 0), Stop},
		{"the list is over", State{Listed: true}, outcomes(50, 0, 0), Done},
		{"no secrets at all", State{Listed: true}, nil, Done},
		{"one of one needs a rotation", State{Listed: true}, outcomes(1, 0, 1), Rotate},
		{"five of five need a rotation", State{Listed: true}, outcomes(5, 0, 5), Rotate},
		{"six of six need a rotation", State{Listed: true}, outcomes(6, 0, 6), Stop},
		{"six of 119 need a rotation", State{Listed: true}, outcomes(119, 0, 6), Stop},
		{"six of 120 need a rotation", State{Listed: true}, outcomes(120, 0, 6), Rotate},
		{"six of six, and the list goes on", State{}, outcomes(6, 0, 6), ""},
		{"more than the state has room for", State{Swept: 10000}, outcomes(1000, 0, 201), Stop},
		{"199 pages", State{Pages: 199}, nil, ""},
		{"200 pages", State{Pages: 200}, nil, Continue},
		{"200 pages, and the list is over", State{Pages: 200, Listed: true}, nil, Done},
	} {
		if got := c.state.add(c.results).judge(); got.do != c.want || (got.do == Stop) != (got.message != "") {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
	}
}

func TestTheNextExecutionCountsItsOwnPages(t *testing.T) {
	// If an execution inherited the count, it would start the next one at once, and so on forever.
	runner := &Runner{Log: slog.New(slog.DiscardHandler)}
	answer, err := runner.Next(t.Context(), Step{RotateFunction: "arn:function", Time: time.Unix(1, 0),
		State: State{Pages: maxPages, NextToken: "token", Swept: 7}})
	if want := (State{NextToken: "token", Swept: 7}); err != nil || answer.Do != Continue ||
		!reflect.DeepEqual(answer.State, want) {
		t.Errorf("%+v, %v; want the state %+v", answer, err, want)
	}
}

func TestSweepsOnlyManagedSecrets(t *testing.T) {
	// The values of other teams' secrets are not read. Managed secrets are swept also if their
	// rotation is off.
	const function, registry = "arn:aws:lambda:us-east-1:123456789012:function:rotate", "https://registry.example.com"
	arn := "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf"
	for name, c := range map[string]struct {
		secret vault.Secret
		want   bool
	}{
		"function": {vault.Secret{Rotation: vault.Rotation{Enabled: true, Function: function}}, true},
		"version of it": {vault.Secret{Rotation: vault.Rotation{Enabled: true, Function: function + ":7"}},
			true},
		"tag, no function": {
			vault.Secret{Tags: map[string]string{settings.TagRegistry: "https://Registry.example.com:443/"}}, true},
		"tag, another function": {vault.Secret{Tags: map[string]string{settings.TagRegistry: registry},
			Rotation: vault.Rotation{Enabled: true, Function: function + "2"}}, true},
		"another registry": {
			vault.Secret{Tags: map[string]string{settings.TagRegistry: "https://other.example.com"},
				Rotation: vault.Rotation{Enabled: true, Function: function + "2"}}, false},
		"function, other tag": {
			vault.Secret{Tags: map[string]string{settings.TagRegistry: "https://other.example.com"},
				Rotation: vault.Rotation{Enabled: true, Function: function}}, true},
		"function, invalid tag": {vault.Secret{Tags: map[string]string{settings.TagRegistry: "prod"},
			Rotation: vault.Rotation{Enabled: true, Function: function}}, true},
		"invalid tag": {vault.Secret{Tags: map[string]string{settings.TagRegistry: "prod"}}, false},
		"another tag": {vault.Secret{Tags: map[string]string{settings.TagGrace: "24h"}}, false},
		"another function": {vault.Secret{Rotation: vault.Rotation{Enabled: true, Function: function + "2"}},
			false},
		"rotation off": {vault.Secret{Rotation: vault.Rotation{Function: function}}, false}, // retired
		"rotation off, tag": {vault.Secret{Tags: map[string]string{settings.TagRegistry: registry},
			Rotation: vault.Rotation{Function: function}}, true},
		"rotation off, a key": {vault.Secret{Rotation: vault.Rotation{Function: function},
			Versions: map[string]vault.Version{"v": {Keys: []string{"k"}}}}, true},
		"rotation off, a mark without a key": {vault.Secret{Rotation: vault.Rotation{Function: function},
			Versions: map[string]vault.Version{"v": {Marks: []vault.Mark{{}}}}}, true},
		"nothing": {vault.Secret{}, false},
		"replica": {vault.Secret{Rotation: vault.Rotation{Enabled: true, Function: function},
			PrimaryRegion: "eu-west-1"}, false},
		"primary of replicas": {vault.Secret{Rotation: vault.Rotation{Enabled: true, Function: function},
			PrimaryRegion: "us-east-1"}, true},
		"tagged replica": {vault.Secret{Tags: map[string]string{settings.TagRegistry: registry},
			PrimaryRegion: "eu-west-1"}, false},
	} {
		c.secret.ARN = arn
		if got := Sweeps(c.secret, function, registry); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestTokenIsTheSameForAnHour(t *testing.T) {
	// Concurrent runs must use the same token, so that they start one rotation. RotateSecret must
	// accept the token.
	at := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	need := func(arn string, reason revocation.NeedReason) revocation.Need {
		return revocation.Need{SecretID: arn, Reason: reason}
	}
	refused := need("arn:a", revocation.NeedRefused)
	first := Token(refused, at)
	others := []string{Token(need("arn:b", revocation.NeedRefused), at), Token(refused, at.Add(time.Hour)),
		Token(refused, at.Add(24*time.Hour)), Token(need("arn:a", revocation.NeedExpires), at)}
	again := Token(refused, at.Add(59*time.Minute).In(time.FixedZone("x", 3600)))
	if again != first || slices.Contains(others, first) || len(first) < 32 || len(first) > 64 ||
		!revocation.OnNeed(first) || !revocation.OnNeed(others[3]) {
		t.Errorf("%s, %v", first, others)
	}
}

func TestASweepWithoutAnOutcomeFailed(t *testing.T) {
	s := State{Sent: 5}.add([]Outcome{{Outcome: revocation.Swept}, {}, {Outcome: revocation.Failed}})
	if s.Swept != 5 || s.Failed != 4 || s.Sent != 0 {
		t.Errorf("one of five sweeps succeeded, and %d of %d failed", s.Failed, s.Swept)
	}
}

func TestEventsThatWereNotPutAreCounted(t *testing.T) {
	s := State{}.add([]Outcome{{Outcome: revocation.Swept, Event: &Put{true}},
		{Outcome: revocation.Swept, Event: &Put{}}, {Outcome: revocation.Swept}})
	if s.Lost != 1 || s.Failed != 0 {
		t.Errorf("one event was lost and no sweep failed: %+v", s)
	}
}
