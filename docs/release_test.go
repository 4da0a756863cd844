package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox/hermetic"
)

func TestReleaseAcceptsOnlyTheTaggedCommit(t *testing.T) {
	// Users must be able to build the same bytes again. Each refusal says what to do, and
	// goreleaser gets no token.
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: scripts/release: git is not installed")
	}
	const tag = "git tag v1.2.3"
	for name, c := range map[string]struct {
		before, version, want string
	}{
		"no version":        {tag, "", `VERSION is "" and must have the form vX.Y.Z`},
		"a short version":   {tag, "v1.2", `VERSION is "v1.2" and must have the form vX.Y.Z`},
		"no v":              {tag, "1.2.3", "must have the form vX.Y.Z"},
		"a leading zero":    {tag, "v1.02.3", "must have the form vX.Y.Z"},
		"a changed file":    {tag + "; echo >>go.mod", "v1.2.3", "has uncommitted changes"},
		"a new file":        {tag + "; echo >new", "v1.2.3", "has uncommitted changes"},
		"no tag":            {"true", "v1.2.3", "there is no tag v1.2.3: create it"},
		"another commit":    {tag + "; git commit -q --allow-empty -m next", "v1.2.3", "is not on the current commit"},
		"no changelog":      {"git tag v1.2.4", "v1.2.4", "CHANGELOG.md has no section for 1.2.4"},
		"the tagged commit": {tag, "v1.2.3", "dist/ has the release v1.2.3. Nothing was published"},
		"an annotated tag":  {tag + " -m v1.2.3", "v1.2.3", "dist/ has the release v1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			script, err := os.ReadFile(filepath.Join(root, "scripts", "release"))
			if err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{
				"scripts/release": string(script),
				"go.mod":          "toolchain go1.26.8\n",
				"CHANGELOG.md":    "## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n",
				".gitignore":      "/build/\n",
				"build/tools/goreleaser": "#!/bin/sh\n" +
					`echo "arguments: $*, tokens: $GITHUB_TOKEN$GITLAB_TOKEN$GITEA_TOKEN, tag: $GORELEASER_CURRENT_TAG"`,
			} {
				path = filepath.Join(folder, filepath.FromSlash(path))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			run := func(command string, arguments ...string) (string, error) {
				shell := exec.Command("bash", append([]string{"-c", command, "bash"}, arguments...)...)
				shell.Dir = folder
				shell.Env = append(hermetic.Environ(), "GITHUB_TOKEN=a-token", "HOME="+folder,
					"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
					"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
					"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
				out, err := shell.CombinedOutput()
				return string(out), err
			}
			if out, err := run("git init -q . && git add . && git commit -q -m first && " + c.before); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			out, err := run(`scripts/release "$1"`, c.version)
			if !strings.Contains(out, c.want) {
				t.Errorf("the output lacks %q: %s", c.want, out)
			}
			built := strings.Contains(out, "arguments: release --clean --skip=publish,announce, tokens: , tag: "+
				c.version+"\n")
			if released := strings.HasPrefix(c.want, "dist/"); built != released || (err == nil) != released {
				t.Errorf("built: %t, %v; want %t in: %s", built, err, released, out)
			}
			if err != nil && strings.Count(out, "\n") != 1 {
				t.Errorf("the output has more than one line: %s", out)
			}
		})
	}
}
