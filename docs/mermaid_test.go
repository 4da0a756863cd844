package docs_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var drawn = flag.String("pictures", "", "a directory to write the pictures to, as SVG")

// pictures returns the Mermaid sources of all pages with their places.
func pictures(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Language == "mermaid" {
				all[fmt.Sprintf("%s:%d", p.Path, b.Line)] = b.Text
			}
		}
	}
	if len(all) < 5 {
		t.Fatalf("found only %d pictures", len(all))
	}
	return all
}

func TestPicturesHaveATypeAndClosedBrackets(t *testing.T) {
	// This check also works where Mermaid is not installed.
	kind := regexp.MustCompile(`^(flowchart (LR|TB)|stateDiagram-v2|sequenceDiagram)\n`)
	for where, source := range pictures(t) {
		if !kind.MatchString(source) {
			t.Errorf("%s: begins with %q", where, strings.SplitN(source, "\n", 2)[0])
		}
		for line := range strings.Lines(source) {
			for _, pair := range []string{"[]", "()", "{}"} {
				if strings.Count(line, pair[:1]) != strings.Count(line, pair[1:]) {
					t.Errorf("%s: %s is not closed in %q", where, pair[:1], line)
				}
			}
		}
	}
}

func TestPicturesCanBeDrawn(t *testing.T) {
	// Mermaid draws each picture in a browser, without "Syntax error in text".
	library := filepath.Join("testdata", "mermaid", "node_modules", "mermaid", "dist", "mermaid.min.js")
	if _, err := os.Stat(library); err != nil {
		t.Skip("SKIPPED: the pictures of the handbook: mermaid is not installed (npm ci in docs/testdata/mermaid)")
	}
	sources := pictures(t)
	draw := startPainter(t, library)
	for where, source := range sources {
		svg, err := draw(source)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if *drawn != "" {
			name := strings.NewReplacer("/", "-", ":", "-").Replace(where) + ".svg"
			if err := os.WriteFile(filepath.Join(*drawn, name), []byte(svg), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := draw("flowchart LR\n  a --> "); err == nil {
		t.Error("an incomplete picture is drawn without an error, so this test cannot detect errors")
	}
}

const canvas = `<!doctype html><meta charset="utf-8"><script src="/mermaid.min.js"></script><script>
mermaid.initialize({startOnLoad: false});
let count = 0;
async function draw(source) {
  try { return JSON.stringify({svg: (await mermaid.render("picture" + count++, source)).svg}); }
  catch (fault) { return JSON.stringify({fault: String(fault.message || fault)}); }
}</script>`

// startPainter opens a browser that draws. Without a browser, the test is skipped.
func startPainter(t *testing.T, library string) func(source string) (svg string, err error) {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			browser = found
			break
		}
	}
	if browser == "" {
		t.Skip("SKIPPED: the pictures of the handbook: chromium is not installed")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mermaid.min.js" {
			http.ServeFile(w, r, library)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(canvas))
	}))
	t.Cleanup(server.Close)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(browser),
		chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU)
	bounded, stop := context.WithTimeout(t.Context(), 10*time.Minute) // ends only a browser that hangs
	t.Cleanup(stop)
	allocated, release := chromedp.NewExecAllocator(bounded, options...)
	t.Cleanup(release)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		closeTab()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return func(source string) (string, error) {
		quoted, err := json.Marshal(source)
		if err != nil {
			return "", err
		}
		answer, err := chromedp.Run(ctx, chromedp.Evaluate[string]("draw("+string(quoted)+")",
			chromedp.EvalAwaitPromise))
		if err != nil {
			return "", err
		}
		var result struct{ SVG, Fault string }
		if err := json.Unmarshal([]byte(answer), &result); err != nil {
			return "", err
		}
		if result.Fault != "" || !strings.Contains(result.SVG, "<svg") {
			return "", fmt.Errorf("cannot be drawn: %s", result.Fault)
		}
		return result.SVG, nil
	}
}
