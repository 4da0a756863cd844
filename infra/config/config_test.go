package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox/hermetic"
)

func init() { hermetic.FixSeed() }

var here = config.AWS{Account: "123456789012", Region: "us-east-1"}

const head = "registry: https://registry.example.com\nstack: quilt-rotate-prod\n"

// file is a complete configuration with these lines in it.
func file(top, key string) string {
	return head + top + "\nkeys:\n  - name: prod/pipeline\n    schedule: rate(30 days)\n" + indent(key)
}

func indent(lines string) string {
	var all strings.Builder
	for line := range strings.Lines(lines) {
		all.WriteString("    " + line)
	}
	return all.String()
}

// faults are those of the text, by path.
func faults(t testing.TB, text string) (paths []string, message string) {
	t.Helper()
	_, err := config.Parse("config.yaml", []byte(text), here)
	if err == nil {
		return nil, ""
	}
	var all *config.Faults
	if !errors.As(err, &all) {
		t.Fatalf("%v is no *config.Faults", err)
	}
	for _, f := range all.List {
		paths = append(paths, f.Path)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(all.List) {
		t.Errorf("%d faults are reported in %d lines:\n%v", len(all.List), len(lines), err)
	}
	return paths, err.Error()
}

func TestTheExampleIsValid(t *testing.T) {
	// The example is valid without changes, and also with all its options uncommented.
	text, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, message := faults(t, string(text)); message != "" {
		t.Error(message)
	}
	option := regexp.MustCompile(`(?m)^( *)# ((- |  )?[a-zA-Z]+:.*)$`)
	all := option.ReplaceAllStringFunc(string(text), func(line string) string {
		if strings.Contains(line, "# retired:") || strings.Contains(line, "# caBundle:") {
			return line
		}
		return option.ReplaceAllString(line, "$1$2")
	})
	c, err := config.Parse("config.yaml", []byte(all), here)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Keys) != 2 || c.Audit == nil || c.Network == nil || len(c.Keys[0].Restart) != 1 ||
		c.Keys[0].Issuer == "" || c.KMSKey != config.NewKey {
		t.Errorf("the example does not show every option: %+v", c)
	}
}

func TestDefaultsAreAsDocumented(t *testing.T) {
	// A file with only the required fields gets the documented defaults.
	c, err := config.Parse("config.yaml", []byte(file("", "")), here)
	if err != nil {
		t.Fatal(err)
	}
	k := c.Keys[0]
	got := fmt.Sprintln(c.Stack, c.Account, c.Region, c.Environment, c.TerminationProtection, c.KMSKey, c.Sweep,
		c.OrphanAge, c.LogLevel, c.LogRetentionDays, k.ExpiresInDays, k.GracePeriod(), k.QuietPeriod(), k.HoldLimit)
	want := fmt.Sprintln("quilt-rotate-prod", "123456789012", "us-east-1", "prod", true, "aws-managed", "1h", "1h",
		"INFO", 90, 90, 24*time.Hour, 25*time.Hour, (*config.Duration)(nil))
	if got != want {
		t.Errorf("defaults are %s, want %s", got, want)
	}
}

func TestAFileWithoutAStackGetsTheFormerName(t *testing.T) {
	// A file of an earlier release has no name of the stack. The message must have the exact name
	// of the deployed stack.
	for former, lines := range map[string]string{
		"quilt-rotate-prod-registry-my--team-example-com---8443": "https://registry.my-team.example.com:8443",
		"quilt-rotate-prod-registry-example-com":                 "https://Registry.Example.com/",
		"quilt-rotate-staging-registry-example-com":              "https://registry.example.com\nenvironment: staging",
		"quilt-rotate-prod-127-0-0-1---8080":                     "http://127.0.0.1:8080",
		"quilt-rotate-prod-------1---8080":                       "http://[::1]:8080",
		"quilt-rotate-prod-" + strings.Repeat("long--label-", 6) + "l-e654166c": "https://" +
			strings.Repeat("long-label.", 12) + "a",
	} {
		if paths, message := faults(t, "registry: "+lines+"\n"); !slices.Equal(paths, []string{"stack"}) ||
			!strings.Contains(message, "\"stack: "+former+"\"") {
			t.Errorf("%s: want the stack %s: %s", lines, former, message)
		}
	}
}

func TestTheStackNameDoesNotDependOnOtherFields(t *testing.T) {
	// A change of the environment or the registry must not create a second stack.
	for _, text := range []string{file("", ""), file("environment: staging", ""),
		strings.Replace(file("", ""), "registry.example.com", "other.example.com", 1)} {
		if c, err := config.Parse("config.yaml", []byte(text), here); err != nil || c.Stack != "quilt-rotate-prod" {
			t.Errorf("the stack is %v (%v)", c, err)
		}
	}
}

const secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/reports-d4e5f6"

func TestFaultsAreReportedWithPathAndFix(t *testing.T) {
	// Each fault is reported before anything is deployed, with its path and the fix.
	adopted := head + "keys:\n  - secret: " + secretARN + "\n    schedule: rate(30 days)\n"
	for name, c := range map[string]struct{ text, path, says string }{
		"not YAML": {"registry: [", "", "is not YAML"},
		"empty":    {"", "", "is empty"},
		"a list":   {"- a", "", "must be fields"},
		"a second document": {file("", "") + "---\n" + file("", ""), "",
			"line 7: begins a second document"},
		"a second document that is none": {file("", "") + "---\n[", "", "is not YAML"},
		"grace without a value":          {file("", "grace:"), "keys[0].grace", "has no value"},
		"quiet without a value":          {file("", "quiet: null"), "keys[0].quiet", "has no value"},
		"hold limit without a value":     {file("", "holdLimit: ~"), "keys[0].holdLimit", "has no value"},
		"misspelt field":                 {file("registri: x", ""), "registri", "did you mean registry?"},
		"misspelt field of a key":        {file("", "gracee: 3h"), "keys[0].gracee", "did you mean grace?"},
		"listed issuer of elsewhere": {
			file("issuers: [\"arn:aws:secretsmanager:eu-west-1:123456789012:secret:quilt/issuer-a1b2c3\"]", ""),
			"issuers[0]", "is in the region eu-west-1"},
		"issuer that is a name": {file("issuers: [quilt/issuer]", ""), "issuers[0]",
			"complete ARN of a secret"},
		"field of earlier releases": {file("previousKmsKeys: [a]", ""), "previousKmsKeys",
			"is not a field and is no longer needed: remove it"},
		"unknown field": {file("frobnicate: 1", ""), "frobnicate", "is not a field: remove it"},
		"a field twice": {file("region: us-east-1\nregion: us-east-1", ""), "region",
			"is already in line 3: remove one"},
		"no registry": {"stack: a\nkeys:\n  - name: a\n    schedule: rate(30 days)", "registry",
			"must be the registry's https URL"},
		"registry by http": {strings.Replace(file("", ""), "https", "http", 1), "registry", "https"},
		"registry with a path": {strings.Replace(file("", ""), "example.com", "example.com/graphql", 1),
			"registry", "without"},
		"keys is a text":       {head + "keys: a", "keys", "must be a list"},
		"key without a secret": {head + "keys:\n  - schedule: rate(30 days)", "keys[0]", "has no secret"},
		"key with two secrets": {file("", "secret: "+secretARN), "keys[0]", "both name and secret"},
		"two keys of one name": {file("", "") + "  - name: prod/pipeline\n    schedule: rate(30 days)\n",
			"keys[1]", "has the same secret as keys[0] (prod/pipeline)"},
		"a key and a retired one": {file("", "") + "retired:\n  - name: prod/pipeline\n    schedule: rate(30 " +
			"days)\n", "retired[0]", "the same secret as keys[0]"},
		"an adopted secret of a key": {strings.Replace(file("", ""), "prod/pipeline", "prod/reports", 1) +
			"  - secret: " + secretARN + "\n    schedule: rate(30 days)\n", "keys[1]", "the same secret as keys[0]"},
		"name like an ARN's end": {strings.Replace(file("", ""), "prod/pipeline", "prod-abc123", 1),
			"keys[0].name", "must not end with"},
		"name with a space": {strings.Replace(file("", ""), "prod/pipeline", "prod pipeline", 1),
			"keys[0].name", "letters, digits"},
		"ARN of another region": {strings.Replace(adopted, "us-east-1", "eu-west-1", 1), "keys[0].secret",
			"is in the region eu-west-1"},
		"ARN of another account": {strings.Replace(adopted, "123456789012", "210987654321", 1),
			"keys[0].secret", "is in the account 210987654321"},
		"ARN without its end": {strings.Replace(adopted, "-d4e5f6", "", 1), "keys[0].secret",
			"six characters"},
		"readers of an adopted secret": {adopted + "    readers: [\"arn:aws:iam::123456789012:role/a\"]\n",
			"keys[0].readers", "existing secret"},
		"replicas of an adopted secret": {adopted + "    replicas: [{region: us-west-2}]\n", "keys[0].replicas",
			"existing secret"},
		"former field of a key": {
			file("", "secretKmsKey: arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"),
			"keys[0].secretKmsKey", "is no longer needed"},
		"former field": {file("previousKmsKeys: []", ""), "previousKmsKeys", "is no longer needed"},
		"plain with a field": {file("", "plain: true\nfield: KEY"), "keys[0].plain",
			"cannot be combined with field"},
		"a key as a field": {file("", "field: qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"), "keys[0].field",
			"must not be a key"},
		"no schedule": {head + "keys:\n  - name: a", "keys[0].schedule", "is not set"},
		"rate of minutes": {strings.Replace(file("", ""), "30 days", "30 minutes", 1),
			"keys[0].schedule", "must be rate("},
		"rate of 1 days": {strings.Replace(file("", ""), "30 days", "1 days", 1), "keys[0].schedule",
			"must be rate(1 day): AWS requires the singular"},
		"rate of 3 hours": {strings.Replace(file("", ""), "30 days", "3 hours", 1), "keys[0].schedule",
			"at least 4 hours"},
		"rate of 1000 days": {strings.Replace(file("", ""), "30 days", "1000 days", 1),
			"keys[0].schedule", "at most 999 days"},
		"cron of five fields": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 4 1 * ?)", 1),
			"keys[0].schedule", "six fields"},
		"cron at half past": {strings.Replace(file("", ""), "rate(30 days)", "cron(30 4 1 * ? *)", 1),
			"keys[0].schedule", "minute 0"},
		"cron of one year": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 4 1 * ? 2030)", 1),
			"keys[0].schedule", "every year"},
		"cron with both days": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 4 1 * SUN *)", 1),
			"keys[0].schedule", "exactly one of two fields"},
		"cron without days": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 4 ? * ? *)", 1),
			"keys[0].schedule", "exactly one of two fields"},
		"cron that never occurs": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 4 31 2 ? *)", 1),
			"keys[0].schedule", "never occurs"},
		"cron that cannot be read": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 25 1 * ? *)", 1),
			"keys[0].schedule", "has an invalid field"},
		"cron each hour": {strings.Replace(file("", ""), "rate(30 days)", "cron(0 * * * ? *)", 1),
			"keys[0].schedule", "at least 4 hours"},
		"window into the next day": {strings.Replace(file("", "window: 3h"), "rate(30 days)",
			"cron(0 22 1 * ? *)", 1), "keys[0].window", "at most 2h"},
		"window of minutes":           {file("", "window: 90m"), "keys[0].window", "whole hours"},
		"lifetime too short by a day": {file("", "expiresInDays: 67"), "keys[0].expiresInDays", "at least 68"},
		"lifetime that no key has":    {file("", "expiresInDays: 400"), "keys[0].expiresInDays", "1 to 365"},
		"rate that no lifetime fits": {strings.Replace(file("", ""), "30 days", "200 days", 1),
			"keys[0].expiresInDays", "rotate more often"},
		"grace under 2 hours":  {file("", "grace: 119m"), "keys[0].grace", "at least 2h"},
		"grace without a unit": {file("", "grace: 24"), "keys[0].grace", "must be a duration"},
		"interval within grace and quiet": {strings.Replace(file("", ""), "30 days", "2 days", 1), "keys[0].schedule",
			"three keys are valid at the same time"},
		"orphans too young": {file("orphanAge: 14m", ""), "orphanAge", "at least 15m"},
		"sweeps too seldom": {file("sweep: 61m", ""), "sweep", "15m to 1h"},
		"issuer of another region": {file("", "issuer: "+strings.Replace(secretARN, "us-east-1", "eu-west-1",
			1)), "keys[0].issuer", "is in the region"},
		"issuer is the secret itself": {adopted + "    issuer: " + secretARN + "\n", "keys[0].issuer",
			"another secret"},
		"issuer is the new secret itself": {
			file("", "issuer: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/pipeline-d4e5f6"),
			"keys[0].issuer", "another secret"},
		"role without a name": {file("", "readers: [\"arn:aws:iam::123456789012:role/\"]"),
			"keys[0].readers[0]", "without wildcards"},
		"all policies as a boundary": {file("permissionsBoundary: \"arn:aws:iam::123456789012:policy/*\"", ""),
			"permissionsBoundary", "ARN of a managed policy"},
		"reader of another account": {file("", "readers: [\"arn:aws:iam::210987654321:role/a\"]"),
			"keys[0].readers[0]", "AWS-managed key"},
		"readers too many for a policy": {file("", "readers: ["+manyReaders(250)+"]"), "keys[0].readers",
			"too many for the secret's policy"},
		"everybody as reader": {file("", "readers: [\"*\"]"), "keys[0].readers[0]", "without wildcards"},
		"replica at home": {file("", "replicas: [{region: us-east-1}]"), "keys[0].replicas[0].region",
			"already"},
		"replica twice": {file("", "replicas: [{region: us-west-2}, {region: us-west-2}]"),
			"keys[0].replicas[1].region", "already"},
		"replica's key of another region": {
			file("", "replicas: [{region: us-west-2, kmsKey: "+
				"\"arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555\"}]"),
			"keys[0].replicas[0].kmsKey", "must be in us-west-2"},
		"service as an ARN": {
			file("", "restart: [{cluster: \"arn:aws:ecs:us-east-1:123456789012:cluster/a\", service: b}]"),
			"keys[0].restart[0].cluster", "not its ARN"},
		"no life at all": {file("", "expiresInDays: 0"), "keys[0].expiresInDays", "1 to 365"},
		"no life of a retired key": {file("", "") +
			"retired:\n  - {name: prod/gone, schedule: rate(30 days), expiresInDays: 0}\n", "retired[0].expiresInDays",
			"1 to 365"},
		"no window":         {file("", "window: 0h"), "keys[0].window", "whole hours"},
		"no grace":          {file("", "grace: 0s"), "keys[0].grace", "at least 2h"},
		"no sweeps":         {file("sweep: 0s", ""), "sweep", "15m to 1h"},
		"no age of orphans": {file("orphanAge: 0s", ""), "orphanAge", "at least 15m"},
		"no retention":      {file("logRetentionDays: 0", ""), "logRetentionDays", "must be one of"},
		"an empty level":    {file("logLevel: \"\"", ""), "logLevel", "has no value"},
		"an empty account":  {file("account: \"\"", ""), "account", "has no value"},
		"an empty field":    {file("", "field: \"\""), "keys[0].field", "has no value"},
		"an empty reader":   {file("", "readers: [\"\"]"), "keys[0].readers[0]", "has no value"},
		"an empty workgroup": {file("audit: {database: a, workgroup: \"\"}", ""), "audit.workgroup",
			"has no value"},
		"a region of China": {file("region: cn-north-1", ""), "region",
			"partition aws-cn, which is not supported"},
		"a region of nobody's": {file("region: us-iso-east-1", ""), "region", "not supported"},
		"secret of another partition": {strings.Replace(adopted, "arn:aws:", "arn:aws-us-gov:", 1),
			"keys[0].secret", "is in the partition aws-us-gov, but us-east-1 is in aws"},
		"reader of another partition": {
			file("kmsKey: new", "readers: [\"arn:aws-us-gov:iam::210987654321:role/a\"]"), "keys[0].readers[0]",
			"partition"},
		"topic of another partition": {file("alarms: {topic: \"arn:aws-cn:sns:us-east-1:123456789012:a\"}", ""),
			"alarms.topic", "partition"},
		"boundary of another partition": {file("permissionsBoundary: arn:aws-cn:iam::123456789012:policy/a", ""),
			"permissionsBoundary", "partition"},
		"KMS key of another partition": {
			file("kmsKey: arn:aws-cn:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555", ""),
			"kmsKey", "partition"},
		"replica in another partition": {file("", "replicas: [{region: us-gov-west-1}]"),
			"keys[0].replicas[0].region", "another partition"},
		"services too many for a tag": {file("", "restart: [{cluster: "+strings.Repeat("a", 200)+", service: "+
			strings.Repeat("b", 60)+"}]"), "keys[0].restart", "at most 256 characters"},
		"alias of a KMS key": {file("kmsKey: alias/a", ""), "kmsKey", "aws-managed, new, or the ARN"},
		"KMS key of another region": {
			file("kmsKey: arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555", ""), "kmsKey",
			"is in the region eu-west-1"},
		"boundary that is a role": {file("permissionsBoundary: arn:aws:iam::123456789012:role/a", ""),
			"permissionsBoundary", "managed policy"},
		"network without subnets": {file("network: {vpc: vpc-01234567}", ""), "network.subnets", "is empty"},
		"network without VPC or group": {file("network: {subnets: [subnet-01234567]}", ""), "network.vpc",
			"securityGroups"},
		"subnet that is a VPC": {file("network: {vpc: vpc-01234567, subnets: [vpc-01234567]}", ""),
			"network.subnets[0]", "subnet-"},
		"e-mail that is none": {file("alarms: {email: team}", ""), "alarms.email", "e-mail"},
		"e-mail and topic": {
			file("alarms: {email: a@example.com, topic: \"arn:aws:sns:us-east-1:123456789012:a\"}", ""), "alarms.email",
			"subscribe the address"},
		"topic of another region": {file("alarms: {topic: \"arn:aws:sns:eu-west-1:123456789012:a\"}", ""),
			"alarms.topic", "is in the region"},
		"audit without a database": {file("audit: {workgroup: a}", ""), "audit.database", "Glue"},
		"account that is none":     {file("account: 12345", ""), "account", "12 digits"},
		"region that is none":      {file("region: Virginia", ""), "region", "such as us-east-1"},
		"misspelt region":          {file("region: us-esat-1", ""), "region", "such as us-east-1"},
		"replica in a misspelt region": {file("", "replicas: [{region: us-wset-2}]"), "keys[0].replicas[0].region",
			"must be a region"},
		"17 subnets": {file(network("securityGroups: [sg-01234567]", 17), ""), "network.subnets",
			"has 17 entries, but a Lambda function takes 16"},
		"6 security groups": {
			file(network("securityGroups: [sg-0000000a, sg-0000000b, sg-0000000c, sg-0000000d, sg-0000000e, "+
				"sg-0000000f]", 1), ""), "network.securityGroups", "takes 5"},
		"a subnet twice": {file("network: {vpc: vpc-01234567, subnets: [subnet-01234567, "+
			"subnet-01234567]}", ""), "network.subnets[1]", "the same as network.subnets[0]"},
		"VPC's id that is too short": {file("network: {vpc: vpc-0123, subnets: [subnet-01234567]}", ""),
			"network.vpc", "must be an id"},
		"proxy with a password": {file(network("vpc: vpc-01234567, proxy: \"http://user:"+password+
			"@proxy.example.com:3128\"", 1), ""), "network.proxy", "without user and password"},
		"proxy without a port": {file(network("vpc: vpc-01234567, proxy: \"http://proxy.example.com\"", 1),
			""), "network.proxy", "host and port"},
		"proxy with a path": {
			file(network("vpc: vpc-01234567, proxy: \"http://proxy.example.com:3128/a\"", 1), ""), "network.proxy",
			"host and port"},
		"proxy by SOCKS": {
			file(network("vpc: vpc-01234567, proxy: \"socks5://proxy.example.com:1080\"", 1), ""), "network.proxy",
			"http://proxy.example.com:3128"},
		"exceptions without a proxy": {file(network("vpc: vpc-01234567, noProxy: [.example.com]", 1), ""),
			"network.noProxy", "only used with a proxy"},
		"exceptions in one text": {
			file(network("vpc: vpc-01234567, proxy: \"http://proxy.example.com:3128\", noProxy: "+
				"[\"a.example.com,b.example.com\"]", 1), ""), "network.noProxy[0]", "must be one host"},
		"protection that is a text": {file("terminationProtection: maybe", ""), "terminationProtection",
			"true or false"},
		"a reader twice": {
			file("", "readers: [\"arn:aws:iam::123456789012:role/a\", \"arn:aws:iam::123456789012:role/a\"]"),
			"keys[0].readers[1]", "the same as keys[0].readers[0]"},
		"subscription instead of a topic": {
			file("alarms: {topic: \"arn:aws:sns:us-east-1:123456789012:a:11111111-2222-3333-4444-555555555555\"}", ""),
			"alarms.topic", "not of a subscription"},
		"KMS key without its id": {file("kmsKey: arn:aws:kms:us-east-1:123456789012:key/1", ""), "kmsKey",
			"the ARN of a KMS key"},
		"a tag twice":         {file("tags: {team: a, team: b}", ""), "tags.team", "is already in line 3"},
		"tag without a value": {file("tags: {team: }", ""), "tags.team", "must be a text"},
		"tag's name that is too long": {file("tags: {"+strings.Repeat("a", 129)+": b}", ""),
			"tags." + strings.Repeat("a", 129), "1 to 128"},
		"no stack": {"registry: https://registry.example.com", "stack",
			`add the line "stack: quilt-rotate-prod-registry-example-com"`},
		"stack with a dot": {"registry: https://registry.example.com\nstack: a.b", "stack",
			"must begin with a letter"},
		"tag of ours": {file("tags: {\"quilt-rotate:grace\": 1h}", ""), "tags.quilt-rotate:grace",
			"must not begin with aws: or quilt-rotate:"},
		"tag's value with a comma": {file("tags: {team: \"a, b\"}", ""), "tags.team",
			"must contain only letters"},
		"tag's name with a bracket": {file("tags: {\"team(x)\": a}", ""), "tags.team(x)",
			"must contain only letters"},
		"tags that differ in case": {file("tags: {team: a, Team: b}", ""), "tags.team",
			"differs from Team only in case"},
		"tag that is ours in lower case": {file("tags: {environment: prod}", ""), "tags.environment",
			"differs from Environment only in case"},
		"tags too many": {file("tags: {"+manyTags(42)+"}", ""), "tags",
			"can have 50 tags, of which 7 are reserved for settings"},
		"field that no tag holds": {file("", "field: \"a|b\""), "keys[0].field",
			"because it is stored in a tag"},
		"key's name that no tag holds": {file("", "keyName: \"a|b\""), "keys[0].keyName",
			"because it is stored in a tag"},
		"owner that no tag holds": {file("", "owner: \"a|b@example.com\""), "keys[0].owner",
			"because it is stored in a tag"},
		"boundary of another account": {file("permissionsBoundary: arn:aws:iam::210987654321:policy/a", ""),
			"permissionsBoundary", "is in the account 210987654321"},
		"topic that is FIFO": {file("alarms: {topic: \"arn:aws:sns:us-east-1:123456789012:a.fifo\"}", ""),
			"alarms.topic", "standard topic"},
		"log level":                       {file("logLevel: TRACE", ""), "logLevel", "DEBUG, INFO"},
		"retention":                       {file("logRetentionDays: 42", ""), "logRetentionDays", "must be one of"},
		"CA bundle that is not there":     {file("caBundle: none.pem", ""), "caBundle", "cannot be read"},
		"CA bundle without a certificate": {file("caBundle: config.go", ""), "caBundle", "has no certificate"},
	} {
		paths, message := faults(t, c.text)
		if !slices.Equal(paths, []string{c.path}) {
			t.Errorf("%s: the faults are of %q, want only %q:\n%s", name, paths, c.path, message)
		}
		if strings.Contains(message, password) {
			t.Errorf("%s: the message contains the password:\n%s", name, message)
		}
		if !strings.Contains(message, c.says) {
			t.Errorf("%s: the message does not contain %q:\n%s", name, c.says, message)
		}
	}
}

const password = "Xk29-a-password"

// network is a network with n subnets and these fields.
func network(fields string, n int) string {
	var subnets []string
	for i := range n {
		subnets = append(subnets, fmt.Sprintf("subnet-%08x", i))
	}
	return "network: {" + fields + ", subnets: [" + strings.Join(subnets, ", ") + "]}"
}

func manyTags(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("tag-%d: a", i))
	}
	return strings.Join(tags, ", ")
}

func manyReaders(n int) string {
	var readers []string
	for i := range n {
		readers = append(readers,
			fmt.Sprintf("\"arn:aws:iam::123456789012:role/a-reader-of-a-name-with-fifty-characters-or-so-%03d\"", i))
	}
	return strings.Join(readers, ", ")
}

func TestValidValuesAreAccepted(t *testing.T) {
	// The rules must not be stricter than those of AWS.
	for _, schedule := range []string{
		"rate(1 day)", "rate(8 hours)", "rate(100 days)", "cron(0 4 ? * SUN *)", "cron(0 4 ? * 1#1 *)",
		"cron(0 4 L * ? *)", "cron(0 4 ? * FRIL *)", "cron(0 4 ? * 6L *)",
		"cron(0 0 1 */2 ? *)", "cron(0 16 1,15 * ? *)", "cron(0 0/12 * * ? *)", "cron(0 4 ? JAN-DEC mon-fri *)",
		"cron(0 8,20 ? * L *)",
	} {
		text := strings.Replace(file("", "expiresInDays: 365\ngrace: 2h\nquiet: 1h\n"), "rate(30 days)", schedule, 1)
		if _, message := faults(t, text); message != "" {
			t.Errorf("%s: %s", schedule, message)
		}
	}
	for _, text := range []string{
		"---\n" + file("", "") + "...\n", "---\n" + file("", "") + "# the end\n",
		head, head + "keys: []\n", head + "keys:\nretired:\n", file("terminationProtection: false", ""),
		file(network("vpc: vpc-0123456789abcdef0, ipv6: true, proxy: \"http://proxy.example.com:3128/\", noProxy: "+
			"[registry.example.com, .example.com, \"*.example.org\", 10.0.0.0/8, \"fd00::/8\", \"[::1]:8443\"]", 16),
			""),
		file("kmsKey: arn:aws:kms:us-east-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef", ""),
		file("region: us-gov-west-1", ""), file("region: ap-southeast-2", ""),
		file("", "expiresInDays: 68"), file("alarms:\naudit:\nretired: []", "readers:\n"), file("kmsKey: new",
			"readers: [\"arn:aws:iam::210987654321:role/a\"]"),
		file("account: \"000000000001\"", ""), file("tags: {Environment: other, \"größe: x/y@z\": \"\", "+manyTags(40)+
			"}", ""),
		file("permissionsBoundary: arn:aws:iam::aws:policy/PowerUserAccess", ""),
		file("", "grace: 2h\nquiet: 0s\nholdLimit: 0s"),
		file("region: us-gov-west-1\npermissionsBoundary: arn:aws-us-gov:iam::123456789012:policy/a\nkmsKey: "+
			"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/11111111-2222-3333-4444-555555555555",
			"readers: [\"arn:aws-us-gov:iam::123456789012:role/a\"]\nreplicas: [{region: us-gov-east-1}]"),
	} {
		if _, message := faults(t, text); message != "" {
			t.Errorf("%s\n%s", message, text)
		}
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	// All faults are reported together, in the order of their lines.
	text := "registery: x\nstack: a\nkeys:\n  - name: a\n    schedule: cron(5 4 * * ? *)\n    grace: 1\n  - name: " +
		"a\n    schedule: rate(30 days)\n    expiresInDays: 9\nsweep: often\n"
	paths, message := faults(t, text)
	want := []string{"registry", "registery", "keys[0].schedule", "keys[0].grace", "keys[1]", "keys[1].expiresInDays",
		"sweep"}
	if !slices.Equal(paths, want) {
		t.Errorf("faults are of %v, want %v:\n%s", paths, want, message)
	}
	if !strings.Contains(message, "config.yaml: keys[1].expiresInDays (line 9): ") {
		t.Errorf("the line is not reported:\n%s", message)
	}
}

func TestACABundleWithAPrivateKeyIsRefused(t *testing.T) {
	// A private key in the file of the certificates must not become part of the functions'
	// packages.
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key.pem", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
	write("bad.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
	write("empty.pem", "")
	for name, says := range map[string]string{
		"key.pem": "block 1 is a private key", "bad.pem": "block 1 is a damaged certificate", "empty.pem": "is empty",
	} {
		_, err := config.Parse(filepath.Join(folder, "config.yaml"), []byte(file("caBundle: "+name, "")), here)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingFileIsReported(t *testing.T) {
	// The message says which file to copy.
	_, err := config.Load(filepath.Join(t.TempDir(), "config.yaml"), here)
	if err == nil || !strings.Contains(err.Error(), "copy config.example.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestAcceptedTimesSurviveOneMissedRotation(t *testing.T) {
	// For all accepted durations, one missed rotation is not an outage, and at most two keys are
	// valid.
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		days, life := rapid.IntRange(1, 200).Draw(t, "interval"), rapid.IntRange(1, 365).Draw(t, "life")
		grace, quiet := rapid.IntRange(0, 400).Draw(t, "grace"), rapid.IntRange(0, 400).Draw(t, "quiet")
		unit := "days"
		if days == 1 {
			unit = "day"
		}
		key := fmt.Sprintf("expiresInDays: %d\ngrace: %dh\nquiet: %dh", life, grace, quiet)
		text := strings.Replace(file("", key), "rate(30 days)", fmt.Sprintf("rate(%d %s)", days, unit), 1)
		_, err := config.Parse("config.yaml", []byte(text), here)
		want := life >= 2*days+1+7 && grace >= 2 && 24*days > grace+quiet // the window is the day
		if (err == nil) != want {
			t.Fatalf("accepted is %t, want %t: %v\n%s", err == nil, want, err, text)
		}
		if err == nil {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted, so nothing was checked")
	}
}

func TestNoInputCausesAPanic(t *testing.T) {
	// Any text is either a configuration or has faults.
	rapid.Check(t, func(t *rapid.T) {
		pieces := []string{"keys", "registry", ":", " ", "\n", "- ", "[", "]", "{", "}", "&a", "*a", "!!null", "~",
			"name", "schedule", "rate(1 day)", "\"", "#", "24h", "\t"}
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 30).Draw(t, "pieces"), "")
		_, err := config.Parse("config.yaml", []byte(text), here)
		var all *config.Faults
		if err != nil && (!errors.As(err, &all) || len(all.List) == 0) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestTheLimitsOfOneTemplate(t *testing.T) {
	// A file that does not fit one template is refused. The message has another way to add secrets.
	keys := func(n int, with string) string {
		var text strings.Builder
		text.WriteString(head + "keys:\n")
		for i := range n {
			text.WriteString(strings.ReplaceAll("  - {name: prod/key-#, schedule: rate(30 days)"+with+"}\n", "#",
				fmt.Sprintf("%03d", i)))
		}
		return text.String()
	}
	const issuer = `, issuer: "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/issuer-of-a-service-#-a1b2c3"`
	const services = `, restart: [{cluster: a-cluster-of-a-name-with-forty-characters-1, service: service-#}]`
	for name, c := range map[string]struct{ text, says string }{
		"outputs": {keys(198, ""), "has 198 entries, but one stack can have 194"},
		"resources": {keys(150, `, readers: ["arn:aws:iam::123456789012:role/#"]`),
			"resources, but one stack can have 499"},
		"issuers":  {keys(90, issuer), "too many issuers or services"},
		"services": {keys(80, services), "too many issuers or services"},
	} {
		if paths, message := faults(t, c.text); !slices.Equal(paths, []string{"keys"}) || !strings.Contains(message,
			c.says) || !strings.Contains(message, "docs/tools") {
			t.Errorf("%s: got %v: %s", name, paths, message)
		}
	}
	if _, message := faults(t, keys(100, "")); message != "" {
		t.Error(message)
	}
}

func TestDurationsHaveTheirShortestForm(t *testing.T) {
	// The short form is written to tags and environment variables and must have the same value.
	for d, want := range map[time.Duration]string{0: "0s", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m",
		25*time.Hour + time.Second: "25h0m1s", 10 * time.Minute: "10m"} {
		text := config.Duration(d).String()
		if back, err := time.ParseDuration(text); text != want || err != nil || back != d {
			t.Errorf("%v is written %s and read %v, want %s", d, text, back, want)
		}
	}
}
