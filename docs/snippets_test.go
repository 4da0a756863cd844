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

// switchesOn finds what turns rotation on, in each of the tools, and notAtOnce what keeps it from
// rotating the key at that moment.
var switchesOn, notAtOnce = map[string]*regexp.Regexp{
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
	// A snippet that switches rotation on, or changes its schedule, rotates no key.
	found := map[string]int{}
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.Path, "docs/") || p.Path == "docs/sandbox.md" {
			continue
		}
		for _, b := range p.Blocks {
			if on := switchesOn[b.Language]; on == nil || !on.MatchString(b.Text) {
				continue
			}
			found[b.Language]++
			if !notAtOnce[b.Language].MatchString(b.Text) {
				t.Errorf("%s:%d switches rotation on, and rotates at once", p.Path, b.Line)
			}
		}
	}
	for language := range switchesOn {
		if found[language] == 0 {
			t.Errorf("no page switches rotation on in %s", language)
		}
	}
}

func TestTerraformReadsItsSnippets(t *testing.T) {
	// Terraform parses each block, and its formatter changes nothing.
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("SKIPPED: the format of the Terraform page: terraform is not installed")
	}
	for _, b := range page(t, "docs/tools/terraform.md").Blocks {
		if b.Language != "hcl" {
			continue
		}
		command := exec.CommandContext(t.Context(), terraform, "fmt", "-no-color", "-check", "-diff", "-")
		command.Stdin = strings.NewReader(b.Text)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("docs/tools/terraform.md:%d: %v\n%s", b.Line, err, output)
		}
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
		t.Errorf("the pages show %d templates of %d", shown, len(files))
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
