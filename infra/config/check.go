package config

import (
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/settings"
)

// The limits of durations.
const (
	// Consumers cache a secret for an hour (AWS caching libraries), and their requests take some
	// time.
	MinGrace     = 2 * time.Hour
	MinOrphanAge = 15 * time.Minute // the longest run of a Lambda function: createSecret may still store its key
	MinSweep     = 15 * time.Minute
	MaxSweep     = time.Hour // the search for orphans runs in one hour of the day, so each hour needs a sweep
)

// Lambda's limits (Lambda API reference, "VpcConfig"; Lambda developer guide, "Quotas": 4 KB of
// environment variables).
const (
	maxSubnets        = 16
	maxSecurityGroups = 5
	maxNoProxy        = 2000
)

const awsID = `([0-9a-f]{8}|[0-9a-f]{17})$`

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(
		`^[a-z]{2,4}(-[a-z]+)?-(north|south|central|(north|south)?(east|west))-[0-9]{1,2}$`)
	stackForm       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,99}$`)
	environmentForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,31}$`)
	secretForm      = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,256}$`)
	likeSuffix      = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	databaseForm    = regexp.MustCompile(`^[a-z0-9_-]{1,255}$`)
	workgroupForm   = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,128}$`)
	serviceForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	vpcForm         = regexp.MustCompile(`^vpc-` + awsID)
	subnetForm      = regexp.MustCompile(`^subnet-` + awsID)
	groupForm       = regexp.MustCompile(`^sg-` + awsID)
	noProxyForm     = regexp.MustCompile(`^(\*?\.)?[A-Za-z0-9:\[][A-Za-z0-9._:/\[\]-]*$`)
	policyForm      = regexp.MustCompile(`^policy/[A-Za-z0-9+=,.@_/-]+$`)
	principalForm   = regexp.MustCompile(`^(root|(role|user)/[A-Za-z0-9+=,.@_/-]+)$`)
	topicForm       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	kmsKeyForm      = regexp.MustCompile(`^key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	retentions      = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
		3288, 3653}
)

// check applies the rules of all values. A value that could not be read has a fault already and is
// not checked.
func check(g *gathering, c *Config) {
	checkShared(g, c)
	checkStack(g, c)
	checkTags(g, c)
	checkAudit(g, c.Audit)
	names := map[string]string{}
	for path, k := range c.All() {
		checkKey(g, c, path, k, names)
	}
	checkLimits(g, c)
}

func (g *gathering) require(path string, ok bool, format string, args ...any) {
	if !ok && !g.has(path) {
		g.add(path, format, args...)
	}
}

// unique refuses a value that is in a list twice.
func (g *gathering) unique(path string, list []string) {
	for i, value := range list {
		first := slices.Index(list, value)
		g.require(fmt.Sprintf("%s[%d]", path, i), first == i, "is the same as %s[%d]: remove one", path, first)
	}
}

func checkStack(g *gathering, c *Config) {
	g.require("stack", c.Stack != "" || g.has("registry") || g.has("environment"),
		"is not set: add the line \"stack: %s\". This is the stack that earlier releases deployed from this file",
		formerStack(c.Environment, c.Registry))
	g.require("stack", c.Stack != "", "is not set: give the name of the stack, such as quilt-rotate-prod")
	g.require("stack", stackForm.MatchString(c.Stack), "must begin with a letter and contain only letters, digits "+
		"and -, at most 100 characters")
	g.require("environment", environmentForm.MatchString(c.Environment), "must contain only letters, digits and -, "+
		"at most 32 characters")
	g.require("account", c.Account != "", "is not set, and there are no AWS credentials to take it from: give the 12 "+
		"digits of the account")
	g.require("account", accountForm.MatchString(c.Account), "must be the 12 digits of an AWS account, in quotes")
	g.require("region", c.Region != "", "is not set, and there is no AWS configuration to take it from: give a "+
		"region, such as us-east-1")
	g.require("region", regionForm.MatchString(c.Region), "must be an AWS region, such as us-east-1")
	if c.KMSKey != AWSManaged && c.KMSKey != NewKey {
		checkKMS(g, "kmsKey", c.KMSKey, c.Region, "must be aws-managed, new, or the ARN of a KMS key, not of an alias")
	}
}

// checkShared applies the rules of the settings that all keys of a registry share. They come from a
// file or from the props of a construct.
func checkShared(g *gathering, c *Config) {
	_, err := settings.LoadRotate(settings.Tags(map[string]string{settings.EnvRegistryURL: c.Registry}))
	g.require("registry", err == nil, "must be the registry's https URL without user, query or path, such as "+
		"https://registry.example.com")
	partition := PartitionOf(c.Region)
	g.require("region", partition == awsPartition || partition == govPartition,
		"is in the partition %s, which is not supported: use a region of AWS or of AWS GovCloud (US)", partition)
	if c.PermissionsBoundary != "" {
		a, ok := parseARN(c.PermissionsBoundary)
		g.require("permissionsBoundary", ok && a.service == "iam" && policyForm.MatchString(a.resource),
			"must be the ARN of a managed policy: arn:aws:iam::<account>:policy/<name>")
		g.requirePartition("permissionsBoundary", a, c.Region)
		g.require("permissionsBoundary", c.Account == "" || a.account == c.Account || a.account == "aws",
			"is in the account %s: use a policy of the stack's account (%s) or of AWS", a.account, c.Account)
	}
	g.require("sweep", time.Duration(c.Sweep) >= MinSweep && time.Duration(c.Sweep) <= MaxSweep &&
		time.Duration(c.Sweep)%time.Minute == 0, "must be from 15m to 1h in whole minutes")
	g.require("orphanAge", time.Duration(c.OrphanAge) >= MinOrphanAge, "must be at least 15m: a function can run "+
		"for so long before it stores a new key")
	g.require("logLevel", slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, c.LogLevel),
		"must be DEBUG, INFO, WARN or ERROR")
	g.require("logRetentionDays", slices.Contains(retentions, c.LogRetentionDays), "must be one of %s",
		strings.Trim(fmt.Sprint(retentions), "[]"))
	for i, issuer := range c.Issuers {
		checkSecretARN(g, fmt.Sprintf("issuers[%d]", i), issuer, c)
	}
	g.unique("issuers", c.Issuers)
	checkNetwork(g, c.Network)
	checkAlarms(g, c)
}

// checkKMS requires the ARN of a key: an alias in the resource of an IAM policy matches no key.
func checkKMS(g *gathering, path, text, region, must string) {
	a, ok := parseARN(text)
	g.require(path, ok && a.service == "kms" && accountForm.MatchString(a.account) &&
		kmsKeyForm.MatchString(a.resource), "%s", must)
	g.requirePartition(path, a, region)
	g.require(path, region == "" || a.region == region, "is in the region %s, but must be in %s", a.region, region)
}

func checkNetwork(g *gathering, n *Network) {
	if n == nil {
		return
	}
	ids := func(path, example string, form *regexp.Regexp, list []string, most int) {
		g.require(path, len(list) <= most, "has %d entries, but a Lambda function takes %d at most: remove some",
			len(list), most)
		for i, id := range list {
			g.require(fmt.Sprintf("%s[%d]", path, i), form.MatchString(id), "must be an id such as %s", example)
		}
		g.unique(path, list)
	}
	g.require("network.subnets", len(n.Subnets) > 0, "is empty: list the subnets from which the registry can be "+
		"reached")
	ids("network.subnets", "subnet-0123456789abcdef0", subnetForm, n.Subnets, maxSubnets)
	ids("network.securityGroups", "sg-0123456789abcdef0", groupForm, n.SecurityGroups, maxSecurityGroups)
	g.require("network.vpc", n.VPC != "" || len(n.SecurityGroups) > 0, "is not set: a new security group needs it; "+
		"set it, or list securityGroups")
	g.require("network.vpc", n.VPC == "" || vpcForm.MatchString(n.VPC), "must be an id such as vpc-0123456789abcdef0")
	g.require("network.proxy", n.Proxy == "" || isProxy(n.Proxy),
		"must be a URL of host and port without user and password, such as http://proxy.example.com:3128: everybody "+
			"who may see the function's configuration could read a password")
	g.require("network.noProxy", len(n.NoProxy) == 0 || n.Proxy != "",
		"is only used with a proxy: set network.proxy, or remove it")
	g.require("network.noProxy", len(strings.Join(n.NoProxy, ",")) <= maxNoProxy,
		"must have at most %d characters in total", maxNoProxy)
	for i, host := range n.NoProxy {
		g.require(fmt.Sprintf("network.noProxy[%d]", i), noProxyForm.MatchString(host),
			"must be one host, domain, address or network: registry.example.com, .example.com, 10.0.0.0/8")
	}
	g.unique("network.noProxy", n.NoProxy)
}

func isProxy(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Port() != "" &&
		u.User == nil && strings.TrimSuffix(text, "/") == u.Scheme+"://"+u.Host
}

func checkAlarms(g *gathering, c *Config) {
	if c.Alarms.Email != "" {
		address, err := mail.ParseAddress(c.Alarms.Email)
		g.require("alarms.email", err == nil && address.Address == c.Alarms.Email, "must be an e-mail address")
		g.require("alarms.email", c.Alarms.Topic == "", "cannot be combined with topic: subscribe the address to "+
			"your topic")
	}
	if c.Alarms.Topic != "" {
		a, ok := parseARN(c.Alarms.Topic)
		g.require("alarms.topic", !strings.HasSuffix(a.resource, ".fifo"), "is a FIFO topic, which CloudWatch alarms "+
			"cannot use: give a standard topic")
		g.require("alarms.topic", ok && a.service == "sns" && accountForm.MatchString(a.account) &&
			topicForm.MatchString(a.resource),
			"must be the ARN of an SNS topic, not of a subscription: arn:aws:sns:<region>:<account>:<name>")
		g.requirePartition("alarms.topic", a, c.Region)
		g.require("alarms.topic", c.Region == "" || a.region == c.Region, "is in the region %s, but the stack is in "+
			"%s: alarms only reach topics in their own region", a.region, c.Region)
	}
}

func checkAudit(g *gathering, a *Audit) {
	if a != nil {
		g.require("audit.database", databaseForm.MatchString(a.Database), "must be the name of the Glue database, "+
			"such as audittraildatabase-1a2b3c")
		g.require("audit.workgroup", workgroupForm.MatchString(a.Workgroup), "must be the name of an Athena workgroup")
	}
}
