package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// provedElsewhere maps commands that cannot run in a sandbox to the test, or the line of .ci/run,
// that runs them. They are in blocks of the language "sh".
var provedElsewhere = map[string]proof{
	"npx cdk bootstrap": {"infra/proof/deploy_test.go", `aws.cdk(fresh.file, "bootstrap"`},
	"npx cdk deploy":    {"infra/proof/deploy_test.go", `aws.cdk(d.file, "deploy"`},
	// runs the same command of the CDK, with the named file
	"make deploy CONFIG=infra/prod.yaml":        {"infra/proof/deploy_test.go", `aws.cdk(d.file, "deploy"`},
	"make synth CONFIG=infra/prod.yaml":         {".ci/run", "make synth CONFIG="},
	"(cd infra && npm ci && npx cdk bootstrap)": {"infra/proof/deploy_test.go", `aws.cdk(fresh.file, "bootstrap"`},
	"aws iam create-open-id-connect-provider --url https://token.actions.githubusercontent.com --client-id-list " +
		"sts.amazonaws.com": pipelineTest,
	"aws cloudformation deploy --stack-name quilt-rotate-pipeline " +
		"--template-file docs/pipeline/roles.yaml": pipelineTest,
	"--capabilities CAPABILITY_IAM --parameter-overrides Repository=octo-org/quilt-rotate":    pipelineTest,
	`aws iam list-roles --query "Roles[?starts_with(RoleName, 'quilt-rotate-pipeline')].Arn"`: pipelineTest,
	`cat "$(python3 -m certifi)" registry-ca.pem > bundle.pem`:                                pythonTest,
	`export REQUESTS_CA_BUNDLE="$PWD/bundle.pem"`:                                             pythonTest,
	"make acceptance CONFIG=infra/config.yaml":                                                acceptanceTest,
	"make acceptance CONFIG=infra/config.yaml REMOVE=quilt-rotate-acceptance-0a1b2c3d":        acceptanceTest,
	"make demo":                         {".ci/run", "make demo"},
	"make test":                         {".ci/run", "make test"},
	"make -s sandbox | tee sandbox.env": {"cmd/quilt-sandbox/serve_test.go", "TestServeRunsUntilItIsInterrupted"},
	". ./sandbox.env":                   {"cmd/quilt-sandbox/serve_test.go", "s.environ"},
	"cd infra && npm ci && cp config.example.yaml config.yaml": {".ci/run",
		"infra/config.example.yaml >\"$scratch/config.yaml\""},
}

// pipelineTest runs the AWS commands of docs/pipeline.md as they are written there.
var pipelineTest = proof{"infra/proof/pipeline_test.go", "docs/pipeline.md"}

// pythonTest runs the commands of docs/consumers/python.md as they are written there.
var pythonTest = proof{"docs/consumers/examples_test.go", `"registry-ca.pem"`}

// acceptanceTest runs the program of make acceptance on a local AWS.
var acceptanceTest = proof{"infra/proof/acceptance_test.go", `"./acceptance"`}

// proof is a file of the checkout and a text that it must contain.
type proof struct{ file, needle string }

// known are the languages of blocks without commands, and "console", whose commands pages_test.go
// in cmd/quilt-rotate runs.
var known = []string{"", "console", "text", "mermaid", "json", "yaml", "go", "python", "hcl", "typescript"}

func TestEveryConsoleBlockIsTested(t *testing.T) {
	// Each command is in a console block, which the tests of cmd/quilt-rotate run, or another test
	// is named for it.
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Language == "sh" {
				for i, line := range strings.Split(strings.TrimSpace(b.Text), "\n") {
					checkProof(t, fmt.Sprintf("%s:%d", p.Path, b.Line+i), line)
				}
				continue
			}
			if !slices.Contains(known, b.Language) {
				t.Errorf("%s:%d: a block has the unknown language %q", p.Path, b.Line, b.Language)
			}
		}
	}
}

func checkProof(t *testing.T, where, line string) {
	t.Helper()
	command, _, _ := strings.Cut(line, "  #")
	by, ok := provedElsewhere[strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(command), "\\"))]
	if !ok {
		t.Errorf("%s: no test runs %q", where, command)
		return
	}
	file, err := os.ReadFile(filepath.Join(root, by.file))
	if err != nil || !strings.Contains(string(file), by.needle) {
		t.Errorf("%s: %s does not test %q any more: it lacks %q (%v)", where, by.file, command, by.needle, err)
	}
}
