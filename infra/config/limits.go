package config

import "crypto/sha256"

// CloudFormation's limits of one template (CloudFormation user guide, "Quotas").
const (
	maxResources = 500
	maxOutputs   = 200
)

// What the stack is made of, at most. A test compares these with the template.
const (
	sharedResources = 62 // with everything on
	sharedOutputs   = 4
)

// MaxKeys is how many keys fit one stack: two outputs each.
const MaxKeys = (maxOutputs - sharedOutputs) / 2

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
	resources := sharedResources
	for i := range c.Keys {
		resources += c.Keys[i].resources(false)
	}
	for i := range c.Retired {
		resources += c.Retired[i].resources(true)
	}
	const advice = "put the keys that are new into a second file with a stack of its own, and move none that is deployed"
	if n := len(c.Keys) + len(c.Retired); n > MaxKeys {
		g.add("keys", "are %d with those retired, and one stack takes %d: %s", n, MaxKeys, advice)
	} else if resources > maxResources {
		g.add("keys", "make %d resources, and one stack takes %d: %s", resources, maxResources, advice)
	}
}

// Buckets is into how many policies the secrets are divided: a role takes ten, and two are left for others.
const Buckets = 8

// BucketOf says in which a secret is, by its name alone.
func BucketOf(secretName string) int {
	return int(sha256.Sum256([]byte(secretName))[0]) % Buckets
}
