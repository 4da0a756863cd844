package proof_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// template is a synthesized template.
type template struct {
	Resources map[string]struct {
		Type       string
		Properties map[string]any
	}
	Outputs map[string]struct{ Value any }
}

type object = map[string]any

// A grant is what one statement of a function's policies allows, for one action on one resource. An action on staging labels is granted once for each pattern.
type grant struct {
	function, action, resource string
	stage                      string // pattern of the staging labels; "": not asked
	via, secret                string // of KMS: the service that must ask, and the secret that it must ask for; "": not asked
}

func (g grant) String() string {
	text := fmt.Sprintf("%s: %s on %s", g.function, g.action, g.resource)
	for what, value := range map[string]string{"label": g.stage, "secret": g.secret} {
		if value != "" {
			text += fmt.Sprintf(" (%s %s)", what, value)
		}
	}
	return text
}

// A request is what a function was seen to ask of AWS, or what AWS asks in its name.
type request struct {
	function, action, resource string
	stage                      string
	via, secret                string
}

func (r request) String() string { return grant(r).String() }

// allows tells whether IAM would let the request pass, for the conditions that the policies have.
func (g grant) allows(r request) bool {
	fits := g.stage == "" || r.stage != "" && matches(g.stage, r.stage)
	return g.function == r.function && g.action == r.action && g.resource == r.resource && fits &&
		(g.via == "" || matches(g.via, r.via)) && (g.secret == "" || matches(g.secret, r.secret))
}

func matches(pattern, text string) bool {
	ok, err := path.Match(pattern, text) // as StringLike, as long as no star has to stand for a /, and there is no [
	return ok && err == nil
}

// functions are the logical ids of the two functions, found by who calls them.
func (tpl template) functions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, r := range tpl.Resources {
		switch r.Type {
		case "AWS::SecretsManager::RotationSchedule":
			found["rotate"] = logicalID(r.Properties["RotationLambdaARN"])
		case "AWS::Scheduler::Schedule":
			found["revoke"] = logicalID(r.Properties["Target"].(object)["Arn"])
		}
	}
	if len(found) != 2 || found["rotate"] == found["revoke"] {
		t.Fatalf("the template has not two functions that are called: %v", found)
	}
	return found
}

// grants are everything that the policies of the two functions' roles allow, each once: two policies may name one issuer.
func (tpl template) grants(t *testing.T) []grant {
	t.Helper()
	var all []grant
	for function, id := range tpl.functions(t) {
		role := logicalID(tpl.Resources[id].Properties["Role"])
		properties := tpl.Resources[role].Properties
		if managed, any := properties["ManagedPolicyArns"]; any {
			t.Errorf("the role of %s has policies that are not of the template: %v", function, managed)
		}
		for _, inline := range asList(properties["Policies"]) {
			all = append(all, tpl.grantsOf(t, function, inline.(object)["PolicyDocument"])...)
		}
		for _, r := range tpl.Resources {
			attached := slices.ContainsFunc(asList(r.Properties["Roles"]), func(ref any) bool { return logicalID(ref) == role })
			if attached && (r.Type == "AWS::IAM::ManagedPolicy" || r.Type == "AWS::IAM::Policy") {
				all = append(all, tpl.grantsOf(t, function, r.Properties["PolicyDocument"])...)
			}
		}
	}
	each := map[grant]bool{}
	return slices.DeleteFunc(all, func(g grant) bool {
		again := each[g]
		each[g] = true
		return again
	})
}

func (tpl template) grantsOf(t *testing.T, function string, document any) []grant {
	t.Helper()
	var all []grant
	for _, s := range asList(document.(object)["Statement"]) {
		statement := s.(object)
		for name := range statement {
			if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "Condition"}, name) || statement["Effect"] != "Allow" {
				t.Fatalf("a statement of %s is of a kind that this test does not understand: %v", function, statement)
			}
		}
		for _, action := range asList(statement["Action"]) {
			for _, resource := range asList(statement["Resource"]) {
				g := grant{function: function, action: action.(string), resource: tpl.resolve(resource)}
				if strings.Contains(g.action, "*") {
					t.Errorf("%s: an action must be named, and no pattern", g)
				}
				all = append(all, tpl.conditioned(t, g, statement["Condition"])...)
			}
		}
	}
	return all
}

// conditioned narrows a grant down to each value that its conditions name.
func (tpl template) conditioned(t *testing.T, g grant, condition any) []grant {
	t.Helper()
	grants := []grant{g}
	operators, _ := condition.(object)
	for operator, keys := range operators {
		for key, values := range keys.(object) {
			var narrower []grant
			for _, value := range asList(values) {
				for _, each := range grants {
					if operator == "StringEquals" && strings.ContainsAny(tpl.resolve(value), "*?") {
						t.Fatalf("%s: %s is compared letter by letter: %v", g, key, value)
					}
					switch text := tpl.resolve(value); operator + " " + key {
					case "ForAnyValue:StringLike secretsmanager:VersionStage":
						each.stage = text
					case "StringEquals kms:ViaService", "StringLike kms:ViaService":
						each.via = text
					case "StringEquals kms:EncryptionContext:SecretARN", "StringLike kms:EncryptionContext:SecretARN":
						each.secret = text
					default:
						t.Fatalf("%s: the condition %s %s is one that this test does not understand", g, operator, key)
					}
					narrower = append(narrower, each)
				}
			}
			grants = narrower
		}
	}
	return grants
}

// encryption is, by secret, the customer-managed key of those that the template makes.
func (tpl template) encryption() map[string]string {
	keys := map[string]string{}
	for id, r := range tpl.Resources {
		if key, encrypted := r.Properties["KmsKeyId"]; encrypted && r.Type == "AWS::SecretsManager::Secret" {
			keys[tpl.resolve(object{"Ref": id})] = tpl.resolve(key)
		}
	}
	return keys
}

// resolve is what CloudFormation would put in a value's place: for a secret its ARN in the sandbox, for what is joined its parts, for anything else a text that is
// its own.
func (tpl template) resolve(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case object:
		if id := logicalID(v); tpl.Resources[id].Type == "AWS::SecretsManager::Secret" {
			return awssecrets.ARN(region, account, tpl.Resources[id].Properties["Name"].(string))
		}
		if v["Ref"] == "AWS::Partition" {
			return "aws"
		}
		if join := asList(v["Fn::Join"]); len(join) == 2 {
			var parts []string
			for _, part := range asList(join[1]) {
				parts = append(parts, tpl.resolve(part))
			}
			return strings.Join(parts, join[0].(string))
		}
	}
	return fmt.Sprint(value)
}

// logicalID is the resource that a value refers to.
func logicalID(value any) string {
	reference, _ := value.(object)
	if id, ok := reference["Ref"].(string); ok {
		return id
	}
	if path := asList(reference["Fn::GetAtt"]); len(path) > 0 {
		return path[0].(string)
	}
	return ""
}

// asList is a value that may be one or many.
func asList(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

func sorted[T interface {
	comparable
	fmt.Stringer
}](set map[T]bool) []string {
	var lines []string
	for each := range maps.Keys(set) {
		lines = append(lines, each.String())
	}
	slices.Sort(lines)
	return lines
}
