// Package config is the file from which a stack is made: what can be written in it, its defaults, and the rules between its values.
//
// It is strict. Every fault is told at once, with its path and how to mend it, before anything is synthesized; nothing that is faulty is replaced
// by a default. It relies on nothing of the CDK, so that a faulty file never starts it. It reads one file and the CA bundle that this names, no more.
package config

import (
	"fmt"
	"time"

	"quilt-rotate/internal/settings"
)

// Config is one stack: the keys of one registry. The comments are what editors show.
type Config struct {
	Stack               string            `yaml:"stack,omitempty" jsonschema:"description=Name of the CloudFormation stack. Default: quilt-rotate-<environment>-<registry's host>."`
	Account             string            `yaml:"account,omitempty" jsonschema:"pattern=^[0-9]{12}$,description=AWS account of the stack. Default: that of the credentials."`
	Region              string            `yaml:"region,omitempty" jsonschema:"description=AWS region of the stack. Default: that of the credentials."`
	Registry            string            `yaml:"registry" jsonschema:"required,format=uri,description=URL of the Quilt registry\\, such as https://registry.example.com (not the catalog's)."`
	Environment         string            `yaml:"environment,omitempty" jsonschema:"description=What the stack is for: names and tags carry it. Default: prod."`
	Tags                map[string]string `yaml:"tags,omitempty" jsonschema:"description=Tags of every resource."`
	Network             *Network          `yaml:"network,omitempty" jsonschema:"description=For a registry that only a VPC reaches."`
	CABundle            string            `yaml:"caBundle,omitempty" jsonschema:"description=PEM file with the certificates of a private authority\\, relative to this file. It travels with the functions."`
	PermissionsBoundary string            `yaml:"permissionsBoundary,omitempty" jsonschema:"description=ARN of the managed policy that bounds every role."`
	KMSKey              string            `yaml:"kmsKey,omitempty" jsonschema:"description=Encrypts the secrets: aws-managed (the default)\\, new\\, or the ARN of an existing key."`
	PreviousKMSKeys     []string          `yaml:"previousKmsKeys,omitempty" jsonschema:"description=ARNs of keys that encrypted the secrets before kmsKey or secretKmsKey was changed: older versions are still read with them."`
	Alarms              Alarms            `yaml:"alarms,omitempty" jsonschema:"description=Who is told when a person must act."`
	Audit               *Audit            `yaml:"audit,omitempty" jsonschema:"description=The registry's audit trail in Athena\\, for named queries."`
	Sweep               Duration          `yaml:"sweep,omitempty" jsonschema:"description=How often each secret is swept: 15m to 1h in whole minutes. Default: 1h."`
	OrphanAge           Duration          `yaml:"orphanAge,omitempty" jsonschema:"description=How old a key that no version holds must be to be revoked: at least 15m. Default: 1h."`
	LogLevel            string            `yaml:"logLevel,omitempty" jsonschema:"enum=DEBUG,enum=INFO,enum=WARN,enum=ERROR,description=Least level that the functions log. Default: INFO."`
	LogRetentionDays    int               `yaml:"logRetentionDays,omitempty" jsonschema:"description=How long logs are kept\\, in days\\, as CloudWatch Logs takes it. Default: 90."`
	Keys                []Key             `yaml:"keys,omitempty" jsonschema:"description=The keys to rotate: one secret each."`
	Retired             []Key             `yaml:"retired,omitempty" jsonschema:"description=Keys that are rotated no more: move an entry here from keys\\, as it is. Its secret stays\\, its schedules go."`

	caBundle []byte
}

// CABundleBytes is the content of the bundle; nil where none is named.
func (c *Config) CABundleBytes() []byte { return c.caBundle }

// Network is where the functions run.
type Network struct {
	VPC            string   `yaml:"vpc,omitempty" jsonschema:"pattern=^vpc-[0-9a-f]+$,description=Id of the VPC; needed where no security group is given."`
	Subnets        []string `yaml:"subnets" jsonschema:"required,minItems=1,description=Ids of subnets from which the registry and Secrets Manager are reached."`
	SecurityGroups []string `yaml:"securityGroups,omitempty" jsonschema:"description=Ids of security groups. Default: a new one that may only call out by HTTPS."`
}

// Alarms is who is told.
type Alarms struct {
	Email string `yaml:"email,omitempty" jsonschema:"format=email,description=Address that the alarms are sent to; AWS asks it to confirm."`
	Topic string `yaml:"topic,omitempty" jsonschema:"description=ARN of an existing SNS topic. Default: a new\\, encrypted one."`
}

// Audit is the registry's audit trail.
type Audit struct {
	Database  string `yaml:"database" jsonschema:"required,description=Glue database of the audit trail: audittraildatabase-…"`
	Workgroup string `yaml:"workgroup,omitempty" jsonschema:"description=Athena workgroup\\, such as <registry's stack>-audit. Default: primary."`
}

// Key is one secret with its key. Name and Secret exclude each other.
type Key struct {
	Name          string    `yaml:"name,omitempty" jsonschema:"description=Name of the secret to create\\, such as prod/pipeline."`
	Secret        string    `yaml:"secret,omitempty" jsonschema:"description=ARN of an existing secret to adopt instead. Its value is not touched."`
	SecretKMSKey  string    `yaml:"secretKmsKey,omitempty" jsonschema:"description=ARN of the customer-managed key of an adopted secret."`
	Field         string    `yaml:"field,omitempty" jsonschema:"description=Field of the secret's JSON that holds the key. Default: found."`
	Plain         bool      `yaml:"plain,omitempty" jsonschema:"description=The secret's value is the key alone\\, not JSON."`
	KeyName       string    `yaml:"keyName,omitempty" jsonschema:"description=Beginning of the key's name at the registry. Default: the secret's name."`
	Owner         string    `yaml:"owner,omitempty" jsonschema:"description=E-mail of the registry user whose key it is. Default: found."`
	Schedule      string    `yaml:"schedule" jsonschema:"required,description=When to rotate\\, in UTC: rate(30 days) or cron(0 4 ? * SUN *)."`
	Window        Duration  `yaml:"window,omitempty" jsonschema:"description=How long the rotation window is\\, in whole hours. Default: to the end of the day; 1h where it opens several times a day."`
	ExpiresInDays int       `yaml:"expiresInDays,omitempty" jsonschema:"minimum=1,maximum=365,description=Life of a key\\, in days: at least twice the interval\\, the window and 7 days. Default: 90."`
	Grace         *Duration `yaml:"grace,omitempty" jsonschema:"description=How long a replaced key lives on: at least 2h. Default: 24h."`
	Quiet         *Duration `yaml:"quiet,omitempty" jsonschema:"description=How long a replaced key must have gone unused. Default: 25h."`
	HoldLimit     *Duration `yaml:"holdLimit,omitempty" jsonschema:"description=How long after its grace a replaced key that is still used is kept. Default: until it expires."`
	Issuer        string    `yaml:"issuer,omitempty" jsonschema:"description=ARN of the secret with a second credential of the same registry user."`
	IssuerKMSKey  string    `yaml:"issuerKmsKey,omitempty" jsonschema:"description=ARN of the customer-managed key of the issuer's secret."`
	Readers       []string  `yaml:"readers,omitempty" jsonschema:"description=ARNs of the principals that may read the secret\\, of other accounts too."`
	Replicas      []Replica `yaml:"replicas,omitempty" jsonschema:"description=Regions to replicate the secret to."`
	Restart       []Service `yaml:"restart,omitempty" jsonschema:"description=ECS services that get the key at start: they are redeployed when the key changes."`
}

// Replica is another region that has the secret.
type Replica struct {
	Region string `yaml:"region" jsonschema:"required"`
	KMSKey string `yaml:"kmsKey,omitempty" jsonschema:"description=ARN of a customer-managed key of that region. Default: AWS-managed."`
}

// Service is an ECS service.
type Service struct {
	Cluster string `yaml:"cluster" jsonschema:"required"`
	Service string `yaml:"service" jsonschema:"required"`
}

// What KMSKey may be beside an ARN.
const (
	AWSManaged = "aws-managed"
	NewKey     = "new"
)

// Defaults of what may be left out, beside those of package settings.
const (
	DefaultEnvironment  = "prod"
	DefaultSweep        = time.Hour
	DefaultLogLevel     = "INFO"
	DefaultLogRetention = 90
)

// AWS is where the credentials point to: it stands in for an account and region that the file leaves out.
type AWS struct{ Account, Region string }

// fillIn gives values to what the file leaves out. What it says stays, also a zero: that is for the checks to judge.
func (c *Config) fillIn(g *gathering, aws AWS) {
	or(g, "environment", &c.Environment, DefaultEnvironment)
	or(g, "stack", &c.Stack, defaultStack(c.Environment, c.Registry))
	or(g, "account", &c.Account, aws.Account)
	or(g, "region", &c.Region, aws.Region)
	or(g, "kmsKey", &c.KMSKey, AWSManaged)
	or(g, "sweep", &c.Sweep, Duration(DefaultSweep))
	or(g, "orphanAge", &c.OrphanAge, Duration(settings.DefaultOrphanAge))
	or(g, "logLevel", &c.LogLevel, DefaultLogLevel)
	or(g, "logRetentionDays", &c.LogRetentionDays, DefaultLogRetention)
	if c.Audit != nil {
		or(g, "audit.workgroup", &c.Audit.Workgroup, "primary")
	}
	for name, keys := range map[string][]Key{"keys": c.Keys, "retired": c.Retired} {
		for i := range keys {
			or(g, fmt.Sprintf("%s[%d].expiresInDays", name, i), &keys[i].ExpiresInDays, settings.DefaultExpiresInDays)
		}
	}
}

func or[T any](g *gathering, path string, target *T, value T) {
	if !g.given(path) {
		*target = value
	}
}

// GracePeriod is how long a replaced key lives on.
func (k *Key) GracePeriod() time.Duration { return orDefault(k.Grace, settings.DefaultGrace) }

// QuietPeriod is how long a replaced key must have gone unused.
func (k *Key) QuietPeriod() time.Duration { return orDefault(k.Quiet, settings.DefaultQuiet) }

func orDefault(d *Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return time.Duration(*d)
}

// SecretName is the name of the secret, made or adopted.
func (k *Key) SecretName() string {
	if k.Secret == "" {
		return k.Name
	}
	return secretNameOf(k.Secret)
}
