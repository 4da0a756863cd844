package config

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// The limits of one template (CloudFormation user guide, "Quotas"). The CDK's command adds one
// resource, AWS::CDK::Metadata, to the 500.
const (
	MaxResources = 500 - 1
	MaxOutputs   = 200
)

// The largest number of resources and outputs of a stack without keys. A test compares them with
// the template.
const (
	SharedResources = 67
	SharedOutputs   = 6
)

func (k *Key) resources() int {
	n := 1 // the rotation schedule
	for _, has := range []bool{k.Secret == "", len(k.Readers) > 0, len(k.Restart) > 0} {
		if has {
			n++
		}
	}
	return n
}

// checkLimits refuses a file that needs more than one template can have. The stack is not split,
// because CloudFormation would create a secret again that moves to another stack.
func checkLimits(g *gathering, c *Config) {
	resources, outputs := SharedResources, SharedOutputs+len(c.Keys)
	for _, k := range c.All() {
		resources += k.resources()
	}
	const advice = "create the other secrets outside of this file, and point their rotation to the stack's function " +
		"(docs/tools)"
	g.require("keys", outputs <= MaxOutputs, "has %d entries, but one stack can have %d: %s", len(c.Keys),
		MaxOutputs-SharedOutputs, advice)
	g.require("keys", resources <= MaxResources, "needs %d resources, but one stack can have %d: %s", resources,
		MaxResources, advice)
	g.require("keys", c.longestPolicy() <= maxPolicy-policyRest, "has too many issuers or services to restart for "+
		"one IAM policy: list fewer, or %s", advice)
	g.require("keys", c.KMSKey != NewKey || readersLength(c.All()) <= maxKeyPolicy,
		"has too many readers for the policy of one KMS key: list fewer, such as an account instead of its roles, "+
			"or %s", advice)
}

// The maximum length of a KMS key's policy, of a secret's and of an IAM policy (KMS developer
// guide, "Resource quotas"; Secrets Manager user guide, "Quotas"; IAM user guide, "IAM and AWS STS
// quotas"), and upper bounds of what they contain besides ARNs.
const (
	maxKeyPolicy    = 32768
	maxSecretPolicy = 20480
	statementLength = 450
	maxPolicy       = 6144
	policyRest      = 500
)

// readersLength returns the maximum length of a policy that names each reader once, with two
// statements for each account.
func readersLength[I any](keys iter.Seq2[I, *Key]) int {
	n, readers, accounts := statementLength, map[string]bool{}, map[string]bool{}
	for _, k := range keys {
		for _, reader := range k.Readers {
			if !readers[reader] {
				n += len(`"",`) + len(reader)
			}
			if a, _ := parseARN(reader); !accounts[a.account] {
				accounts[a.account] = true
				n += 2 * statementLength
			}
			readers[reader] = true
		}
	}
	return n
}

// longestPolicy returns the length of the ARNs in the policy of the issuing credentials or in the
// policy of the services to restart, whichever is longer.
func (c *Config) longestPolicy() int {
	issuers, services := map[string]bool{}, 0
	for _, issuer := range c.Issuers {
		issuers[issuer] = true
	}
	for _, k := range c.All() {
		issuers[k.Issuer] = true
		for _, s := range k.Restart {
			services += len("\"arn:aws-us-gov:ecs:"+c.Region+":"+c.Account+":service/\",") + len(s.Cluster) +
				len(s.Service) + 1
		}
	}
	return max(services, len(strings.Join(slices.Collect(maps.Keys(issuers)), `","`)))
}
