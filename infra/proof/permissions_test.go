package proof_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
)

// Actions that no function asks for, but the service that runs it, in the name of its role. The wire cannot show them.
var (
	// Lambda sends a function's logs (Lambda developer guide, "Defining Lambda function permissions with an execution role").
	forLogs = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	// Lambda attaches a function to a VPC (Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC").
	forNetwork = []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	}
)

// implied is what Secrets Manager asks of KMS in the caller's name, where a customer-managed key encrypts the secret (Secrets Manager API reference, required
// permissions of each operation). It gives the secret's ARN as encryption context (user guide, "Secret encryption and decryption").
var implied = map[string][]string{
	"secretsmanager:GetSecretValue": {"kms:Decrypt"},
	"secretsmanager:PutSecretValue": {"kms:Decrypt", "kms:GenerateDataKey"},
}

func TestThePoliciesGrantWhatTheFunctionsAskForAndNothingElse(t *testing.T) {
	// Protects from a right that is missing in the one night it is needed, and from one that nobody needs but a thief.
	t.Parallel()
	issuer := awssecrets.ARN(region, account, "quilt/issuer")
	for name, file := range map[string]string{
		"the example": filepath.Join(root(t), "infra", "config.example.yaml"),
		"everything that grants": write(t, `
stack: everything-that-grants
registry: https://registry.example.com
network: {vpc: vpc-0123456789abcdef0, subnets: [subnet-0123456789abcdef0]}
kmsKey: new
previousKmsKeys: [%[5]q]
keys:
  - {name: prod/pipeline, schedule: rate(30 days), issuer: %[1]q, issuerKmsKey: %[2]q, replicas: [{region: us-west-2, kmsKey: %[6]q}]}
  - {secret: %[3]q, secretKmsKey: %[4]q, schedule: rate(30 days), issuer: %[1]q}
  - {name: prod/own, schedule: rate(30 days)}
retired:
  - {name: prod/gone, schedule: rate(30 days), issuer: %[1]q, issuerKmsKey: %[2]q}
`, issuer, kmsKey(1), awssecrets.ARN(region, account, "prod/reports"), kmsKey(2), kmsKey(3), strings.Replace(kmsKey(4), region, "us-west-2", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, synthesized := synthesize(t, file)
			w := newWorld(t)
			w.keepIssuer("quilt/issuer")
			for i := range c.Keys {
				l := w.begin(&c.Keys[i])
				l.live()
				if i == 0 {
					l.mishaps()
				}
			}
			for i := range c.Retired {
				w.retire(&c.Retired[i])
			}
			requests := everyRequest(c, synthesized, w.seen)
			granted := synthesized.grants(t)
			if lacking := missing(granted, requests); len(lacking) > 0 {
				t.Errorf("the policies lack what the functions ask for:\n  %s", strings.Join(sorted(lacking), "\n  "))
			}
			if needless := extra(granted, requests); len(needless) > 0 {
				t.Errorf("the policies grant what no function was seen to ask for:\n  %s", strings.Join(sorted(needless), "\n  "))
			}
			t.Logf("%d secrets, %d rotations, %d sweeps: %d requests of AWS, %d of them not allowed; %d grants, %d of them needless",
				len(c.Keys)+len(c.Retired), w.rotated, w.sweeps, w.calls, len(missing(granted, requests)), len(granted), len(extra(granted, requests)))
		})
	}
}

func kmsKey(n int) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%08d-2222-3333-4444-555555555555", region, account, n)
}

// everyRequest adds to the requests that were seen those that the services make in the functions' names.
func everyRequest(c *config.Config, synthesized template, seen map[request]bool) map[request]bool {
	all := map[request]bool{}
	for r := range seen {
		all[r] = true
		for _, asked := range impliedBy(r, c, synthesized.encryption()) {
			all[asked] = true
		}
	}
	for _, function := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
		for _, action := range forLogs {
			all[request{function: function, action: action, resource: synthesized.logsOf(function)}] = true
		}
		for _, action := range forNetwork {
			if c.Network != nil {
				all[request{function: function, action: action, resource: "*"}] = true
			}
		}
	}
	return all
}

// impliedBy are the requests to KMS that one to Secrets Manager brings about: with the key that encrypts the secret; with those that did before, for versions from that
// time; and, for a new value, with those of its replicas (API reference, ReplicateSecretToRegions).
func impliedBy(r request, c *config.Config, encryption map[string]string) (all []request) {
	ask := func(action, key, inRegion string) {
		all = append(all, request{function: r.function, action: action, resource: key, via: "secretsmanager." + inRegion + ".amazonaws.com",
			secret: strings.Replace(r.resource, region, inRegion, 1)})
	}
	issuer := false
	for _, key := range slices.Concat(c.Keys, c.Retired) {
		if key.Issuer == r.resource {
			issuer = true
			encryption[key.Issuer] = key.IssuerKMSKey
		}
		if key.SecretKMSKey != "" {
			encryption[key.Secret] = key.SecretKMSKey
		}
		for _, replica := range key.Replicas {
			if r.action == "secretsmanager:PutSecretValue" && awssecrets.ARN(region, account, key.Name) == r.resource && replica.KMSKey != "" {
				ask("kms:Encrypt", replica.KMSKey, replica.Region)
				ask("kms:GenerateDataKey", replica.KMSKey, replica.Region)
			}
		}
	}
	for _, action := range implied[r.action] {
		if key := encryption[r.resource]; key != "" {
			ask(action, key, region)
		}
	}
	for _, former := range c.PreviousKMSKeys {
		if r.action == "secretsmanager:GetSecretValue" && !issuer {
			ask("kms:Decrypt", former, region)
		}
	}
	return all
}

// logsOf is the log group of a function, as its policy names it.
func (tpl template) logsOf(function string) string {
	for _, r := range tpl.Resources {
		isRevoke := strings.Contains(fmt.Sprint(r.Properties["Description"]), "evokes")
		if logging, ok := r.Properties["LoggingConfig"].(object); ok && isRevoke == (function == sandbox.RevokeFunction) {
			return tpl.resolve(object{"Fn::GetAtt": []any{logicalID(logging["LogGroup"]), "Arn"}})
		}
	}
	return "none"
}

// missing are the requests that no grant allows.
func missing(granted []grant, requests map[request]bool) map[request]bool {
	refused := map[request]bool{}
	for r := range requests {
		if !slices.ContainsFunc(granted, func(g grant) bool { return g.allows(r) }) {
			refused[r] = true
		}
	}
	return refused
}

// extra are the grants without which everything would be allowed all the same.
func extra(granted []grant, requests map[request]bool) map[grant]bool {
	needless := map[grant]bool{}
	for i, g := range granted {
		if len(missing(slices.Concat(granted[:i], granted[i+1:]), requests)) == len(missing(granted, requests)) {
			needless[g] = true
		}
	}
	return needless
}
