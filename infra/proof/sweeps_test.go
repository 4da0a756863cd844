package proof_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// A call is what the state machine asks of AWS, with the condition keys that AWS fills in.
type call struct {
	action, resource string
	keys             map[string]string
}

// callsOf are the calls that a kind of task makes, or that its service makes with the role.
// RotateSecret needs a caller that may call the rotation function (Secrets Manager API reference);
// a Distributed Map starts, describes and stops its children (Step Functions developer guide, "IAM
// policies for using Distributed Map states").
func callsOf(task, rotate, revoke, machine, execution string) []call {
	secret := awssecrets.ARN(region, account, "prod/pipeline")
	served := func(more map[string]string) map[string]string {
		more["secretsmanager:resource/AllowRotationLambdaArn"] = rotate
		return more
	}
	return map[string][]call{
		"lambda:invoke": {{"lambda:InvokeFunction", revoke, nil}},
		"events:putEvents": {{"events:PutEvents", "arn:aws:events:" + region + ":" + account +
			":event-bus/default", map[string]string{"events:source": "quilt-rotate"}}},
		"states:startExecution": {{"states:StartExecution", machine, nil}},
		"DISTRIBUTED": {{"states:StartExecution", machine, nil}, {"states:DescribeExecution", execution, nil},
			{"states:StopExecution", execution, nil}},
		"aws-sdk:secretsmanager:rotateSecret": {
			{"secretsmanager:RotateSecret", secret,
				served(map[string]string{"secretsmanager:ModifyRotationRules": "false"})},
			{"lambda:InvokeFunction", rotate, nil},
		},
		"aws-sdk:secretsmanager:updateSecretVersionStage": {
			{"secretsmanager:UpdateSecretVersionStage", secret,
				served(map[string]string{"secretsmanager:VersionStage": "AWSPENDING"})},
		},
	}[task]
}

// tasks are the kinds of tasks in a definition.
func tasks(definition any) (all []string) {
	switch v := definition.(type) {
	case []any:
		for _, each := range v {
			all = append(all, tasks(each)...)
		}
	case object:
		if resource, ok := v["Resource"].(string); ok {
			_, task, _ := strings.Cut(resource, ":states:::")
			all = append(all, task)
		}
		if v["Mode"] == "DISTRIBUTED" {
			all = append(all, "DISTRIBUTED")
		}
		for _, each := range v {
			all = append(all, tasks(each)...)
		}
	}
	return all
}

// permits reports whether a statement allows a call.
func (tpl template) permits(statement object, c call) bool {
	resource := func(r any) bool { return matches(tpl.resolve(r), c.resource) }
	if !slices.Contains(asList(statement["Action"]), any(c.action)) ||
		!slices.ContainsFunc(asList(statement["Resource"]), resource) {
		return false
	}
	conditions, _ := statement["Condition"].(object)
	for operator, keys := range conditions {
		if !slices.Contains([]string{"StringEquals", "Bool", "ForAnyValue:StringEquals"}, operator) {
			panic("this test does not know the operator " + operator)
		}
		for key, values := range keys.(object) {
			value, present := c.keys[key]
			if !present || !slices.ContainsFunc(asList(values), func(v any) bool { return tpl.resolve(v) == value }) {
				return false
			}
		}
	}
	return true
}

func TestTheStateMachineHasExactlyThePermissionsOfItsTasks(t *testing.T) {
	t.Parallel()
	tpl := everything(t).template
	id := tpl.sweepMachine(t)
	properties := tpl.Resources[id].Properties
	arn := func(name string) string {
		return tpl.resolve(object{"Fn::GetAtt": []any{tpl.functions(t)[name], "Arn"}})
	}
	machine := tpl.resolve(object{"Ref": id})
	execution := "arn:aws:states:" + region + ":" + account + ":execution:" +
		tpl.resolve(object{"Fn::GetAtt": []any{id, "Name"}}) + ":any"

	var statements []object
	role := logicalID(properties["RoleArn"])
	for _, r := range tpl.Resources {
		attached := slices.ContainsFunc(asList(r.Properties["Roles"]),
			func(ref any) bool { return logicalID(ref) == role })
		if attached {
			for _, s := range asList(r.Properties["PolicyDocument"].(object)["Statement"]) {
				statements = append(statements, s.(object))
			}
		}
	}
	if inline := asList(tpl.Resources[role].Properties["Policies"]); len(inline) > 0 || len(statements) == 0 {
		t.Fatalf("the role has %d statements, and other policies: %v", len(statements), inline)
	}
	var definition any
	must(t, json.Unmarshal([]byte(properties["DefinitionString"].(string)), &definition))

	used := map[string]bool{}
	for _, task := range tasks(definition) {
		calls := callsOf(task, arn("rotate"), arn("revoke"), machine, execution)
		if len(calls) == 0 {
			t.Errorf("this test does not know what the task %s calls", task)
		}
		for _, c := range calls {
			i := slices.IndexFunc(statements, func(s object) bool { return tpl.permits(s, c) })
			if i < 0 {
				t.Errorf("%s: the role may not call %s on %s", task, c.action, c.resource)
				continue
			}
			used[fmt.Sprint(statements[i]["Sid"], " ", c.action)] = true
		}
	}
	for _, s := range statements {
		for _, action := range asList(s["Action"]) {
			if !used[fmt.Sprint(s["Sid"], " ", action)] {
				t.Errorf("no task needs %s of the statement %s", action, s["Sid"])
			}
		}
	}
	secret, events := awssecrets.ARN(region, account, "prod/pipeline"), "arn:aws:events:"+region+":"+account+
		":event-bus/default"
	const rotator, rules, stage = "secretsmanager:resource/AllowRotationLambdaArn",
		"secretsmanager:ModifyRotationRules", "secretsmanager:VersionStage"
	for what, c := range map[string]call{
		"rotate a secret of another rotation function": {"secretsmanager:RotateSecret", secret,
			map[string]string{rotator: arn("rotate") + "-of-another-team", rules: "false"}},
		"change the rules of a rotation": {"secretsmanager:RotateSecret", secret,
			map[string]string{rotator: arn("rotate"), rules: "true"}},
		"rotate a secret whose rotation is off": {"secretsmanager:RotateSecret", secret,
			map[string]string{rules: "false"}},
		"move AWSCURRENT": {"secretsmanager:UpdateSecretVersionStage", secret,
			map[string]string{rotator: arn("rotate"), stage: "AWSCURRENT"}},
		"read a value": {"secretsmanager:GetSecretValue", secret,
			map[string]string{rotator: arn("rotate")}},
		"put events of another source": {"events:PutEvents", events,
			map[string]string{"events:source": "com.example"}},
		"start another state machine": {"states:StartExecution", machine + "-of-another-team", nil},
		"call another function": {"lambda:InvokeFunction", arn("revoke") + "-of-another-team",
			nil},
	} {
		if slices.ContainsFunc(statements, func(s object) bool { return tpl.permits(s, c) }) {
			t.Errorf("the role may %s", what)
		}
	}
}
