package report_test

import (
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/report"
	"quilt-rotate/internal/vault"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(days float64) time.Time { return start.Add(time.Duration(days * 24 * float64(time.Hour))) }

// evidence returns the evidence from log lines, one an hour from day 10, for a secret that rotates
// every 30 days.
func evidence(lines ...string) (report.Secret, *report.Journals) {
	journals := report.NewJournals("arn:a")
	for i, line := range lines {
		journals.Add(at(10).Add(time.Duration(i)*time.Hour), line)
	}
	facts := report.Facts{
		Secret: vault.Secret{ARN: "arn:a", Name: "=prod/<b>a", Created: start, Versions: map[string]vault.Version{},
			Rotation: vault.Rotation{Enabled: true, Rules: vault.RotationRules{AfterDays: 30}}},
		Versions: []awsclient.DatedVersion{{Version: vault.NewVersion("v1", nil), Created: start}},
		Journal:  journals.BySecret["arn:a"], RotateLog: report.Coverage{From: start},
		RevokeLog: report.Coverage{From: start},
	}
	return facts.Evidence(report.Window{Now: at(20), Since: start}), journals
}

const cutOver = `{"step":"finishSecret","outcome":"ok","secret":"arn:a","version":"v2","keyId":"k2",` +
	`"replacedVersion":"v1","replacedKeyId":"k1"}`

func TestAFailedRevocationIsAnException(t *testing.T) {
	// The report must not claim that the key was revoked.
	s, _ := evidence(cutOver,
		`{"action":"revoke","secret":"arn:a","version":"v1","keyId":"k1","error":"still logs in"}`)
	end := s.Rotations[1].Replaced.End
	if end.State != report.NotSeen || end.RefusedSeen || len(s.Exceptions) != 1 {
		t.Errorf("got the end %+v and the exceptions %+v", end, s.Exceptions)
	}
}

func TestALaterCallOfFinishSecretIsNotAnotherRotation(t *testing.T) {
	// Retries and concurrent calls log finishSecret again. Only the log event of the cut-over
	// counts.
	s, _ := evidence(cutOver, `{"step":"finishSecret","outcome":"already current","secret":"arn:a","version":"v2"}`)
	if len(s.Rotations) != 2 || !s.Rotations[1].Time.Equal(at(10)) || s.Rotations[1].Replaced.KeyID != "k1" {
		t.Errorf("got the rotations %+v", s.Rotations)
	}
}

func TestOtherLogEventsAreIgnored(t *testing.T) {
	// A log event may not be JSON, or may be about another secret.
	s, journals := evidence("START RequestId: 1", `{"step":5}`, strings.ReplaceAll(cutOver, "arn:a", "arn:b"))
	if len(s.Rotations) != 1 || journals.Unread != 2 {
		t.Errorf("got the rotations %+v and %d unread lines", s.Rotations, journals.Unread)
	}
}

func TestTextFromOutsideIsEscaped(t *testing.T) {
	// The report must not show a key, and text must not become a formula or markup.
	const key = "qk_CANARYcanaryCANARYcanary0123456789"
	s, _ := evidence(cutOver,
		`{"outcome":"paused","secret":"arn:a","actions":0,"pauseReason":"<script>x</script> `+key+` \u001b[31m"}`)
	r := report.Report{Time: at(20), Since: start, Secrets: []report.Secret{s}}
	var table, csv, json, html strings.Builder
	for _, err := range []error{r.WriteTable(&table, 0), r.WriteCSV(&csv), r.WriteJSON(&json), r.WriteHTML(&html)} {
		if err != nil {
			t.Error(err)
		}
	}
	if all := table.String() + csv.String() + json.String() + html.String(); strings.Contains(all, "CANARYcanary") {
		t.Error("the report contains a key")
	}
	if strings.Contains(html.String(), "<script") || strings.Contains(html.String(), "<b>a") {
		t.Error("the page has markup from the data")
	}
	if !strings.Contains(csv.String(), "\r\n'=prod/") || strings.Contains(csv.String(), "\r\n=prod/") {
		t.Errorf("a cell is a formula:\n%s", csv.String())
	}
	if strings.Contains(table.String()+csv.String()+json.String(), "\x1b[31m") {
		t.Error("the report has an escape code from the reason of a pause")
	}
}
