package config

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/settings"
)

// Bounds of the arithmetic. Each is the least with which nothing is lost when one thing goes wrong.
const (
	MinGrace     = 2 * time.Hour    // consumers cache a secret for an hour (AWS caching libraries), and requests are under way
	MinOrphanAge = 15 * time.Minute // Lambda's longest run: a createSecret that is older stores nothing any more
	MinSweep     = 15 * time.Minute //
	MaxSweep     = time.Hour        // one sweep of each hour of the day must come: in one of them, orphans are searched for
)

var (
	accountForm     = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm      = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	stackForm       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,99}$`)
	environmentForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,31}$`)
	secretForm      = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,256}$`)
	likeSuffix      = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	databaseForm    = regexp.MustCompile(`^[a-z0-9_-]{1,255}$`)
	workgroupForm   = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,128}$`)
	serviceForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	retentions      = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

// check holds the rules between the values. What was not readable is not judged again.
func check(g *gathering, c *Config) {
	checkStack(g, c)
	checkNetwork(g, c.Network)
	checkAlarms(g, c)
	checkAudit(g, c.Audit)
	if len(c.Keys)+len(c.Retired) == 0 && !g.has("keys") {
		g.add("keys", "is empty: list at least one key")
	}
	names := map[string]string{}
	for i := range c.Keys {
		checkKey(g, c, fmt.Sprintf("keys[%d]", i), &c.Keys[i], names)
	}
	for i := range c.Retired {
		checkKey(g, c, fmt.Sprintf("retired[%d]", i), &c.Retired[i], names)
	}
	checkLimits(g, c)
}

func (g *gathering) require(path string, ok bool, format string, args ...any) {
	if !ok && !g.has(path) {
		g.add(path, format, args...)
	}
}

func checkStack(g *gathering, c *Config) {
	_, err := settings.LoadRotate(settings.Tags(map[string]string{settings.EnvRegistryURL: c.Registry}))
	g.require("registry", err == nil, "must be the registry's https URL without user, query or path, such as https://registry.example.com")
	g.require("stack", !g.given("stack") || stackForm.MatchString(c.Stack), "must begin with a letter and have only letters, digits and -, at most 100")
	g.require("environment", environmentForm.MatchString(c.Environment), "must have only letters, digits and -, at most 32")
	g.require("account", c.Account != "", "is not given, and no AWS credentials tell it: write the 12 digits of the account")
	g.require("account", accountForm.MatchString(c.Account), "must be the 12 digits of an AWS account, in quotes")
	g.require("region", c.Region != "", "is not given, and no AWS configuration tells it: write it, such as us-east-1")
	g.require("region", regionForm.MatchString(c.Region), "must be a region such as us-east-1")
	partition := PartitionOf(c.Region)
	g.require("region", partition == awsPartition || partition == govPartition, "is of the partition %s, which is not supported: take a region of AWS or of AWS GovCloud (US)", partition)
	checkTags(g, c)
	if c.PermissionsBoundary != "" {
		a, ok := parseARN(c.PermissionsBoundary)
		g.require("permissionsBoundary", ok && a.service == "iam" && strings.HasPrefix(a.resource, "policy/"), "must be the ARN of a managed policy: arn:aws:iam::<account>:policy/<name>")
		g.requirePartition("permissionsBoundary", a, c.Region)
		g.require("permissionsBoundary", !ok || c.Account == "" || a.account == c.Account || a.account == "aws", "is of the account %s: a role is bounded by a policy of its own account (%s), or of AWS", a.account, c.Account)
	}
	checkKMSKeys(g, c)
	g.require("sweep", time.Duration(c.Sweep) >= MinSweep && time.Duration(c.Sweep) <= MaxSweep && time.Duration(c.Sweep)%time.Minute == 0, "must be from 15m to 1h in whole minutes")
	g.require("orphanAge", time.Duration(c.OrphanAge) >= MinOrphanAge, "must be at least 15m: a function may run so long before it stores the key it made")
	g.require("logLevel", slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, c.LogLevel), "must be DEBUG, INFO, WARN or ERROR")
	g.require("logRetentionDays", slices.Contains(retentions, c.LogRetentionDays), "must be one of %s", strings.Trim(fmt.Sprint(retentions), "[]"))
}

func checkKMSKeys(g *gathering, c *Config) {
	if c.KMSKey != AWSManaged && c.KMSKey != NewKey {
		checkKMS(g, "kmsKey", c.KMSKey, c.Region, "must be aws-managed, new, or the ARN of a KMS key")
	}
	for i, key := range c.PreviousKMSKeys {
		path := fmt.Sprintf("previousKmsKeys[%d]", i)
		checkKMS(g, path, key, c.Region, "must be the ARN of a KMS key (the AWS-managed one needs no entry)")
		g.require(path, key != c.KMSKey, "is the present kmsKey: take it out here")
		g.require(path, !slices.Contains(c.PreviousKMSKeys[:i], key), "stands here a second time: take one out")
	}
}

// checkKMS wants the ARN of a key: an alias would not match in a policy.
func checkKMS(g *gathering, path, text, region, must string) {
	a, ok := parseARN(text)
	g.require(path, ok && a.service == "kms" && strings.HasPrefix(a.resource, "key/"), "%s", must)
	g.requirePartition(path, a, region)
	g.require(path, !ok || region == "" || a.region == region, "is of the region %s, but must be of %s", a.region, region)
}

func checkNetwork(g *gathering, n *Network) {
	if n == nil {
		return
	}
	ids := func(path, prefix string, list []string) {
		form := regexp.MustCompile("^" + prefix + "-[0-9a-f]+$")
		for i, id := range list {
			g.require(fmt.Sprintf("%s[%d]", path, i), form.MatchString(id), "must be an id such as %s-0123456789abcdef0", prefix)
		}
	}
	g.require("network.subnets", len(n.Subnets) > 0, "is empty: list the subnets from which the registry is reached")
	ids("network.subnets", "subnet", n.Subnets)
	ids("network.securityGroups", "sg", n.SecurityGroups)
	if n.VPC != "" {
		ids("network.vpc", "vpc", nil)
		g.require("network.vpc", regexp.MustCompile(`^vpc-[0-9a-f]+$`).MatchString(n.VPC), "must be an id such as vpc-0123456789abcdef0")
	}
	g.require("network.vpc", n.VPC != "" || len(n.SecurityGroups) > 0, "is not given: give it for a new security group, or list securityGroups")
}

func checkAlarms(g *gathering, c *Config) {
	if c.Alarms.Email != "" {
		address, err := mail.ParseAddress(c.Alarms.Email)
		g.require("alarms.email", err == nil && address.Address == c.Alarms.Email, "must be an e-mail address")
		g.require("alarms.email", c.Alarms.Topic == "", "does not go with a topic of yours: subscribe the address to that one")
	}
	if c.Alarms.Topic != "" {
		a, ok := parseARN(c.Alarms.Topic)
		g.require("alarms.topic", ok && a.service == "sns", "must be the ARN of an SNS topic")
		g.requirePartition("alarms.topic", a, c.Region)
		g.require("alarms.topic", !strings.HasSuffix(a.resource, ".fifo"), "is a FIFO topic, which reaches queues alone: give a standard topic")
		g.require("alarms.topic", !ok || c.Region == "" || a.region == c.Region, "is of the region %s, but the stack is of %s: alarms reach topics of their own region only", a.region, c.Region)
	}
}

func checkAudit(g *gathering, a *Audit) {
	if a == nil {
		return
	}
	g.require("audit.database", databaseForm.MatchString(a.Database), "must be the name of the Glue database, such as audittraildatabase-1a2b3c")
	g.require("audit.workgroup", workgroupForm.MatchString(a.Workgroup), "must be the name of an Athena workgroup")
}
