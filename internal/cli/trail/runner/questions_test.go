package runner_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/sandbox/wire"
)

func TestUsageOfOneKeyOnly(t *testing.T) {
	// The key is found by id, name and fingerprint. Events of other keys are not shown, and the
	// newest event is first.
	bothCases(t, func(t *testing.T, r *rig) {
		id, worker := r.MintKey(bob, "worker", 90)
		_, other := r.MintKey(bob, "other", 90)
		k, _ := r.KeyBySecret(worker)
		r.use(worker)
		r.use(other)
		r.clock.Advance(time.Hour)
		r.create(worker, "next")

		for _, key := range []string{id, "worker", k.Fingerprint} {
			a := r.find(trail.Query{Key: key})
			r.want("events of "+key, values(a, trail.EventName, trail.KeyName, trail.KeyID, trail.KeyFingerprint,
				trail.UserEmail, trail.SourceAddress, trail.UserAgent),
				strings.Join([]string{"APIKeys.Create worker", id, k.Fingerprint, bob, "127.0.0.1", "quilt-rotate/1"},
					" ")+"\n"+
					strings.Join([]string{"Auth.GetAWSCredentials worker", id, k.Fingerprint, bob, "127.0.0.1",
						"consumer/1"}, " "))
		}
		a := r.find(trail.Query{})
		if len(a.Rows) != 3 {
			t.Errorf("got %d events for all keys, want 3", len(a.Rows))
		}
		if got, want := a.Value(0, trail.EventTime), r.clock.Now().Format("2006-01-02T15:04:"); !strings.HasPrefix(got,
			want[:14]) || !strings.HasSuffix(got, "Z") {
			t.Errorf("got the time %s", got)
		}
		if i := a.Column(trail.ErrorCode); a.Rows[0][i].Valid {
			t.Error("the error of an event without an error is not NULL")
		}
	})
}

func TestFailedLogins(t *testing.T) {
	// The answer has the code and the fingerprint of each refused login, and no successful login.
	bothCases(t, func(t *testing.T, r *rig) {
		_, good := r.MintKey(bob, "good", 90)
		_, expired := r.MintKey(bob, "expired", 0)
		_, inactive := r.MintKey(ann, "inactive", 90)
		r.SetActive(ann, false)
		k, _ := r.KeyBySecret(expired)
		for _, secret := range []string{good, "qk_short", expired, inactive} {
			r.use(secret)
			r.clock.Advance(time.Second)
		}
		a := r.find(trail.Query{Kind: trail.Failed})
		r.want("failed logins", values(a, trail.EventName, trail.ErrorCode),
			"Auth.APIKey USER_INACTIVE\nAuth.APIKey EXPIRED\nAuth.APIKey INVALID")
		a = r.find(trail.Query{Kind: trail.Failed, Key: k.Fingerprint})
		r.want("failed logins of one key", values(a, trail.ErrorCode, trail.KeyFingerprint), "EXPIRED "+k.Fingerprint)
	})
}

func TestKeysCreatedAndRevoked(t *testing.T) {
	// The answer shows the key that was created or revoked, not the key of the login.
	bothCases(t, func(t *testing.T, r *rig) {
		_, worker := r.MintKey(bob, "worker", 90)
		id, next := r.create(worker, "next")
		r.clock.Advance(time.Second)
		r.use(next)
		r.ask(worker, revokeQuery, map[string]any{"id": id})
		r.clock.Advance(time.Second)
		r.create(worker, "")
		a := r.find(trail.Query{Kind: trail.Changes})
		r.want("changes", values(a, trail.EventName, trail.KeyName, trail.KeyID, trail.UserEmail, trail.ErrorCode),
			"APIKeys.Create   "+bob+" ValidationError\nAPIKeys.Revoke  "+id+" "+bob+" \nAPIKeys.Create next "+id+" "+
				bob+" ")
		a = r.find(trail.Query{Kind: trail.Changes, Key: id})
		if len(a.Rows) != 2 {
			t.Errorf("got %d changes of the key, want 2", len(a.Rows))
		}
	})
}

func TestSummary(t *testing.T) {
	// One row for each key and address, with the number of uses and the last use, the latest first.
	bothCases(t, func(t *testing.T, r *rig) {
		_, worker := r.MintKey(bob, "worker", 90)
		_, other := r.MintKey(ann, "other", 90)
		r.use(worker)
		r.use(worker)
		r.clock.Advance(time.Hour)
		r.use(other)
		a := r.find(trail.Query{Kind: trail.Summary})
		r.want("summary", values(a, trail.KeyName, trail.UserEmail, trail.SourceAddress, trail.Calls), "other "+ann+
			" 127.0.0.1 1\nworker "+bob+" 127.0.0.1 2")
		if a.Value(0, trail.LastUsed) <= a.Value(1, trail.LastUsed) {
			t.Errorf("got the last uses %s", values(a, trail.LastUsed))
		}
	})
}

func TestDaysPruneThePartitions(t *testing.T) {
	// Athena charges for the data that it reads.
	r := start(t)
	_, worker := r.MintKey(bob, "worker", 365)
	for range 3 {
		r.use(worker)
		r.clock.Advance(40 * 24 * time.Hour)
	}
	r.use(worker)
	month, year := r.find(trail.Query{Days: 30}), r.find(trail.Query{Days: 365})
	if len(month.Rows) != 1 || len(year.Rows) != 4 {
		t.Errorf("got %d events in 30 days and %d in 365, want 1 and 4", len(month.Rows), len(year.Rows))
	}
	if month.Scanned == 0 || month.Scanned*3 > year.Scanned {
		t.Errorf("30 days read %d bytes and 365 days %d, want fewer for 30 days", month.Scanned, year.Scanned)
	}
}

func TestTheFirstDayIsComplete(t *testing.T) {
	r := start(t)
	_, worker := r.MintKey(bob, "worker", 90)
	midnight := r.clock.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	r.clock.Advance(midnight.Add(-time.Minute).Sub(r.clock.Now())) // 23:59
	r.use(worker)
	r.clock.Advance(2 * time.Minute)
	r.use(worker)
	r.clock.Advance(24 * time.Hour) // 00:01 of the second day after
	if a := r.find(trail.Query{Days: 1}); len(a.Rows) != 1 {
		t.Errorf("one day: got %d events, want 1", len(a.Rows))
	}
	if a := r.find(trail.Query{Days: 2}); len(a.Rows) != 2 {
		t.Errorf("two days: got %d events, want 2", len(a.Rows))
	}
}

func TestTheNameOfAKeyCannotChangeTheQuery(t *testing.T) {
	for _, text := range []string{
		`' OR '1'='1`, `x' OR 1=1 --`, `'; DROP TABLE audit_trail; --`, `x') UNION SELECT * FROM audit_trail --`,
		`\' OR 1=1 --`, `''`, `"date"`, `%`, `?`, `/*`, "’ OR ’1’=’1",
	} {
		t.Run(text, func(t *testing.T) {
			r := start(t)
			_, worker := r.MintKey(bob, "worker", 90)
			_, odd := r.MintKey(bob, text, 90)
			r.use(worker)
			for _, kind := range []trail.Kind{trail.Usage, trail.Summary, trail.Changes} {
				if a := r.find(trail.Query{Kind: kind, Key: text}); len(a.Rows) != 0 {
					t.Errorf("kind %d: got events of another key: %v", kind, a.Rows)
				}
			}
			r.use(odd)
			r.want("events of the key with this name", values(r.find(trail.Query{Key: text}), trail.KeyName), text)
		})
	}
}

func TestStoredQueriesRun(t *testing.T) {
	// The queries stored in Athena's console must work on any day.
	bothCases(t, func(t *testing.T, r *rig) {
		_, worker := r.MintKey(bob, "worker", 365)
		r.use(worker)
		r.use("qk_short")
		r.create(worker, "first")
		r.clock.Advance(40 * 24 * time.Hour)
		r.use(worker)
		r.use("qk_short")
		r.create(worker, "second")
		want := map[string]string{"KeyUsage": "worker", "FailedKeyLogins": "", "KeysMadeAndRevoked": "second"}
		for _, q := range trail.Stored() {
			a, err := r.runner.Run(r.Context(), q.SQL)
			if err != nil {
				t.Fatalf("%s: %v", q.ID, err)
			}
			name, known := want[q.ID]
			if got := values(a, trail.KeyName); !known || got != name || len(a.Rows) != 1 {
				t.Errorf("%s: got %d rows of %q, want one of %q", q.ID, len(a.Rows), got, name)
			}
			delete(want, q.ID)
		}
		if len(want) != 0 {
			t.Errorf("the stored queries lack %v", want)
		}
	})
}

func TestPages(t *testing.T) {
	// Each row must be returned once, and the row of column names never.
	r := start(t)
	// The SDK may close a request's body while it is written, which sometimes breaks the connection
	// of a long answer. Therefore its retries are on, and each page is counted once.
	r.runner.Client = client(r.service, retry.NewStandard())
	_, worker := r.MintKey(bob, "worker", 90)
	const calls = 1_200
	for range calls {
		r.use(worker)
	}
	pages := map[string]bool{}
	r.hooks.Set(func(c *wire.Call, next func()) {
		if c.Operation == "GetQueryResults" {
			pages[string(c.Body)] = true
		}
		next()
	})
	a := r.find(trail.Query{})
	if len(a.Rows) != calls || len(pages) != 2 {
		t.Errorf("got %d rows in %d pages, want %d in 2", len(a.Rows), len(pages), calls)
	}
	if slices.Contains(strings.Split(values(a, trail.EventName), "\n"), trail.EventName) {
		t.Error("the rows contain the column names")
	}
	// 999 events and the column names are exactly one page.
	clear(pages)
	if a := r.find(trail.Query{Limit: 999}); len(a.Rows) != 999 || len(pages) != 1 {
		t.Errorf("got %d rows in %d pages, want 999 in one", len(a.Rows), len(pages))
	}
}

func TestAnEmptyTrailHasAnEmptyAnswer(t *testing.T) {
	r := start(t)
	a := r.find(trail.Query{})
	want := []string{trail.EventTime, trail.EventName, trail.KeyName, trail.KeyFingerprint, trail.KeyID,
		trail.UserEmail, trail.SourceAddress, trail.UserAgent, trail.ErrorCode}
	if len(a.Rows) != 0 {
		t.Errorf("got %d events, want 0", len(a.Rows))
	}
	if diff := cmp.Diff(want, a.Columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if got := strings.Join(r.states, " "); got != "QUEUED RUNNING SUCCEEDED" {
		t.Errorf("got the states %s", got)
	}
}

func TestAUserAgentIsReturnedAsText(t *testing.T) {
	// Anybody can send a user agent with a refused login.
	r := start(t)
	_, worker := r.MintKey(bob, "worker", 90)
	r.send("GET", "/api/auth/get_credentials", "qk_short", "curl\t\u202e"+worker, "")
	got := values(r.find(trail.Query{Kind: trail.Failed}), trail.UserAgent)
	if got != "curl\uFFFD\uFFFD[redacted]" {
		t.Errorf("got the user agent %q", got)
	}
}
