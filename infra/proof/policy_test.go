package proof_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
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

// A grant is what one statement of a function's policies allows, for one action on one resource. If
// a condition lists several values, there is a grant for each.
type grant struct {
	function, action, resource string // the resource is a pattern
	conditions
}

// conditions are what a grant requires and what a request has. Of a grant, "" means that nothing is
// required.
type conditions struct {
	stage string // staging label that is moved; a pattern
	// of the secret: the function that its rotation calls while it is on, and the registry in its
	// tag
	rotator, registry string
	via, secret       string // of KMS: the service that asks, and the secret for which it asks; patterns
}

func (g grant) String() string {
	text := fmt.Sprintf("%s: %s on %s", g.function, g.action, g.resource)
	for _, condition := range [][2]string{{"label", g.stage}, {"rotator", g.rotator}, {"registry", g.registry},
		{"via", g.via}, {"for", g.secret}} {
		if condition[1] != "" {
			text += fmt.Sprintf(" (%s %s)", condition[0], condition[1])
		}
	}
	return text
}

// A request is what a function asked of AWS, or what AWS asks on its behalf.
type request grant

func (r request) String() string { return grant(r).String() }

// allows tells whether IAM allows the request because of this grant.
func (g grant) allows(r request) bool {
	has := func(required, value string) bool { return required == "" || required == value }
	like := func(required, value string) bool { return required == "" || value != "" && matches(required, value) }
	return g.function == r.function && g.action == r.action && matches(g.resource, r.resource) &&
		like(g.stage, r.stage) &&
		has(g.rotator, r.rotator) && has(g.registry, r.registry) && like(g.via, r.via) && like(g.secret, r.secret)
}

var patterns sync.Map // compiled, by pattern

// matches is StringLike.
func matches(pattern, text string) bool {
	compiled, ok := patterns.Load(pattern)
	if !ok {
		expression := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		compiled, _ = patterns.LoadOrStore(pattern, regexp.MustCompile("^"+expression+"$"))
	}
	return compiled.(*regexp.Regexp).MatchString(text)
}

// nameOf is the name of a function in the sandbox.
func nameOf(function map[string]any) string {
	if strings.HasPrefix(fmt.Sprint(function["Description"]), "Revokes") {
		return sandbox.RevokeFunction
	}
	return sandbox.RotateFunction
}

// functions are the logical ids of the two functions.
func (tpl template) functions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for id, r := range tpl.Resources {
		if r.Type == "AWS::Lambda::Function" {
			found[nameOf(r.Properties)] = id
		}
	}
	if len(found) != 2 {
		t.Fatalf("the template does not have two functions: %v", found)
	}
	return found
}

// sweepMachine is the logical id of the state machine of the sweeps.
func (tpl template) sweepMachine(t *testing.T) string {
	t.Helper()
	for id, r := range tpl.Resources {
		substitutions, _ := r.Properties["DefinitionSubstitutions"].(object)
		if substitutions["RevokeFunctionArn"] != nil {
			return id
		}
	}
	t.Fatal("the template has no state machine of the sweeps")
	return ""
}

// grants are everything that the policies of the two functions' roles allow.
func (tpl template) grants(t *testing.T) (all []grant) {
	t.Helper()
	for function, id := range tpl.functions(t) {
		role := logicalID(tpl.Resources[id].Properties["Role"])
		properties := tpl.Resources[role].Properties
		if managed, any := properties["ManagedPolicyArns"]; any {
			t.Errorf("the role of %s has policies that are not in the template: %v", function, managed)
		}
		for _, inline := range asList(properties["Policies"]) {
			all = append(all, tpl.grantsOf(t, function, inline.(object)["PolicyDocument"])...)
		}
		for _, r := range tpl.Resources {
			attached := slices.ContainsFunc(asList(r.Properties["Roles"]),
				func(ref any) bool { return logicalID(ref) == role })
			if attached && (r.Type == "AWS::IAM::ManagedPolicy" || r.Type == "AWS::IAM::Policy") {
				all = append(all, tpl.grantsOf(t, function, r.Properties["PolicyDocument"])...)
			}
		}
	}
	return all
}

func (tpl template) grantsOf(t *testing.T, function string, document any) []grant {
	t.Helper()
	var all []grant
	for _, s := range asList(document.(object)["Statement"]) {
		statement := s.(object)
		for name := range statement {
			if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "Condition"}, name) ||
				statement["Effect"] != "Allow" {
				t.Fatalf("a statement of %s is not one that this test evaluates: %v", function, statement)
			}
		}
		for _, action := range asList(statement["Action"]) {
			for _, resource := range asList(statement["Resource"]) {
				g := grant{function: function, action: action.(string), resource: tpl.resolve(resource)}
				if strings.Contains(g.action, "*") {
					t.Errorf("%s: an action must not be a pattern", g)
				}
				all = append(all, tpl.conditioned(t, g, statement["Condition"])...)
			}
		}
	}
	return all
}

// conditioned is a grant for each value of the conditions.
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
						t.Fatalf("%s: %s is compared character by character: %v", g, key, value)
					}
					switch text := tpl.resolve(value); operator + " " + key {
					case "ForAnyValue:StringLike secretsmanager:VersionStage":
						each.stage = text
					case "StringEquals secretsmanager:resource/AllowRotationLambdaArn":
						each.rotator = text
					case "StringEquals aws:ResourceTag/" + settings.TagRegistry:
						each.registry = text
					case "StringLike kms:ViaService":
						each.via = text
					case "StringLike kms:EncryptionContext:SecretARN":
						each.secret = text
					default:
						t.Fatalf("%s: the condition %s %s is not one that this test evaluates", g, operator, key)
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

// newKMSKey is the ARN of the key that the template creates.
const newKMSKey = "arn:aws:kms:" + region + ":" + account + ":key/00000000-2222-3333-4444-555555555555"

// resolve is what CloudFormation replaces a value by: the ARN in the sandbox of a secret or
// function, the text of a join; of anything else, a text of its own.
func (tpl template) resolve(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case object:
		switch r := tpl.Resources[logicalID(v)]; r.Type {
		case "AWS::SecretsManager::Secret":
			return awssecrets.ARN(region, account, r.Properties["Name"].(string))
		case "AWS::Lambda::Function":
			return sandboxtest.FunctionARN(nameOf(r.Properties))
		case "AWS::KMS::Key":
			return newKMSKey
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
