package stack_test

import (
	"strings"
	"testing"
)

func TestOneScheduleStartsTheSweepsOfAllSecrets(t *testing.T) {
	all := configured(t, "everything")
	all.count("AWS::Scheduler::Schedule", 1)
	all.count("AWS::Scheduler::ScheduleGroup", 0)
	all.has("AWS::Scheduler::Schedule", object{
		"ScheduleExpression": "rate(30 minutes)", "FlexibleTimeWindow": object{"Mode": "FLEXIBLE",
			"MaximumWindowInMinutes": 10},
		"Target": object{"Input": `{"time":"<aws.scheduler.scheduled-time>"}`,
			"RetryPolicy": object{"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 900}},
	})
	for id, schedule := range all.resources("AWS::Scheduler::Schedule") {
		target, name := properties(schedule)["Target"].(object), properties(schedule)["Name"]
		if target["DeadLetterConfig"] == nil || properties(schedule)["GroupName"] != nil {
			t.Errorf("%s has no dead-letter queue, or is not in the default group: %s", id, text(schedule))
		}
		if machine := text(target["Arn"]); !strings.Contains(machine, `"Ref":"KeyRotationSweepMachine`) {
			t.Errorf("%s starts %s", id, machine)
		}
		if depends := text(schedule["DependsOn"]); !strings.Contains(depends, "KeyRotationRunSweeps") ||
			!strings.Contains(depends, "KeyRotationRevokeSecrets") {
			t.Errorf("%s may start a run before the state machine and the function have their permissions: %s", id,
				depends)
		}
		if _, tags := all.tagsOf("Rotates"); tags["quilt-rotate:schedule"] != name {
			t.Errorf("no tag of the rotate function names the schedule %v: %v", name, tags)
		}
	}
}

// tagsOf returns the tags of the function whose description contains this word.
func (t template) tagsOf(word string) (id string, tags map[string]any) {
	t.Helper()
	for id, f := range t.resources("AWS::Lambda::Function") {
		if description, _ := properties(f)["Description"].(string); strings.Contains(description, word) {
			tags = map[string]any{}
			for _, tag := range properties(f)["Tags"].([]any) {
				tags[tag.(object)["Key"].(string)] = tag.(object)["Value"]
			}
			return id, tags
		}
	}
	t.Fatalf("no function has a description that contains %s", word)
	return "", nil
}

func TestANameOfAScheduleIsAtMost64CharactersLong(t *testing.T) {
	c := parse(t, named("a"))
	c.Stack = strings.Repeat("long-name-", 12)
	for _, schedule := range synth(t, c).resources("AWS::Scheduler::Schedule") {
		if name := properties(schedule)["Name"].(string); len(name) > 64 || !strings.HasSuffix(name, "-sweeps") {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
}

func TestEventsThatNeedAPersonAreSentToTheTopic(t *testing.T) {
	all := configured(t, "everything")
	all.has("AWS::Events::Rule", object{
		"EventPattern": object{"source": []any{"quilt-rotate"}, "detail": object{"needsPerson": []any{true},
			"registry": []any{"https://registry.example.com"}}},
		"Targets": []any{object{"InputTransformer": object{
			"InputPathsMap": object{"detail-type": "$.detail-type", "detail-message": "$.detail.message"},
			"InputTemplate": `"<detail-type>: <detail-message>"`,
		}}},
	})
	for id, rule := range all.resources("AWS::Events::Rule") {
		for _, target := range properties(rule)["Targets"].([]any) {
			if target.(object)["DeadLetterConfig"] == nil {
				t.Errorf("%s has no dead-letter queue", id)
			}
		}
	}
}

func TestAStackWithoutSecretsHasSweeps(t *testing.T) {
	// Other stacks and tools may create all secrets.
	c := parse(t, named("a"))
	c.Keys = nil
	all := synth(t, c)
	all.count("AWS::Scheduler::Schedule", 1)
	all.count("AWS::StepFunctions::StateMachine", 1)
}
