package stack_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// function is the function whose description begins so, and its environment.
func (t template) function(description string) (function object, environment map[string]any) {
	t.Helper()
	for _, f := range t.resources("AWS::Lambda::Function") {
		if strings.HasPrefix(properties(f)["Description"].(string), description) {
			return properties(f), properties(f)["Environment"].(object)["Variables"].(object)
		}
	}
	t.Fatalf("there is no function that %s", description)
	return nil, nil
}

func TestTheEnvironmentIsTheMostCautious(t *testing.T) {
	// Protects keys while an update has taken a tag off for a moment: what then holds is longer, never shorter, than the tag said.
	all := configured(t, "everything")
	_, rotate := all.function("Rotates")
	_, revoke := all.function("Revokes")
	wantRotate := map[string]any{"QUILT_REGISTRY_URL": "https://registry.example.com", "QUILT_CA_BUNDLE": "/var/task/ca.pem", "LOG_LEVEL": "DEBUG", "QUILT_KEY_EXPIRES_IN_DAYS": "120"}
	wantRevoke := map[string]any{"QUILT_REGISTRY_URL": "https://registry.example.com", "QUILT_CA_BUNDLE": "/var/task/ca.pem", "LOG_LEVEL": "DEBUG", "GRACE_PERIOD": "48h", "QUIET_PERIOD": "26h", "HOLD_LIMIT": "168h", "ORPHAN_AGE": "30m"}
	if !maps.Equal(rotate, wantRotate) || !maps.Equal(revoke, wantRevoke) {
		t.Errorf("the environments are\n%v\n%v, want\n%v\n%v", rotate, revoke, wantRotate, wantRevoke)
	}
	_, revoke = synth(t, parse(t, "{name: a, schedule: rate(30 days), holdLimit: 24h}", named("b"))).function("Revokes")
	if limit, set := revoke["HOLD_LIMIT"]; set {
		t.Errorf("one key has no hold limit, but the environment has %v", limit)
	}
}

func TestOneFunctionLeadsToTheOther(t *testing.T) {
	// Protects the command, which knows of a secret its rotate function alone: the tag of that one names the revoke function, and no other stack's.
	all := configured(t, "smallest")
	rotate, _ := all.function("Rotates")
	if want := `{"Key":"` + settings.TagRevokeFunction + `","Value":{"Ref":"KeyRotationRevoke`; !strings.Contains(text(rotate["Tags"]), want) {
		t.Errorf("the rotate function has the tags %s", text(rotate["Tags"]))
	}
}

func TestFunctionsAreWhatLambdaNeeds(t *testing.T) {
	// Protects the functions at run time: platform, time, logs, network, no concurrency of their own, no sweeps that are repeated.
	all := configured(t, "everything")
	for _, description := range []string{"Rotates", "Revokes"} {
		f, _ := all.function(description)
		if f["Runtime"] != "provided.al2023" || text(f["Architectures"]) != `["arm64"]` || f["Handler"] != "bootstrap" {
			t.Errorf("%s: the platform is %v %v %v", description, f["Runtime"], f["Architectures"], f["Handler"])
		}
		if _, reserved := f["ReservedConcurrentExecutions"]; reserved {
			t.Errorf("%s: concurrency is reserved", description)
		}
		if timeout := f["Timeout"].(float64); timeout < 60 || timeout > 300 {
			t.Errorf("%s: the time-out is %v s", description, timeout)
		}
		if logging := text(f["LoggingConfig"]); !strings.Contains(logging, `"LogFormat":"JSON"`) || !strings.Contains(logging, `"LogGroup":{"Ref":`) {
			t.Errorf("%s: the logs are %s", description, logging)
		}
		if vpc := text(f["VpcConfig"]); !strings.Contains(vpc, "subnet-0123456789abcdef0") || !strings.Contains(vpc, "GroupId") {
			t.Errorf("%s: the network is %s", description, vpc)
		}
	}
	all.has("AWS::Logs::LogGroup", object{"RetentionInDays": 30})
	all.has("AWS::Lambda::EventInvokeConfig", object{"MaximumRetryAttempts": 0})
	all.has("AWS::EC2::SecurityGroup", object{"SecurityGroupEgress": []any{object{"FromPort": 443, "ToPort": 443}}})
	adopted := configured(t, "adopted")
	adopted.count("AWS::EC2::SecurityGroup", 0)
	if f, _ := adopted.function("Rotates"); text(f["VpcConfig"]) != `{"SecurityGroupIds":["sg-0123456789abcdef0"],"SubnetIds":["subnet-0123456789abcdef0"]}` {
		t.Errorf("the given security group is not used: %s", text(f["VpcConfig"]))
	}
	// Lines with metrics have no level, and count as INFO: Lambda must never drop those.
	c := parse(t, named("a"))
	c.LogLevel = "ERROR"
	if f, _ := synth(t, c).function("Revokes"); !strings.Contains(text(f["LoggingConfig"]), `"ApplicationLogLevel":"INFO"`) {
		t.Errorf("Lambda drops metrics: %s", text(f["LoggingConfig"]))
	}
}

func TestThePortOfTheRegistryIsOpen(t *testing.T) {
	// Protects a registry at a port of its own: functions in a VPC reach it by the security group that the stack makes for them, and AWS beside it.
	for registry, want := range map[string][]float64{
		"https://registry.example.com": {443}, "https://registry.example.com:443": {443}, "https://registry.example.com:8443": {443, 8443}, "https://[2001:db8::1]:9443": {443, 9443},
	} {
		c := parse(t, named("a"))
		c.Registry, c.Network = registry, &config.Network{VPC: "vpc-01234567", Subnets: []string{"subnet-01234567"}}
		for _, group := range synth(t, c).resources("AWS::EC2::SecurityGroup") {
			var ports []float64
			for _, rule := range properties(group)["SecurityGroupEgress"].([]any) {
				if rule.(object)["FromPort"] != rule.(object)["ToPort"] {
					t.Errorf("%s: a range of ports is open: %s", registry, text(rule))
				}
				ports = append(ports, rule.(object)["FromPort"].(float64))
			}
			if !slices.Equal(ports, want) {
				t.Errorf("%s: the ports %v are open, want %v", registry, ports, want)
			}
		}
	}
}

// statements are those of all policies of the role of that name, and of the managed policies attached to it.
func (t template) statements(role string) (all []object) {
	t.Helper()
	for id, r := range t.resources("AWS::IAM::Role") {
		if !strings.HasPrefix(id, "KeyRotation"+role) {
			continue
		}
		inline, _ := properties(r)["Policies"].([]any)
		for _, policy := range inline {
			all = append(all, statementsOf(policy.(object), "PolicyDocument")...)
		}
		for _, policy := range t.resources("AWS::IAM::ManagedPolicy") {
			if strings.Contains(text(properties(policy)["Roles"]), id) {
				all = append(all, statementsOf(properties(policy), "PolicyDocument")...)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("the role %s may do nothing", role)
	}
	return all
}

func statementsOf(resource object, document string) (all []object) {
	for _, s := range resource[document].(object)["Statement"].([]any) {
		all = append(all, s.(object))
	}
	return all
}

func TestRolesMayDoWhatTheyMust(t *testing.T) {
	// Protects everything else in the account: each action of each role is one that is named here, on resources that are named.
	want := map[string]string{
		"RotateRole":         "logs:CreateLogStream logs:PutLogEvents secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue secretsmanager:UpdateSecretVersionStage",
		"RevokeRole":         "logs:CreateLogStream logs:PutLogEvents secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:UpdateSecretVersionStage",
		"SchedulerRole":      "lambda:InvokeFunction sqs:SendMessage",
		"RestartRole":        "ecs:UpdateService",
		"RestartStarterRole": "states:StartExecution",
	}
	all := synth(t, parse(t, "{name: a, schedule: rate(30 days), restart: [{cluster: c, service: s}]}"))
	for role, actions := range want {
		var got []string
		for _, s := range all.statements(role) {
			for _, action := range s["Action"].([]any) {
				got = append(got, action.(string))
			}
			if strings.Contains(text(s["Resource"]), "*") || s["Effect"] != "Allow" {
				t.Errorf("%s: %s", role, text(s))
			}
		}
		if fmt.Sprint(got) != "["+actions+"]" {
			t.Errorf("%s may %v, want [%s]", role, got, actions)
		}
	}
	if n := len(all.resources("AWS::IAM::Role")); n != len(want) {
		t.Errorf("there are %d roles", n)
	}
}

func TestTheSweepCannotMoveTheCurrentStage(t *testing.T) {
	// Protects promise one from any fault of the sweep: its role may write labels that begin with quilt- and no others.
	for _, name := range configurations {
		moves := 0
		for _, s := range configured(t, name).statements("RevokeRole") {
			if !strings.Contains(text(s["Action"]), "UpdateSecretVersionStage") {
				if strings.Contains(text(s["Action"]), "Put") && strings.Contains(text(s["Action"]), "secretsmanager") {
					t.Errorf("%s: the sweep may write values: %s", name, text(s))
				}
				continue
			}
			moves++
			if got, want := text(s["Condition"]), `{"ForAnyValue:StringLike":{"secretsmanager:VersionStage":["quilt-*"]}}`; got != want || text(s["Action"]) != `["secretsmanager:UpdateSecretVersionStage"]` {
				t.Errorf("%s: labels are moved under the condition %s, want %s", name, got, want)
			}
		}
		if moves != 1 {
			t.Errorf("%s: %d statements let labels be moved", name, moves)
		}
	}
}

func TestARetiredKeyKeepsTheSweepsGrantsAlone(t *testing.T) {
	// Protects a secret that is rotated no more: no role may write its value, or use its issuer to make keys; the last sweep may still revoke the keys it replaced.
	const issuer = "arn:aws:secretsmanager:us-east-1:123456789012:secret:quilt/issuer-a1b2c3"
	c := parse(t, named("prod/stays"), "{name: prod/goes, schedule: rate(30 days), issuer: "+issuer+"}")
	c.Retired, c.Keys = c.Keys[1:], c.Keys[:1]
	all := synth(t, c)
	goes := `"Ref":"` + config.KeyID("prod/goes")
	if rotate := text(all.statements("RotateRole")); strings.Contains(rotate, goes) || strings.Contains(rotate, issuer) || !strings.Contains(rotate, config.KeyID("prod/stays")) {
		t.Errorf("the rotate role may %s", rotate)
	}
	if revoke := text(all.statements("RevokeRole")); strings.Count(revoke, goes) != 2 || !strings.Contains(revoke, issuer) {
		t.Errorf("the revoke role may %s", revoke)
	}
	for _, rule := range all.resources("AWS::Events::Rule") {
		if strings.Contains(text(rule), goes) {
			t.Errorf("a rule tells of rotations that are none: %s", text(rule))
		}
	}
	c.Keys, c.Retired = nil, append(c.Retired, c.Keys...)
	for id, policy := range synth(t, c).resources("AWS::IAM::ManagedPolicy") {
		if !strings.Contains(id, "Revoke") || len(statementsOf(properties(policy), "PolicyDocument")) == 0 {
			t.Errorf("with retired keys alone, there is %s", text(policy))
		}
	}
}

func TestFormerEncryptionKeysStillDecrypt(t *testing.T) {
	// Protects superseded keys from a change of the KMS key: their versions stay encrypted with the former one, and the sweep must read them to revoke their keys.
	const former = "arn:aws:kms:us-east-1:123456789012:key/99999999-2222-3333-4444-555555555555"
	all := configured(t, "everything")
	for _, role := range []string{"RotateRole", "RevokeRole"} {
		secrets := 0
		for _, s := range all.statements(role) {
			if !strings.Contains(text(s["Resource"]), former) {
				continue
			}
			if text(s["Action"]) != `["kms:Decrypt"]` {
				t.Errorf("%s may do more with a former key than decrypt: %s", role, text(s))
			}
			secrets += strings.Count(text(s["Condition"]), `"Ref":"Key`)
		}
		if want := map[string]int{"RotateRole": 2, "RevokeRole": 3}[role]; secrets != want {
			t.Errorf("%s may decrypt %d secrets with the former key, want %d", role, secrets, want)
		}
	}
}

func TestReplicasAreEncryptedByWhoPutsTheValue(t *testing.T) {
	// Protects consumers in other regions: Secrets Manager encrypts a new value for a replica as the function that put it, with the replica's own key.
	const key = "arn:aws:kms:us-west-2:123456789012:key/66666666-7777-8888-9999-000000000000"
	all, found := configured(t, "everything"), 0
	for _, s := range all.statements("RotateRole") {
		if s["Resource"] != key {
			continue
		}
		found++
		condition := text(s["Condition"])
		if text(s["Action"]) != `["kms:Encrypt","kms:GenerateDataKey"]` || !strings.Contains(condition, `:secretsmanager:*:123456789012:secret:staging/pipeline-??????`) ||
			!strings.Contains(condition, `"kms:ViaService":"secretsmanager.*.amazonaws.com"`) {
			t.Errorf("the replica's key may be used so: %s", text(s))
		}
	}
	if found != 1 || strings.Contains(text(all.statements("RevokeRole")), key) {
		t.Errorf("%d statements let the rotation use the replica's key, or the sweep may use it", found)
	}
}

func TestEncryptionKeysAreUsedThroughSecretsManagerAlone(t *testing.T) {
	// Protects what else a KMS key encrypts: it decrypts these secrets, for these roles, and nothing beside.
	for _, name := range []string{"everything", "adopted"} {
		all, found := configured(t, name), 0
		for _, role := range []string{"RotateRole", "RevokeRole"} {
			for _, s := range all.statements(role) {
				if !strings.Contains(text(s["Action"]), "kms:") {
					continue
				}
				found++
				if condition := text(s["Condition"]); !strings.Contains(condition, `"kms:ViaService":"secretsmanager.`) || !strings.Contains(condition, `"kms:EncryptionContext:SecretARN":[`) ||
					strings.Contains(condition, `SecretARN":["*"`) {
					t.Errorf("%s: %s uses a KMS key under the condition %s", name, role, condition)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no role may use a KMS key", name)
		}
	}
	all := configured(t, "everything")
	all.hasResource("AWS::KMS::Key", object{"Properties": object{"EnableKeyRotation": true, "Description": "Quilt key rotation: encrypts the secrets"}})
}

func TestEveryRoleIsBounded(t *testing.T) {
	// Protects accounts whose rule is that no role is without the boundary.
	for id, role := range configured(t, "everything").resources("AWS::IAM::Role") {
		if properties(role)["PermissionsBoundary"] != "arn:aws:iam::123456789012:policy/boundary" {
			t.Errorf("%s has no permissions boundary", id)
		}
	}
}
