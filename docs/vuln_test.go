package docs_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestVulnerabilitiesFailTheCheckAndAnUnreachableDatabaseSkipsIt(t *testing.T) {
	// Only a database that cannot be reached skips the check.
	if _, err := os.Stat(filepath.Join(root, "build", "tools", "govulncheck")); err != nil {
		t.Skip("SKIPPED: make vuln: run make build/tools/govulncheck")
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, c := range map[string]struct {
		database string
		status   int
		want     string
	}{
		"unreachable":          {closed.URL, 0, "SKIPPED: make vuln"},
		"no vulnerability":     {database(t, "example.com/other"), 0, "No vulnerabilities found"},
		"a module is affected": {database(t, "golang.org/x/sync"), 3, "GO-2000-0001"},
	} {
		t.Run(name, func(t *testing.T) {
			check := exec.Command(filepath.Join(root, "scripts", "vuln"), "-scan", "package")
			check.Env = append(os.Environ(), "GOVULNDB="+c.database)
			out, err := check.CombinedOutput()
			status := 0
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if status != c.status || !strings.Contains(string(out), c.want) {
				t.Errorf("exit status %d, want %d, and %q in:\n%s", status, c.status, c.want, out)
			}
		})
	}
}

// database starts a vulnerability database with one vulnerability of the module, and returns its
// URL.
func database(t *testing.T, module string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"index/db.json": `{"modified":"2000-01-01T00:00:00Z"}`,
		"index/modules.json": `[{"path":"` + module +
			`","vulns":[{"id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z"}]}]`,
		"ID/GO-2000-0001.json": `{"schema_version":"1.3.1","id":"GO-2000-0001","modified":"2000-01-01T00:00:00Z",
			"published":"2000-01-01T00:00:00Z","summary":"made up for a test",
			"details":"made up for a test","database_specific":{"url":"https://example.com"},
			"affected":[{"package":{"name":"` + module + `","ecosystem":"Go"},
				"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{}}]}`,
	} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + filepath.ToSlash(folder)
}
