package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow has the fields of a workflow of GitHub Actions that the tests read.
type workflow struct {
	On          map[string]any
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		If, Environment string
		Permissions     map[string]string
		Steps           []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

func readPipeline(t *testing.T, name string, into any) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("pipeline", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(text)
}

func TestThePageOfThePipelineShowsItsFiles(t *testing.T) {
	// The page shows the files that are tested.
	page, err := os.ReadFile("pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deploy.yaml", "roles.yaml"} {
		if text := readPipeline(t, name, &yaml.Node{}); !strings.Contains(string(page), "\n```yaml\n"+text+"```\n") {
			t.Errorf("the page does not show pipeline/%s unchanged", name)
		}
	}
}

func TestThePipelinesPermissionsAreMinimal(t *testing.T) {
	// The whole workflow has no permission, each action is pinned by commit, and a pull request
	// gets the diff role only.
	var w workflow
	readPipeline(t, "deploy.yaml", &w)
	if w.Permissions == nil || len(w.Permissions) > 0 {
		t.Errorf("the workflow has the permissions %v, want none", w.Permissions)
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	for name, job := range w.Jobs {
		if len(job.Permissions) != 2 || job.Permissions["contents"] != "read" ||
			job.Permissions["id-token"] != "write" {
			t.Errorf("job %s has the permissions %v", name, job.Permissions)
		}
		var role any
		for _, step := range job.Steps {
			if step.Uses != "" && !pinned.MatchString(step.Uses) {
				t.Errorf("the job %s uses %s, which is not pinned by commit", name, step.Uses)
			}
			if r, found := step.With["role-to-assume"]; found {
				role = r
			}
			if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
				t.Errorf("the job %s leaves GitHub's token in the checkout", name)
			}
		}
		switch pull := strings.Contains(job.If, "github.event_name == 'pull_request'"); {
		case pull && (role != "${{ vars.DIFF_ROLE }}" || !strings.Contains(job.If,
			"head.repo.full_name == github.repository")):
			t.Errorf("the job %s of a pull request has the role %v and runs if %s", name, role, job.If)
		case !pull && (role != "${{ vars.DEPLOY_ROLE }}" || job.Environment == "" ||
			job.If != "github.event_name == 'push'"):
			t.Errorf("the job %s has the role %v, the environment %q and runs if %s", name, role, job.Environment,
				job.If)
		}
	}
}

func TestThePipelinesRolesTrustOneSubject(t *testing.T) {
	// The deploy role trusts the environment of the workflow only. No role trusts a wildcard or may
	// do more than assume the roles of the CDK.
	var w workflow
	readPipeline(t, "deploy.yaml", &w)
	var template struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Properties struct {
				Trust    policy `yaml:"AssumeRolePolicyDocument"`
				Policies []struct {
					Document policy `yaml:"PolicyDocument"`
				} `yaml:"Policies"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	text := readPipeline(t, "roles.yaml", &template)
	if strings.Contains(strings.ReplaceAll(text, "[A-Za-z", ""), "*") {
		t.Error("the roles contain a wildcard")
	}
	if environment := template.Parameters["Environment"].Default; environment != w.Jobs["deploy"].Environment {
		t.Errorf("the roles are for the environment %q, the workflow's is %q", environment,
			w.Jobs["deploy"].Environment)
	}
	for name, subject := range map[string]string{"DiffRole": "repo:${Repository}:pull_request",
		"DeployRole": "repo:${Repository}:environment:${Environment}"} {
		role := template.Resources[name].Properties
		trust := role.Trust.Statement[0]
		equal := trust.Condition["StringEquals"]
		if len(role.Trust.Statement) != 1 || trust.Action != "sts:AssumeRoleWithWebIdentity" ||
			len(trust.Condition) != 1 ||
			equal["token.actions.githubusercontent.com:aud"] != "sts.amazonaws.com" ||
			equal["token.actions.githubusercontent.com:sub"] != subject {
			t.Errorf("%s trusts %+v", name, role.Trust)
		}
		if may := role.Policies[0].Document.Statement; len(role.Policies) != 1 || len(may) != 1 ||
			may[0].Action != "sts:AssumeRole" {
			t.Errorf("%s may do %+v", name, role.Policies)
		}
	}
}

type policy struct {
	Statement []struct {
		Action    string                       `yaml:"Action"`
		Condition map[string]map[string]string `yaml:"Condition"`
	} `yaml:"Statement"`
}

func TestThePipelineRunsTargetsOfTheMakefile(t *testing.T) {
	// Each command exists, passes its arguments to the CDK, and deploys the configuration of the
	// workflow without a question.
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("SKIPPED: the commands of the pipeline: make is not installed")
	}
	var w workflow
	readPipeline(t, "deploy.yaml", &w)
	var ran []string
	for name, job := range w.Jobs {
		for _, step := range job.Steps {
			if step.Run == "" {
				continue
			}
			command := exec.Command("sh", "-c", strings.Replace(step.Run, "make ", "make --dry-run ", 1))
			command.Dir, command.Env = root, append(os.Environ(), "CONFIG="+w.Env["CONFIG"])
			output, err := command.CombinedOutput()
			line := regexp.MustCompile(`npx cdk .*`).FindString(string(output))
			if err != nil || line == "" {
				t.Errorf("the job %s: %s: %v\n%s", name, step.Run, err, output)
			}
			ran = append(ran, regexp.MustCompile(`config=\S*/`).ReplaceAllString(strings.Join(strings.Fields(line),
				" "), "config="))
		}
	}
	slices.Sort(ran)
	want := []string{"npx cdk deploy -c config=config.yaml --require-approval never --progress events",
		"npx cdk diff -c config=config.yaml", "npx cdk diff -c config=config.yaml --method=template"}
	if !slices.Equal(ran, want) {
		t.Errorf("the workflow runs %q, want %q", ran, want)
	}
}
