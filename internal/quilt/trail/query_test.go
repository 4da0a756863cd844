package trail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/quilt/trail"
)

var now = time.Date(2026, 11, 24, 1, 30, 0, 0, time.FixedZone("", 2*60*60)) // 23 November in UTC

func TestSQL(t *testing.T) {
	// People paste the output of --sql into Athena, so the exact text is checked. The first day is
	// in UTC.
	got, err := trail.Query{Days: 30, Key: "it's", Kind: trail.Changes, Limit: 5}.SQL(now)
	const want = `SELECT date_format(eventtime, '%Y-%m-%dT%H:%i:%sZ') AS event_time,
       eventname AS event_name,
       coalesce(json_extract_scalar(responseelements, '$.apiKey.name'), json_extract_scalar(responseelements, '$.apikey.name'), json_extract_scalar(requestparameters, '$.input.name')) AS key_name,
       coalesce(json_extract_scalar(responseelements, '$.apiKey.fingerprint'), json_extract_scalar(responseelements, '$.apikey.fingerprint')) AS key_fingerprint,
       coalesce(json_extract_scalar(responseelements, '$.apiKey.id'), json_extract_scalar(responseelements, '$.apikey.id'), json_extract_scalar(requestparameters, '$.id')) AS key_id,
       json_extract_scalar(useridentity, '$.email') AS user_email,
       sourceipaddress AS source_address,
       useragent AS user_agent,
       errorcode AS error
FROM audit_trail
WHERE "date" >= '2026/10/24'
  AND lower(eventname) IN ('apikeys.create', 'apikeys.revoke', 'apikeys.admin.revoke')
  AND (coalesce(json_extract_scalar(responseelements, '$.apiKey.id'), json_extract_scalar(responseelements, '$.apikey.id'), json_extract_scalar(requestparameters, '$.id')) = 'it''s'
    OR coalesce(json_extract_scalar(responseelements, '$.apiKey.name'), json_extract_scalar(responseelements, '$.apikey.name'), json_extract_scalar(requestparameters, '$.input.name')) = 'it''s'
    OR coalesce(json_extract_scalar(responseelements, '$.apiKey.fingerprint'), json_extract_scalar(responseelements, '$.apikey.fingerprint')) = 'it''s')
ORDER BY eventtime DESC, eventid
LIMIT 5`
	if err != nil || got != want {
		t.Errorf("%v:\n%s", err, got)
	}
}

func TestStoredSQL(t *testing.T) {
	// A stored query has no fixed day and no limit.
	for _, q := range trail.Stored() {
		if !strings.Contains(q.SQL, `WHERE "date" >= date_format(date_add('day', -30, now()), '%Y/%m/%d')`+"\n") ||
			strings.Contains(q.SQL, "LIMIT") {
			t.Errorf("%s is\n%s", q.ID, q.SQL)
		}
		if !strings.Contains(q.Description, "30 days") {
			t.Errorf("%s is described as %q", q.ID, q.Description)
		}
	}
}

func TestCheckRefusesInvalidQueries(t *testing.T) {
	// The error does not contain the text, which may be a key.
	const key = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"
	for name, c := range map[string]struct {
		query trail.Query
		want  error
	}{
		"no days":                  {trail.Query{}, trail.ErrDays},
		"days before the start":    {trail.Query{Days: -1}, trail.ErrDays},
		"more than a year":         {trail.Query{Days: 366}, trail.ErrDays},
		"negative limit":           {trail.Query{Days: 1, Limit: -1}, trail.ErrLimit},
		"limit":                    {trail.Query{Days: 1, Limit: 100_001}, trail.ErrLimit},
		"line feed":                {trail.Query{Days: 1, Key: "a\nb"}, trail.ErrText},
		"NUL":                      {trail.Query{Days: 1, Key: "a\x00b"}, trail.ErrText},
		"right to left":            {trail.Query{Days: 1, Key: "a\u202eb"}, trail.ErrText},
		"not UTF-8":                {trail.Query{Days: 1, Key: "a\xffb"}, trail.ErrText},
		"long":                     {trail.Query{Days: 1, Key: strings.Repeat("a", 257)}, trail.ErrText},
		"key":                      {trail.Query{Days: 1, Key: key}, trail.ErrIsKey},
		"key with space before":    {trail.Query{Days: 1, Key: " " + key}, trail.ErrIsKey},
		"key that ends in dots":    {trail.Query{Days: 1, Key: key + "..."}, trail.ErrIsKey},
		"key, failed":              {trail.Query{Days: 1, Key: key, Kind: trail.Failed}, trail.ErrIsKey},
		"failed login by name":     {trail.Query{Days: 1, Key: "worker", Kind: trail.Failed}, trail.ErrByID},
		"fingerprint":              {trail.Query{Days: 1, Key: "qk_abc...xyz"}, nil},
		"fingerprint with …":       {trail.Query{Days: 1, Key: "qk_abc…xyz", Kind: trail.Failed}, nil},
		"fingerprint of nothing":   {trail.Query{Days: 1, Key: "qk_...", Kind: trail.Failed}, nil},
		"name in another script":   {trail.Query{Days: 1, Key: "ключ 鍵"}, nil},
		"a year":                   {trail.Query{Days: 365, Limit: 100_000, Key: strings.Repeat("a", 256)}, nil},
		"name with a single quote": {trail.Query{Days: 1, Key: "o'hare"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sql, err := c.query.SQL(now)
			if !errors.Is(err, c.want) || (err == nil) != (sql != "") {
				t.Errorf("the error is %v, want %v; the SQL is %q", err, c.want, sql)
			}
			if err != nil && strings.Contains(err.Error(), "W7h") {
				t.Error("the error shows the key")
			}
		})
	}
}

func FuzzKey(f *testing.F) {
	// The name of a key must not change the SQL outside its literal.
	for _, seed := range []string{"worker", "'", "''", `\'`, "' OR '1'='1", "'; --", "qk_abc...xyz", "é"} {
		f.Add(seed)
	}
	frame, err := trail.Query{Days: 1, Key: "x"}.SQL(now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		sql, err := trail.Query{Days: 1, Key: key}.SQL(now)
		if err != nil || key == "" {
			return
		}
		literal := "'" + strings.ReplaceAll(key, "'", "''") + "'"
		if sql != strings.ReplaceAll(frame, "'x'", literal) {
			t.Errorf("the key %q makes\n%s", key, sql)
		}
		// Read as SQL reads literals, the text has an even number of quotes and so no literal is
		// left open.
		if strings.Count(sql, "'")%2 != 0 {
			t.Errorf("the key %q leaves a literal open", key)
		}
	})
}

func TestCell(t *testing.T) {
	// Texts from clients cannot control a terminal, and keys are removed.
	for given, want := range map[string]string{
		"plain text":               "plain text",
		"\x1b[31mred\a":            "\uFFFD[31mred\uFFFD",
		"a\u202eb\u200bc":          "a\uFFFDb\uFFFDc",
		"two\nlines":               "two\uFFFDlines",
		"qk_abc...xyz":             "qk_abc...xyz",
		"x qk_W7hQx3ZtLmN9pRvK2sY": "x [redacted]",
		"é 鍵":                      "é 鍵",
	} {
		if got := trail.NewCell(given).Text; got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}
