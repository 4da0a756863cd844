package awssecrets

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"
)

// A secret is one state of a secret. A write changes a copy and then commits it. Therefore a
// refused write has no effect, and the state before the last write is available for stale reads.
type secret struct {
	name, arn   string
	description string
	kmsKey      string
	policy      string
	tags        []tag
	replicas    []replica
	primary     string // region of the primary, if this secret is a replica

	created  time.Time
	changed  time.Time
	deletion time.Time // when a secret that is marked for deletion is deleted; otherwise zero

	rotation configuration

	count    int                 // number of versions created so far, for their order
	versions map[string]*version // by id
	labels   map[string]string   // label to version id; a label is on at most one version
}

// A configuration is the rotation configuration that RotateSecret stores.
type configuration struct {
	configured bool // true after the first configuration; until then, RotationEnabled is absent
	enabled    bool
	function   string
	rules      rules
	rotated    time.Time
	next       time.Time // the last second of the next window; zero without a schedule
}

type tag struct {
	Key   string
	Value string
}

type replica struct {
	Region        string
	KmsKeyId      string `json:",omitempty"`
	Status        string
	StatusMessage string `json:",omitempty"`
}

func (s *secret) clone() *secret {
	c := *s
	c.tags = slices.Clone(s.tags)
	c.replicas = slices.Clone(s.replicas)
	c.versions = maps.Clone(s.versions)
	c.labels = maps.Clone(s.labels)
	return &c
}

func (s *secret) markedForDeletion() bool { return !s.deletion.IsZero() }

// ARN returns the ARN of a secret. On AWS, the last six characters are random. Here they are
// derived from the secret's name, so that files written before a run can contain the ARN.
func ARN(region, account, name string) string {
	return arnPrefix(region, account) + name + "-" + suffix(name)
}

func arnPrefix(region, account string) string {
	return "arn:aws:secretsmanager:" + region + ":" + account + ":secret:"
}

const suffixLength = 6

func suffix(name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	sum := sha256.Sum256([]byte(name))
	var b [suffixLength]byte
	for i := range b {
		b[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(b[:])
}

// nameOf returns the name of the secret that a SecretId identifies. A SecretId is a name, a full
// ARN, or an ARN without its suffix. A partial ARN that ends in a hyphen and six characters is
// treated as a full ARN, as the API reference warns.
func (s *Server) nameOf(id string) string {
	resource, isARN := strings.CutPrefix(id, arnPrefix(s.options.Region, s.options.Account))
	if !isARN {
		return id
	}
	if cut := len(resource) - suffixLength - 1; cut > 0 && resource[cut] == '-' {
		name := resource[:cut]
		if suffix(name) != resource[cut+1:] {
			return ""
		}
		return name
	}
	return resource
}
