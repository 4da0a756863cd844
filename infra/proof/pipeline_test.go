package proof_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestThePipelinesRolesAreDeployedAsThePageSays(t *testing.T) {
	// The commands of docs/pipeline.md create two roles, each for one subject of GitHub's tokens.
	if !*deploy {
		t.Skip("SKIPPED: the roles of the pipeline, created in a local AWS: run make deploy-local")
	}
	need(t)
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "pipeline.md"))
	must(t, err)
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(string(page))
	if block == nil {
		t.Fatal("the page has no commands")
	}
	_, commands, found := strings.Cut(block[1], "npx cdk bootstrap)\n")
	if !found {
		t.Fatalf("the page's commands do not begin with the bootstrap of the CDK:\n%s", block[1])
	}
	aws := startAWS(t)
	script := exec.Command("sh", "-e", "-c", commands)
	script.Dir, script.Env = root(t), aws.environment()
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, aws.log())
	}
	for _, role := range []string{"DiffRole", "DeployRole"} {
		if !regexp.MustCompile(`arn:aws:iam::[0-9]{12}:role/quilt-rotate-pipeline-` + role).Match(output) {
			t.Errorf("the commands do not print the ARN of %s:\n%s", role, output)
		}
	}
	var subjects []string
	aws.cli(&subjects, "iam", "list-roles", "--query",
		`Roles[].AssumeRolePolicyDocument.Statement[0].Condition.StringEquals."token.actions.githubusercontent.com:sub"`)
	if got := strings.Join(subjects, " "); !strings.Contains(got, "repo:octo-org/quilt-rotate:pull_request") ||
		!strings.Contains(got, "repo:octo-org/quilt-rotate:environment:production") || len(subjects) != 2 {
		t.Errorf("the roles trust the subjects %q", subjects)
	}
}
