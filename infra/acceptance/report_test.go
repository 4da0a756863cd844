package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/wire"
)

var golden = flag.Bool("golden", false, "write the table of docs/acceptance.md again")

// unknown are facts that no document states, in the words of the notes about Secrets Manager and of
// the request for this program. The README's table is read from it.
var unknown = []string{
	"labels written in one call", "RotationLambdaARN after CancelRotateSecret", "AWSPENDING after success",
	"retries and their spacing", "RotationEnabled during a test run",
	"IAM's evaluation of AllowRotationLambdaArn and VersionStage", "shape of `Secret Label Updated`",
	"may a key create keys", "granularity of lastUsedAt", "what revoke answers for an absent id", "name rules",
	"time until a new key is accepted", "whether the condition AllowRotationLambdaArn holds during the first test run",
	"whether the registry answers Ok to a revocation by the key's own text",
	"Retry count and spacing", "any service-side step timeout", "same-token reuse across windows",
	"meaning of the UUID in requestID",
	"delivery level, Region coverage and replica behaviour of `Secret Label Updated`", "replica lag",
	"effect of failures on LastRotatedDate", "Scheduler RetryPolicy defaults",
}

func TestEachUnknownFactHasACheck(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	must(t, err)
	_, table, found := strings.Cut(string(readme), "| not known |")
	facts := slices.Clone(unknown)
	for line := range strings.Lines(table) {
		cell := strings.Split(line, "|")
		if strings.TrimSpace(line) == "" || !strings.HasPrefix(strings.TrimSpace(line), "|") {
			if len(facts) > len(unknown) {
				break
			}
			continue
		}
		text, _, _ := strings.Cut(strings.TrimSpace(cell[1]), " (")
		if !strings.HasPrefix(text, "--") && text != "what shows it" {
			facts = append(facts, text)
		}
	}
	if !found || len(facts) < len(unknown)+8 {
		t.Fatalf("the README's table has %d rows", len(facts)-len(unknown))
	}
	settled := map[string]bool{}
	for _, c := range checks {
		for _, fact := range c.Settles {
			settled[fact] = true
			if !slices.Contains(facts, fact) {
				t.Errorf("%s settles %q, which no list has", c.Name, fact)
			}
		}
	}
	for _, fact := range facts {
		if !settled[fact] {
			t.Errorf("no check settles %q", fact)
		}
	}
}

func TestACheckSaysWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, c := range checks {
		if names[c.Name] || c.Name == "" || c.Assumed == "" || c.Depends == "" || c.How == "" {
			t.Errorf("the check %q is not complete, or there twice", c.Name)
		}
		names[c.Name] = true
	}
}

func TestNothingSeenIsNoAnswer(t *testing.T) {
	// A run that was interrupted has not seen most things: no check may take that for an answer.
	t.Parallel()
	r := &report{}
	r.judge(&observations{})
	for _, c := range r.Checks {
		if c.Answer != notSeen || c.Seen == "" {
			t.Errorf("%s: %s: %s", c.Name, c.Answer, c.Seen)
		}
	}
	if len(r.Checks) != len(checks) {
		t.Errorf("%d of %d checks are in the report", len(r.Checks), len(checks))
	}
}

func TestWhatWasInterruptedIsNoAnswer(t *testing.T) {
	// After Ctrl-C, a request fails because it was cancelled, and not because a service refused it.
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r, l := &report{}, &life{out: io.Discard}
	err := l.live(ctx, []part{{"a part", func(l *life, _ context.Context) error {
		cancel()
		l.seen.Registry = &registryAnswers{Create: "context canceled"}
		return nil
	}, false}}, r)
	r.judge(&l.seen)
	if err == nil || r.ok() || l.seen.Registry != nil || slices.ContainsFunc(r.Checks,
		func(c checked) bool { return c.Answer != notSeen }) {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestARegistryThatIsDownIsNoAnswer(t *testing.T) {
	t.Parallel()
	box, err := sandbox.Start(sandbox.Options{})
	must(t, err)
	t.Cleanup(func() { _ = box.Close() })
	_, text := box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	key, err := apikey.Parse(text)
	must(t, err)
	client, err := quilt.NewClient(box.RegistryURL, quilt.Options{MaxAttempts: 1})
	must(t, err)
	box.Hooks.Set(func(c *wire.Call, next func()) {
		if c.Operation == "apiKeyCreate" {
			c.Respond(503, "")
			return
		}
		next()
	})
	if a, err := ask(t.Context(), client, key, "label",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:s-a1b2c3",
		0); a != nil || err == nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestTheReportHasNoSecret(t *testing.T) {
	t.Parallel()
	key := "qk_" + strings.Repeat("SECRET", 8)
	r := &report{Run: prefix + "0a1b2c3d", Left: []string{"the secret of " + sandbox.Account},
		hide: replacement{sandbox.Account, "<account>", "registry.example.com", "<registry>"},
		Life: []lived{{Part: "a part", Outcome: failed, Detail: `https://registry.example.com refuses "` + key + `"`}}}
	r.judge(&observations{})
	for _, text := range []string{string(r.Markdown()), string(r.JSON())} {
		for _, secret := range []string{key, "SECRET", sandbox.Account, "registry.example.com"} {
			if strings.Contains(text, secret) {
				t.Errorf("the report has %q:\n%s", secret, text)
			}
		}
		if !strings.Contains(text, "[key]") || !strings.Contains(text, "<registry> refuses") &&
			!strings.Contains(text, `\u003cregistry\u003e refuses`) {
			t.Errorf("the report does not say what failed:\n%s", text)
		}
	}
	if !json.Valid(r.JSON()) {
		t.Errorf("no JSON:\n%s", r.JSON())
	}
}

func TestAReportIsGoodOnlyIfNothingFailedAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	good := report{Life: []lived{{Outcome: passed}, {Outcome: skipped}}}
	for want, r := range map[*report]bool{
		&good: true,
		{Life: []lived{{Outcome: passed}, {Outcome: failed}}}:         false,
		{Life: []lived{{Outcome: passed}}, Left: []string{"a stack"}}: false,
	} {
		if want.ok() != r {
			t.Errorf("%+v", want)
		}
	}
}

func TestThePageListsTheChecks(t *testing.T) {
	// The table of the page is written by this test: go test ./acceptance -run Page -golden
	page := filepath.Join(root(t), "docs", "acceptance.md")
	text, err := os.ReadFile(page)
	must(t, err)
	var table strings.Builder
	table.WriteString("| check | assumed | how it is seen | what depends on it |\n|---|---|---|---|\n")
	for _, c := range checks {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", c.Name, c.Assumed, c.How, c.Depends)
	}
	is := regexp.MustCompile(`(?s)\| check \|.*?\n\n`).FindString(string(text))
	if *golden {
		must(t, os.WriteFile(page, []byte(strings.Replace(string(text), is, table.String()+"\n", 1)), 0o600))
	} else if is != table.String()+"\n" {
		t.Errorf("the table of docs/acceptance.md is not that of the checks: write it with -golden")
	}
	for _, p := range parts {
		if !strings.Contains(string(text), "- "+p.name) {
			t.Errorf("docs/acceptance.md does not list the part %q", p.name)
		}
	}
}

func TestAThrowawayStackIsValidForEachFile(t *testing.T) {
	// The configuration of the throwaway stack comes from that of the user, and must pass the same
	// rules.
	t.Parallel()
	for name, text := range map[string]string{
		"the smallest": "stack: prod\nregistry: https://registry.example.com\n",
		"everything": `stack: prod
registry: https://registry.example.com
tags: {team: data}
permissionsBoundary: arn:aws:iam::123456789012:policy/boundary
network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0]}
kmsKey: arn:aws:kms:us-east-1:123456789012:key/0123abcd-0123-0123-0123-0123456789ab
keys:
  - {name: prod/pipeline, schedule: rate(60 days), expiresInDays: 150, grace: 240h, quiet: 48h,
     issuer: "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/issuer-a1b2c3"}
`,
	} {
		t.Run(name, func(t *testing.T) {
			of := parse(t, text)
			file, err := (&throwaway{name: prefix + "0a1b2c3d", config: of}).file()
			must(t, err)
			made := parse(t, string(file))
			if made.TerminationProtection || made.Stack == of.Stack || len(made.Keys) != 1 {
				t.Errorf("the throwaway stack is %+v", made)
			}
			for _, k := range of.All() {
				if made.Keys[0].GracePeriod() < k.GracePeriod() || made.Keys[0].QuietPeriod() < k.QuietPeriod() ||
					made.Keys[0].Issuer != k.Issuer {
					t.Errorf("the throwaway secret is %+v", made.Keys[0])
				}
			}
		})
	}
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte(text), config.AWS{Account: sandbox.Account, Region: sandbox.Region})
	must(t, err)
	return c
}
