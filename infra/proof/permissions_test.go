package proof_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// Actions that Lambda uses with the function's role. The function does not ask for them, so they
// are not seen on the wire.
var (
	// Sends the logs (Lambda developer guide, "Defining Lambda function permissions with an
	// execution role").
	forLogs = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	// Attaches a function to a VPC (Lambda developer guide, "Giving Lambda functions access to
	// resources in an Amazon VPC").
	forNetwork = []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	}
)

// implied is what Secrets Manager asks of KMS on behalf of the caller if a customer-managed key
// encrypts the secret (Secrets Manager API reference, required permissions of each operation). It
// passes the secret's ARN as encryption context (user guide, "Secret encryption and decryption").
var implied = map[string][]string{
	"secretsmanager:GetSecretValue": {"kms:Decrypt"},
	"secretsmanager:PutSecretValue": {"kms:Decrypt", "kms:GenerateDataKey"},
}

func TestThePoliciesGrantExactlyTheRequestsOfTheFunctions(t *testing.T) {
	t.Parallel()
	made := everything(t)
	w := newWorld(t)
	w.keepIssuer("prod/issuer")
	pipeline, little := w.begin(&made.Keys[0]), w.begin(&made.Keys[1])
	pipeline.live()
	pipeline.mishaps()
	little.live()
	w.retire(&made.Retired[0])
	encryption := made.encryption()
	encryption[arnOf("prod/issuer")], encryption[arnOf("prod/little")] = kmsKey(1), kmsKey(2)
	requests := everyRequest(made, w.seen, encryption)
	granted := made.grants(t)
	lacking, needless := missing(granted, requests), extra(granted, requests)
	if len(lacking) > 0 {
		t.Errorf("the policies do not grant requests of the functions:\n  %s", strings.Join(sorted(lacking), "\n  "))
	}
	if len(needless) > 0 {
		t.Errorf("the policies grant what no function was seen to ask for:\n  %s", strings.Join(sorted(needless),
			"\n  "))
	}
	checkRefusals(t, granted, requests)
	t.Logf("%d rotations, %d sweeps: %d requests of AWS; %d grants", w.rotated, w.sweeps, w.calls, len(granted))
}

// checkRefusals asks again for what was asked of our secrets, as if they were somebody else's.
func checkRefusals(t *testing.T, granted []grant, requests map[request]bool) {
	t.Helper()
	refused := func(why string, r request) {
		t.Helper()
		if slices.ContainsFunc(granted, func(g grant) bool { return g.allows(r) }) {
			t.Errorf("%s: the policies allow %s", why, r)
		}
	}
	for r := range requests {
		if r.rotator == "" && r.registry == "" {
			continue
		}
		r.rotator, r.registry = sandboxtest.FunctionARN("another-rotator"), ""
		refused("a secret of another rotator", r)
		r.registry = "https://another.example.com"
		refused("a secret of another rotator and registry", r)
		r.rotator, r.registry = "", ""
		refused("a secret without rotation", r)
		r.registry = registry
		if r.function == sandbox.RotateFunction {
			refused("a secret that has only our tag", r)
		}
		if r.function == sandbox.RevokeFunction && r.stage != "" {
			for _, r.stage = range []string{vault.Current, vault.Pending, "AWSPREVIOUS", "prod"} {
				refused("a label that is not ours", r)
			}
		}
	}
	refused("a KMS key for another service", request{sandbox.RotateFunction, "kms:Decrypt", kmsKey(1),
		conditions{via: "s3." + region + ".amazonaws.com"}})
	refused("a KMS key of another region", request{sandbox.RevokeFunction, "kms:Decrypt",
		strings.Replace(kmsKey(1), region, "eu-west-1", 1),
		conditions{via: "secretsmanager." + region + ".amazonaws.com", secret: arnOf("prod/pipeline")}})
}

func kmsKey(n int) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%08d-2222-3333-4444-555555555555", region, account, n)
}

// everyRequest adds to the requests that were seen those that services make on behalf of the
// functions.
func everyRequest(made synthesis, seen map[request]bool, encryption map[string]string) map[request]bool {
	all := map[request]bool{}
	for r := range seen {
		all[r] = true
		for _, asked := range impliedBy(r, made.Config, encryption) {
			all[asked] = true
		}
	}
	for _, function := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
		for _, action := range forLogs {
			all[request{function: function, action: action, resource: made.logsOf(function)}] = true
		}
		for _, action := range forNetwork {
			if made.Network != nil {
				all[request{function: function, action: action, resource: "*"}] = true
			}
		}
	}
	return all
}

// impliedBy are the requests to KMS that one to Secrets Manager causes: with the key of the secret
// and, for a new value, with those of its replicas (Secrets Manager API reference,
// ReplicateSecretToRegions).
func impliedBy(r request, c *config.Config, encryption map[string]string) (all []request) {
	ask := func(action, key, inRegion string) {
		all = append(all, request{r.function, action, key, conditions{via: "secretsmanager." + inRegion +
			".amazonaws.com", secret: strings.Replace(r.resource, region, inRegion, 1)}})
	}
	for _, key := range slices.Concat(c.Keys, c.Retired) {
		for _, replica := range key.Replicas {
			if r.action == "secretsmanager:PutSecretValue" && arnOf(key.Name) == r.resource {
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
	return all
}

// logsOf is the log group of a function, as its policy names it.
func (tpl template) logsOf(function string) string {
	for _, r := range tpl.Resources {
		if r.Type == "AWS::Lambda::Function" && nameOf(r.Properties) == function {
			return tpl.resolve(object{"Fn::GetAtt": []any{logicalID(r.Properties["LoggingConfig"].(object)["LogGroup"]),
				"Arn"}})
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

// extra are the grants without which every request is still allowed.
func extra(granted []grant, requests map[request]bool) map[grant]bool {
	needless := map[grant]bool{}
	for i, g := range granted {
		if len(missing(slices.Concat(granted[:i], granted[i+1:]), requests)) == len(missing(granted, requests)) {
			needless[g] = true
		}
	}
	return needless
}
