// Package config reads and checks the configuration file of a stack.
//
// All faults of a file are reported together, each with its path, its line and the fix, before
// anything is synthesized. A faulty value is never replaced by a default. The package does not use
// the CDK. It reads only the file and the CA bundle that the file names.
package config

import (
	"fmt"
	"iter"
	"time"

	"quilt-rotate/internal/settings"
)

// Config is the content of the file: the functions for one registry, and the secrets that the stack
// creates. The descriptions are part of the JSON schema, and editors show them.
type Config struct {
	Stack                 string            `yaml:"stack" jsonschema:"required,description=Name of the CloudFormation stack\\, such as quilt-rotate-prod. Never change it after the first deployment: another name is another stack."`
	Account               string            `yaml:"account,omitempty" jsonschema:"pattern=^[0-9]{12}$,description=AWS account of the stack. Default: that of the credentials."`
	Region                string            `yaml:"region,omitempty" jsonschema:"description=AWS region of the stack. Default: that of the credentials."`
	Registry              string            `yaml:"registry" jsonschema:"required,format=uri,description=URL of the Quilt registry\\, such as https://registry.example.com (not the catalog's)."`
	Environment           string            `yaml:"environment,omitempty" jsonschema:"description=Value of the tag Environment on every resource. Default: prod."`
	Tags                  map[string]string `yaml:"tags,omitempty" jsonschema:"description=Tags of every resource."`
	TerminationProtection bool              `yaml:"terminationProtection,omitempty" jsonschema:"description=Whether CloudFormation refuses to delete the stack. Default: true."`
	Network               *Network          `yaml:"network,omitempty" jsonschema:"description=The VPC of the functions\\, for a registry that can only be reached from a VPC."`
	CABundle              string            `yaml:"caBundle,omitempty" jsonschema:"description=PEM file with the certificates of a private certificate authority\\, relative to this file. It is packed with the functions."`
	PermissionsBoundary   string            `yaml:"permissionsBoundary,omitempty" jsonschema:"description=ARN of the managed policy that is the permissions boundary of every role."`
	KMSKey                string            `yaml:"kmsKey,omitempty" jsonschema:"description=KMS key that encrypts the secrets that this stack creates: aws-managed (the default)\\, new\\, or the ARN of an existing key."`
	Issuers               []string          `yaml:"issuers,omitempty" jsonschema:"description=ARNs of the secrets with issuing credentials for secrets that are not in this file. The issuer of an entry of keys is added automatically."`
	Alarms                Alarms            `yaml:"alarms,omitempty" jsonschema:"description=Who is notified when a person must act."`
	Audit                 *Audit            `yaml:"audit,omitempty" jsonschema:"description=The registry's audit trail in Athena\\, for named queries."`
	Sweep                 Duration          `yaml:"sweep,omitempty" jsonschema:"description=Time between two sweeps: 15m to 1h in whole minutes. Default: 1h."`
	OrphanAge             Duration          `yaml:"orphanAge,omitempty" jsonschema:"description=Minimum age at which a key that no version holds is revoked: at least 15m. Default: 1h."`
	LogLevel              string            `yaml:"logLevel,omitempty" jsonschema:"enum=DEBUG,enum=INFO,enum=WARN,enum=ERROR,description=Lowest level that the functions log. Default: INFO."`
	LogRetentionDays      int               `yaml:"logRetentionDays,omitempty" jsonschema:"description=Retention of the logs in days\\, one of the values of CloudWatch Logs. Default: 90."`
	Keys                  []Key             `yaml:"keys,omitempty" jsonschema:"description=Secrets that this stack creates (name) or whose rotation it configures (secret)\\, one key each. The functions also serve every other secret of the account and region whose rotation calls the rotate function."`
	Retired               []Key             `yaml:"retired,omitempty" jsonschema:"description=Keys that are no longer rotated: move an entry here from keys\\, unchanged. Its secret is kept\\, and its rotation is switched off."`

	caBundle []byte
}

// CABundleBytes returns the content of the CA bundle, or nil if the file names none.
func (c *Config) CABundleBytes() []byte { return c.caBundle }

// Network is where the functions run.
type Network struct {
	VPC            string   `yaml:"vpc,omitempty" jsonschema:"pattern=^vpc-([0-9a-f]{8}|[0-9a-f]{17})$,description=Id of the VPC. Required if securityGroups is not given."`
	Subnets        []string `yaml:"subnets" jsonschema:"required,minItems=1,maxItems=16,description=Ids of subnets from which the registry and Secrets Manager can be reached."`
	SecurityGroups []string `yaml:"securityGroups,omitempty" jsonschema:"maxItems=5,description=Ids of security groups. Default: a new one that allows outgoing connections only."`
	Proxy          string   `yaml:"proxy,omitempty" jsonschema:"description=URL of the HTTP proxy that the functions use for the registry and for AWS\\, such as http://proxy.example.com:3128. It cannot contain credentials."`
	NoProxy        []string `yaml:"noProxy,omitempty" jsonschema:"description=Hosts that are reached without the proxy: names (registry.example.com)\\, domains (.example.com)\\, addresses or networks (10.0.0.0/8)."`
	IPv6           bool     `yaml:"ipv6,omitempty" jsonschema:"description=Allows outgoing IPv6 connections. All subnets must be dual-stack. Default: false."`
}

// Alarms is the address or the topic that gets the alarms.
type Alarms struct {
	Email string `yaml:"email,omitempty" jsonschema:"format=email,description=E-mail address that gets the alarms. AWS asks the address to confirm."`
	Topic string `yaml:"topic,omitempty" jsonschema:"description=ARN of an existing SNS topic. Default: a new\\, encrypted topic."`
}

// Audit is the registry's audit trail.
type Audit struct {
	Database  string `yaml:"database" jsonschema:"required,description=Glue database of the audit trail: audittraildatabase-…"`
	Workgroup string `yaml:"workgroup,omitempty" jsonschema:"description=Athena workgroup\\, such as <registry's stack>-audit. Default: primary."`
}

// Key is one secret with its key. It has either a name or a secret.
type Key struct {
	Name          string    `yaml:"name,omitempty" jsonschema:"description=Name of the secret to create\\, such as prod/pipeline."`
	Secret        string    `yaml:"secret,omitempty" jsonschema:"description=ARN of an existing secret. Its value is not changed."`
	Field         string    `yaml:"field,omitempty" jsonschema:"description=Field of the secret's JSON that holds the key. Default: the field whose value is a key."`
	Plain         bool      `yaml:"plain,omitempty" jsonschema:"description=Whether the secret's value is the key alone\\, not JSON."`
	KeyName       string    `yaml:"keyName,omitempty" jsonschema:"description=First part of the key's name in the registry. Default: the secret's name."`
	Owner         string    `yaml:"owner,omitempty" jsonschema:"description=E-mail address of the registry user who owns the key. Default: the owner of the current key."`
	Schedule      string    `yaml:"schedule" jsonschema:"required,description=When to rotate\\, in UTC: rate(30 days) or cron(0 4 ? * SUN *)."`
	Window        Duration  `yaml:"window,omitempty" jsonschema:"description=Length of the rotation window\\, in whole hours. Default: until the end of the day\\, or 1h if there are several windows a day."`
	ExpiresInDays int       `yaml:"expiresInDays,omitempty" jsonschema:"minimum=1,maximum=365,description=Lifetime of a key in days: at least twice the interval\\, the window and 7 days. Default: 90."`
	Grace         *Duration `yaml:"grace,omitempty" jsonschema:"description=How long a superseded key stays valid: at least 2h. Default: 24h."`
	Quiet         *Duration `yaml:"quiet,omitempty" jsonschema:"description=How long a superseded key must be unused before it is revoked. Default: 25h."`
	HoldLimit     *Duration `yaml:"holdLimit,omitempty" jsonschema:"description=How long after its grace period a key that is still used is kept. Default: until it expires."`
	Issuer        string    `yaml:"issuer,omitempty" jsonschema:"description=ARN of the secret with the issuing credential: a second credential of the same registry user."`
	Readers       []string  `yaml:"readers,omitempty" jsonschema:"description=ARNs of the roles\\, users and accounts that may read the secret\\, also of other accounts."`
	Replicas      []Replica `yaml:"replicas,omitempty" jsonschema:"description=Regions to which the secret is replicated."`
	Restart       []Service `yaml:"restart,omitempty" jsonschema:"description=ECS services that read the key only at startup. They are redeployed when the key changes."`
}

// Replica is another region to which the secret is replicated.
type Replica struct {
	Region string `yaml:"region" jsonschema:"required"`
	KMSKey string `yaml:"kmsKey,omitempty" jsonschema:"description=ARN of a customer-managed KMS key of that region. Default: the AWS-managed key."`
}

// Service is an ECS service.
type Service struct {
	Cluster string `yaml:"cluster" jsonschema:"required"`
	Service string `yaml:"service" jsonschema:"required"`
}

// The values of KMSKey that are not an ARN.
const (
	AWSManaged = "aws-managed"
	NewKey     = "new"
)

// Defaults of the optional fields. Package settings has the other ones.
const (
	DefaultEnvironment  = "prod"
	DefaultSweep        = time.Hour
	DefaultLogLevel     = "INFO"
	DefaultLogRetention = 90
)

// AWS is the account and region of the AWS credentials. They apply if the file names none.
type AWS struct{ Account, Region string }

// All iterates over keys and retired, with the path of each.
func (c *Config) All() iter.Seq2[string, *Key] {
	return func(yield func(string, *Key) bool) {
		for i := range c.Keys {
			if !yield(fmt.Sprintf("keys[%d]", i), &c.Keys[i]) {
				return
			}
		}
		for i := range c.Retired {
			if !yield(fmt.Sprintf("retired[%d]", i), &c.Retired[i]) {
				return
			}
		}
	}
}

// setDefaults sets the fields that are not in the file. A zero in the file is not replaced; it is
// checked like any value.
func (c *Config) setDefaults(g *gathering, aws AWS) {
	or(g, "environment", &c.Environment, DefaultEnvironment)
	or(g, "account", &c.Account, aws.Account)
	or(g, "region", &c.Region, aws.Region)
	or(g, "terminationProtection", &c.TerminationProtection, true)
	or(g, "kmsKey", &c.KMSKey, AWSManaged)
	or(g, "sweep", &c.Sweep, Duration(DefaultSweep))
	or(g, "orphanAge", &c.OrphanAge, Duration(settings.DefaultOrphanAge))
	or(g, "logLevel", &c.LogLevel, DefaultLogLevel)
	or(g, "logRetentionDays", &c.LogRetentionDays, DefaultLogRetention)
	if c.Audit != nil {
		or(g, "audit.workgroup", &c.Audit.Workgroup, "primary")
	}
	for path, k := range c.All() {
		or(g, path+".expiresInDays", &k.ExpiresInDays, settings.DefaultExpiresInDays)
	}
}

func or[T any](g *gathering, path string, target *T, value T) {
	if !g.given(path) {
		*target = value
	}
}

// GracePeriod is how long a superseded key stays valid.
func (k *Key) GracePeriod() time.Duration { return orDefault(k.Grace, settings.DefaultGrace) }

// QuietPeriod is how long a superseded key must be unused before it is revoked.
func (k *Key) QuietPeriod() time.Duration { return orDefault(k.Quiet, settings.DefaultQuiet) }

func orDefault(d *Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return time.Duration(*d)
}

// SecretName returns the name of the secret, also if only its ARN is given.
func (k *Key) SecretName() string {
	if k.Secret == "" {
		return k.Name
	}
	return secretNameOf(k.Secret)
}
