package docs_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quilt-rotate/docs/handbook"
)

// turnsOn matches what turns rotation on in each tool. notAtOnce matches the option that
// prevents an immediate rotation.
var turnsOn, notAtOnce = map[string]*regexp.Regexp{
	"hcl":        regexp.MustCompile(`aws_secretsmanager_secret_rotation" "`),
	"yaml":       regexp.MustCompile(`AWS::SecretsManager::RotationSchedule`),
	"go":         regexp.MustCompile(`NewCfnRotationSchedule\(`),
	"typescript": regexp.MustCompile(`CfnRotationSchedule\(`),
	"console":    regexp.MustCompile(`--rotation-lambda-arn`),
}, map[string]*regexp.Regexp{
	"hcl":        regexp.MustCompile(`rotate_immediately +=\s+false`),
	"yaml":       regexp.MustCompile(`RotateImmediatelyOnUpdate: false`),
	"go":         regexp.MustCompile(`RotateImmediatelyOnUpdate: +jsii\.Bool\(false\)`),
	"typescript": regexp.MustCompile(`rotateImmediatelyOnUpdate: false`),
	"console":    regexp.MustCompile(`--no-rotate-immediately`),
}

func TestNoSnippetRotatesAtOnce(t *testing.T) {
	// A snippet that turns rotation on, or changes its schedule, must not rotate a key.
	found := map[string]int{}
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.Path, "docs/") || p.Path == "docs/sandbox.md" {
			continue
		}
		for _, b := range p.Blocks {
			if on := turnsOn[b.Language]; on == nil || !on.MatchString(b.Text) {
				continue
			}
			found[b.Language]++
			if !notAtOnce[b.Language].MatchString(b.Text) {
				t.Errorf("%s:%d turns rotation on and rotates at once", p.Path, b.Line)
			}
		}
	}
	for language := range turnsOn {
		if found[language] == 0 {
			t.Errorf("no page turns rotation on in %s", language)
		}
	}
}

func TestTerraformReadsItsSnippets(t *testing.T) {
	// Terraform parses each block, and its formatter changes nothing.
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("SKIPPED: the format of the Terraform page: terraform is not installed")
	}
	seen := map[string]bool{}
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Language != "hcl" {
				continue
			}
			seen[p.Path] = true
			command := exec.CommandContext(t.Context(), terraform, "fmt", "-no-color", "-check", "-diff", "-")
			command.Stdin = strings.NewReader(b.Text)
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", p.Path, b.Line, err, output)
			}
		}
	}
	if len(seen) < 2 {
		t.Errorf("only %v have Terraform blocks", seen)
	}
}

func TestActionsOnPagesArePinned(t *testing.T) {
	// Users copy the workflows. Each action is pinned by commit, with its version in a comment.
	uses := regexp.MustCompile(`(?m)^\s*-?\s*uses:\s*(.*)$`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	seen := map[string]bool{}
	for _, p := range pages(t) {
		for _, match := range uses.FindAllStringSubmatch(p.Text, -1) {
			seen[p.Path] = true
			if !pinned.MatchString(match[1]) {
				t.Errorf("%s uses %s, which is not pinned by commit", p.Path, match[1])
			}
		}
	}
	if !seen["docs/consumers/ci.md"] || !seen["docs/pipeline.md"] {
		t.Errorf("found actions only on the pages %v", seen)
	}
}

func TestPagesKeepTheKeyOutOfTheStateOfTerraform(t *testing.T) {
	// Terraform writes a data source and an argument that is not write-only to its state.
	value := regexp.MustCompile(`(?m)^\s*(\w+)\s*=.*\b(?:local\.quilt_api_key|secret_string)\b`)
	used := 0
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Language != "hcl" {
				continue
			}
			if strings.Contains(b.Text, `data "aws_secretsmanager_secret_version"`) {
				t.Errorf("%s:%d reads a value into the Terraform state", p.Path, b.Line)
			}
			for _, match := range value.FindAllStringSubmatch(b.Text, -1) {
				used++
				local := strings.Contains(b.Text, "locals {") && match[1] == "quilt_api_key"
				ignored := match[1] == "ignore_changes"
				if !local && !ignored && !strings.HasSuffix(match[1], "_wo") {
					t.Errorf("%s:%d gives the key to the argument %s, which is not write-only", p.Path, b.Line,
						match[1])
				}
			}
		}
	}
	if used < 2 {
		t.Errorf("found only %d uses of the key", used)
	}
}

func TestPagesShowTheCheckedTemplates(t *testing.T) {
	// cfn-lint checks the files, so a page must show a file in full.
	files := map[string]bool{}
	for _, pattern := range []string{"tools/*.yaml", "events/*.yaml", "pipeline/roles.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files[string(text)] = true
		}
	}
	shown := 0
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if strings.Contains(b.Text, "AWSTemplateFormatVersion") {
				shown++
				if !files[b.Text] {
					t.Errorf("%s:%d: no file of docs has this template", p.Path, b.Line)
				}
			}
		}
	}
	if shown == 0 || shown != len(files) {
		t.Errorf("the pages show %d of %d templates", shown, len(files))
	}
}

// page is one page of the handbook.
func page(t *testing.T, file string) handbook.Page {
	t.Helper()
	p, err := handbook.Read(root, path.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
