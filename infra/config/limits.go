package config

import (
	"maps"
	"slices"
	"strings"
)

// CloudFormation's limits of one template (CloudFormation user guide, "Quotas").
const (
	maxResources = 500
	maxOutputs   = 200
)

// What the stack is made of, at most. A test compares these with the template.
const (
	SharedResources = 62 // with everything on
	SharedOutputs   = 4
)

// MaxKeys is how many keys fit one stack: two outputs each.
const MaxKeys = (maxOutputs - SharedOutputs) / 2

func (k *Key) resources(retired bool) int {
	n := 0
	if k.Secret == "" {
		n++
	}
	if len(k.Readers) > 0 {
		n++
	}
	if retired {
		return n
	}
	if len(k.Restart) > 0 {
		n++
	}
	return n + 2 // the schedules of rotation and sweep
}

// checkLimits refuses what does not fit one stack. It is never split by itself: a secret that moves to another stack would be deleted and made again.
func checkLimits(g *gathering, c *Config) {
	resources := SharedResources
	for i := range c.Keys {
		resources += c.Keys[i].resources(false)
	}
	for i := range c.Retired {
		resources += c.Retired[i].resources(true)
	}
	const advice = "put the keys that are new into a second file with a stack of its own, and move none that is deployed"
	switch n := len(c.Keys) + len(c.Retired); {
	case n > MaxKeys:
		g.add("keys", "are %d with those retired, and one stack takes %d: %s", n, MaxKeys, advice)
	case resources > maxResources:
		g.add("keys", "make %d resources, and one stack takes %d: %s", resources, maxResources, advice)
	case c.tooLong():
		g.add("keys", "have too many issuers, or services to restart, for one IAM policy: name fewer, or %s", advice)
	case c.keyPolicy() > maxKeyPolicy:
		g.add("keys", "have too many readers together for the policy of one KMS key: name fewer, such as an account in place of its roles, or %s", advice)
	}
}

// Bytes of a KMS key's policy, and characters of a secret's (KMS developer guide, "Resource quotas"; Secrets Manager user guide, "Quotas"), and what stands in them
// beside principals and secrets, amply.
const (
	maxKeyPolicy    = 32768
	maxSecretPolicy = 20480
	readerRest      = 350 // a statement's own words
)

// keyPolicy is how long the policy of the stack's own KMS key is: a statement for each reader, with all the secrets that he reads.
func (c *Config) keyPolicy() int {
	if c.KMSKey != NewKey {
		return 0
	}
	n, known := readerRest, map[string]bool{}
	for _, keys := range [][]Key{c.Keys, c.Retired} {
		for i := range keys {
			for _, reader := range keys[i].Readers {
				n += c.arnLength(&keys[i])
				if !known[reader] {
					known[reader] = true
					n += readerRest + len(reader)
				}
			}
		}
	}
	return n
}

// secretPolicy is how long the policy of the key's secret is.
func (k *Key) secretPolicy() int { return readerRest + len(strings.Join(k.Readers, `","`)) }

// arnLength is how long the secret's ARN is in a list.
func (c *Config) arnLength(k *Key) int {
	return len("\"arn:aws-us-gov:secretsmanager:" + c.Region + ":" + c.Account + ":secret:" + k.SecretName() + "-AbCdEf\",")
}

// Characters of a managed policy (quotas of IAM), and what it needs beside the ARNs.
const (
	maxPolicy  = 6144
	policyRest = 500
)

// tooLong tells whether the policy of the issuers, or that of the services to restart, is longer than IAM allows.
func (c *Config) tooLong() bool {
	issuers, services := map[string]bool{}, 0
	for _, k := range slices.Concat(c.Keys, c.Retired) {
		issuers[k.Issuer] = true
		for _, s := range k.Restart {
			services += len("\"arn:aws-us-gov:ecs:"+c.Region+":"+c.Account+":service/\",") + len(s.Cluster) + len(s.Service) + 1
		}
	}
	return max(services, len(strings.Join(slices.Collect(maps.Keys(issuers)), `","`))) > maxPolicy-policyRest
}
