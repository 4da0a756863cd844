package awssecrets

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"
)

// A secret is one state of one secret. A write clones it, alters the clone and commits that, so
// that a refused write leaves nothing behind, and the state before the last write is at hand for
// reads that lag.
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
	deletion time.Time // when a secret that is marked for deletion goes; zero otherwise

	rotation configuration

	made     int                 // versions ever made, for their order
	versions map[string]*version // by id
	labels   map[string]string   // label to version id: so a label is on one version at most
}

// A configuration is what RotateSecret stores.
type configuration struct {
	ever     bool // configured at least once: RotationEnabled is absent before, false after a cancel
	enabled  bool
	function string
	rules    rules
	rotated  time.Time
	next     time.Time // the last moment of the next window; zero without a schedule
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

// ARN is the name by which the service knows a secret. Its last six characters, random on AWS,
// follow here from the secret's name, so that files written before a run can name it.
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

// nameOf finds the name that a SecretId may stand for: a name, a full ARN, or an ARN without its
// suffix. A partial ARN that itself ends in a hyphen and six characters is not tried: the API
// reference warns that it is taken for a full one.
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
