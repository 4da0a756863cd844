package stack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// function returns the function whose description begins with this text, and its environment.
func (t template) function(description string) (function object, environment map[string]any) {
	t.Helper()
	for _, f := range t.resources("AWS::Lambda::Function") {
		if strings.HasPrefix(properties(f)["Description"].(string), description) {
			return properties(f), properties(f)["Environment"].(object)["Variables"].(object)
		}
	}
	t.Fatalf("no function has a description that begins with %q", description)
	return nil, nil
}

func TestTheEnvironmentHasTheLongestPeriods(t *testing.T) {
	// An update can remove the tags of a secret for a short time. Its periods must not become
	// shorter then.
	all := configured(t, "everything")
	_, rotate := all.function("Rotates")
	_, revoke := all.function("Revokes")
	wantRotate := map[string]any{"QUILT_REGISTRY_URL": "https://registry.example.com",
		"QUILT_CA_BUNDLE": "/var/task/ca.pem", "LOG_LEVEL": "DEBUG", "QUILT_KEY_EXPIRES_IN_DAYS": "120"}
	wantRevoke := map[string]any{"QUILT_REGISTRY_URL": "https://registry.example.com",
		"QUILT_CA_BUNDLE": "/var/task/ca.pem", "LOG_LEVEL": "DEBUG", "GRACE_PERIOD": "48h", "QUIET_PERIOD": "26h",
		"ORPHAN_AGE": "30m"}
	if !maps.Equal(rotate, wantRotate) || !maps.Equal(revoke, wantRevoke) {
		t.Errorf("the environments are\n%v\n%v, want\n%v\n%v", rotate, revoke, wantRotate, wantRevoke)
	}
}

func TestShortPeriodsOfOneKeyAreNotThoseOfOtherSecrets(t *testing.T) {
	// A short grace period of a key in the file must not apply to secrets of other tools without
	// tags.
	_, revoke := synth(t, parse(t, "{name: prod/short, schedule: rate(30 days), grace: 2h, quiet: 1h}")).function(
		"Revokes")
	if revoke["GRACE_PERIOD"] != "24h" || revoke["QUIET_PERIOD"] != "25h" {
		t.Errorf("the environment is %v, want the defaults, 24h and 25h", revoke)
	}
}

func TestATagOfTheRotateFunctionNamesTheRevokeFunction(t *testing.T) {
	// The operators' command finds the revoke function of a secret by this tag.
	all := configured(t, "smallest")
	rotate, _ := all.function("Rotates")
	if want := `{"Key":"` + settings.TagRevokeFunction + `","Value":{"Ref":"KeyRotationRevoke`; !strings.Contains(
		text(rotate["Tags"]), want) {
		t.Errorf("the rotate function has the tags %s", text(rotate["Tags"]))
	}
}

func TestPropertiesOfTheFunctions(t *testing.T) {
	// Logs are the record of revocations. They are kept when the stack is deleted, but not when its
	// creation fails.
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
			t.Errorf("%s: the timeout is %v s", description, timeout)
		}
		if logging := text(f["LoggingConfig"]); !strings.Contains(logging, `"LogFormat":"JSON"`) ||
			!strings.Contains(logging, `"LogGroup":{"Ref":`) {
			t.Errorf("%s: the logs are %s", description, logging)
		}
		if vpc := text(f["VpcConfig"]); !strings.Contains(vpc, "subnet-0123456789abcdef0") ||
			!strings.Contains(vpc, "GroupId") {
			t.Errorf("%s: the network is %s", description, vpc)
		}
	}
	all.hasResource("AWS::Logs::LogGroup", object{"Properties": object{"RetentionInDays": 30},
		"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"})
	adopted := configured(t, "adopted")
	adopted.count("AWS::EC2::SecurityGroup", 0)
	if f, _ := adopted.function("Rotates"); text(
		f["VpcConfig"]) != `{"SecurityGroupIds":["sg-0123456789abcdef0"],"SubnetIds":["subnet-0123456789abcdef0"]}` {
		t.Errorf("the given security group is not used: %s", text(f["VpcConfig"]))
	}
	// Metrics are log lines without a level, which Lambda treats as INFO. Lambda must not drop
	// them.
	c := parse(t, named("a"))
	c.LogLevel = "ERROR"
	if f, _ := synth(t, c).function("Revokes"); !strings.Contains(text(f["LoggingConfig"]),
		`"ApplicationLogLevel":"INFO"`) {
		t.Errorf("Lambda drops metrics: %s", text(f["LoggingConfig"]))
	}
}

func TestTheSecurityGroupOpensThePortsThatAreNeeded(t *testing.T) {
	for registry, want := range map[string]string{
		"https://registry.example.com": "tcp443 udp53 tcp53", "https://registry.example.com:443": "tcp443 udp53 tcp53",
		"https://registry.example.com:8443": "tcp443 tcp8443 udp53 tcp53",
		"https://[2001:db8::1]:9443":        "tcp443 tcp9443 udp53 tcp53",
	} {
		c := parse(t, named("a"))
		c.Registry, c.Network = registry, &config.Network{VPC: "vpc-01234567", Subnets: []string{"subnet-01234567"}}
		for _, group := range synth(t, c).resources("AWS::EC2::SecurityGroup") {
			var ports []string
			for _, rule := range properties(group)["SecurityGroupEgress"].([]any) {
				r := rule.(object)
				if r["FromPort"] != r["ToPort"] {
					t.Errorf("%s: a range of ports is open: %s", registry, text(rule))
				}
				ports = append(ports, fmt.Sprint(r["IpProtocol"], r["FromPort"]))
			}
			if got := strings.Join(ports, " "); got != want {
				t.Errorf("%s: the ports %s are open, want %s", registry, got, want)
			}
		}
	}
}

func TestFunctionsUseTheProxyAndIPv6(t *testing.T) {
	c := parse(t, named("a"))
	c.Network = &config.Network{VPC: "vpc-01234567", Subnets: []string{"subnet-01234567"},
		Proxy: "http://proxy.example.com:3128", NoProxy: []string{".example.com", "10.0.0.0/8"}, IPv6: true}
	all := synth(t, c)
	for _, description := range []string{"Rotates", "Revokes"} {
		f, environment := all.function(description)
		if environment["HTTPS_PROXY"] != "http://proxy.example.com:3128" ||
			environment["NO_PROXY"] != ".example.com,10.0.0.0/8" {
			t.Errorf("%s: the environment is %v", description, environment)
		}
		if vpc := f["VpcConfig"].(object); vpc["Ipv6AllowedForDualStack"] != true {
			t.Errorf("%s: the network is %v", description, vpc)
		}
	}
	for _, group := range all.resources("AWS::EC2::SecurityGroup") {
		rules := text(properties(group)["SecurityGroupEgress"])
		for _, port := range []string{"443", "3128", "53"} {
			for _, to := range []string{`"CidrIp":"0.0.0.0/0"`, `"CidrIpv6":"::/0"`} {
				if !regexp.MustCompile(regexp.QuoteMeta(to) + `[^{}]*"ToPort":` + port + `\b`).MatchString(rules) {
					t.Errorf("no rule opens %s to %s: %s", port, to, rules)
				}
			}
		}
	}
}

// statements returns the statements of all policies of a role, inline and managed.
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
		for _, kind := range []string{"AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"} {
			for _, policy := range t.resources(kind) {
				if strings.Contains(text(properties(policy)["Roles"]), id) {
					all = append(all, statementsOf(properties(policy), "PolicyDocument")...)
				}
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("the role %s has no statements", role)
	}
	return all
}

func statementsOf(resource object, document string) (all []object) {
	for _, s := range resource[document].(object)["Statement"].([]any) {
		all = append(all, s.(object))
	}
	return all
}

func TestActionsOfTheOtherRoles(t *testing.T) {
	// Package proof checks the roles of the functions and of the sweeps.
	// TestTheEventRulePublishesWithARole checks the role of the event rule.
	want := map[string]string{"SchedulerRole": "states:StartExecution sqs:SendMessage",
		"RestartRole": "ecs:UpdateService", "RestartStarterRole": "states:StartExecution"}
	all := synth(t, parse(t, "{name: a, schedule: rate(30 days), restart: [{cluster: c, service: s}]}"))
	for role, actions := range want {
		var got []string
		for _, s := range all.statements(role) {
			got = append(got, actionsOf(s)...)
			if strings.Contains(text(s["Resource"]), "*") || s["Effect"] != "Allow" {
				t.Errorf("%s: %s", role, text(s))
			}
		}
		if strings.Join(got, " ") != actions {
			t.Errorf("%s may %v, want [%s]", role, got, actions)
		}
	}
	if n := len(all.resources("AWS::IAM::Role")); n != len(want)+4 {
		t.Errorf("there are %d roles", n)
	}
}

func actionsOf(statement object) (actions []string) {
	list, many := statement["Action"].([]any)
	if !many {
		list = []any{statement["Action"]}
	}
	for _, action := range list {
		actions = append(actions, action.(string))
	}
	return actions
}

func TestPoliciesDoNotGrowWithSecrets(t *testing.T) {
	one, many := synth(t, parse(t, named("a"))), synth(t, parse(t, named("a"), named("b"), named("c")))
	for _, role := range []string{"RotateRole", "RevokeRole"} {
		if alone, all := text(one.statements(role)), text(many.statements(role)); alone != all {
			t.Errorf("%s: with one secret %s, with three %s", role, alone, all)
		}
	}
}

func TestPoliciesUseConditionKeysOfTheirActions(t *testing.T) {
	// IAM accepts any condition key. A statement allows nothing if the service does not set its key
	// for the action.
	var reference struct{ Actions map[string][]string }
	content, err := os.ReadFile("testdata/secretsmanager-actions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &reference); err != nil {
		t.Fatal(err)
	}
	all, checked := configured(t, "everything"), 0
	check := func(policy string, statement object) {
		for _, action := range actionsOf(statement) {
			name, ours := strings.CutPrefix(action, "secretsmanager:")
			keys, known := reference.Actions[name]
			if ours && !known {
				t.Errorf("%s: %s is not an action", policy, action)
			}
			conditions, _ := statement["Condition"].(object)
			for _, condition := range conditions {
				for key := range condition.(object) {
					checked++
					if ours && !slices.Contains(keys, regexp.MustCompile(`^aws:ResourceTag/.*`).ReplaceAllString(key,
						"aws:ResourceTag/$${TagKey}")) {
						t.Errorf("%s: the action %s does not have the condition key %s", policy, action, key)
					}
				}
			}
		}
	}
	for _, kind := range []string{"AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"} {
		for id, policy := range all.resources(kind) {
			for _, statement := range statementsOf(properties(policy), "PolicyDocument") {
				check(id, statement)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d condition keys were checked", checked)
	}
}

func TestEveryRoleHasThePermissionsBoundary(t *testing.T) {
	for id, role := range configured(t, "everything").resources("AWS::IAM::Role") {
		if properties(role)["PermissionsBoundary"] != "arn:aws:iam::123456789012:policy/boundary" {
			t.Errorf("%s has no permissions boundary", id)
		}
	}
}
