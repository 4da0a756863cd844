package audit_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	_ "image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"quilt-rotate/internal/cli/audit"
)

var screenshots = flag.String("screenshots", "", "a directory to leave the browser's screenshots and its print in, to look at")

// A browser is a headless Chromium with one tab. It keeps what a page must not do: requests and complaints.
type browser struct {
	testing.TB
	ctx context.Context

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// startBrowser skips where there is no Chromium.
func startBrowser(t testing.TB) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: the HTML report in a browser: chromium is not installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	bounded, stop := context.WithTimeout(t.Context(), 10*time.Minute) // only a browser that hangs meets it
	t.Cleanup(stop)
	allocated, release := chromedp.NewExecAllocator(bounded, options...)
	t.Cleanup(release)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser to end, so that its directory can go
		closeTab()
	})
	b := &browser{TB: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	command(b, network.Enable, network.EnableParams{})
	command(b, log.Enable, cdp.Empty{})
	command(b, runtime.Enable, cdp.Empty{})
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, "console."+string(e.Type))
	case *log.EventEntryAdded: // what the page's policy refuses is here
		b.complaints = append(b.complaints, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		b.complaints = append(b.complaints, "a dialog: "+e.Message)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatalf("the browser failed: %v", err)
	}
}

func run[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	answer, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.Fatalf("the browser failed: %v", err)
	}
	return answer
}

// command sends one command of the browser's protocol.
func command[P, R any](b *browser, c cdp.Command[P, R], params P) R {
	b.Helper()
	answer, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		b.Fatalf("the browser failed: %v", err)
	}
	return answer
}

// ask evaluates an expression of the page.
func ask[T any](b *browser, expression string) T {
	b.Helper()
	return run(b, chromedp.Evaluate[T](expression))
}

// tell runs a statement in the page.
func (b *browser) tell(statement string) {
	b.Helper()
	run(b, chromedp.Evaluate[chromedp.Void](statement))
}

// open shows a report that a server on loopback gives; what else it is asked for is a fault.
func (b *browser) open(r audit.Report) {
	b.Helper()
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/report.html" {
			b.Errorf("the page made the browser ask for %s", r.URL)
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes())
	}))
	b.Cleanup(server.Close)
	b.do(chromedp.Navigate(server.URL + "/report.html"))
}

// quiet checks that the page asked for nothing but itself and that nothing went wrong in it.
func (b *browser) quiet() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := slices.DeleteFunc(slices.Clone(b.requests), func(url string) bool { return len(url) > 5 && url[:5] == "data:" })
	if len(asked) != 1 {
		b.Errorf("the browser requested %q, and should have requested the page alone", asked)
	}
	if len(b.complaints) > 0 {
		b.Errorf("the browser complains: %q", b.complaints)
	}
}

// screen sets the size of the screen, and whether it is dark.
func (b *browser) screen(width, height int64, scheme string) {
	b.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// picture takes a screenshot, and fails where it is blank.
func (b *browser) picture(name string) image.Image {
	b.Helper()
	png := run(b, chromedp.CaptureScreenshot())
	b.keep(name+".png", png)
	picture, _, err := image.Decode(bytes.NewReader(png))
	if err != nil {
		b.Fatal(err)
	}
	colours := map[[3]uint32]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			red, green, blue, _ := picture.At(x, y).RGBA()
			colours[[3]uint32{red, green, blue}] = true
		}
	}
	if len(colours) < 50 {
		b.Errorf("the screenshot %s has %d colours: it is blank, or nearly", name, len(colours))
	}
	return picture
}

func (b *browser) keep(name string, content []byte) {
	if *screenshots != "" {
		if err := os.WriteFile(filepath.Join(*screenshots, name), content, 0o600); err != nil {
			b.Error(err)
		}
	}
}

const search = chromedp.ID("search")

const (
	shownIDs   = `Array.from(document.querySelectorAll("#keys tbody tr")).filter(r => !r.hidden).map(r => r.querySelector(".id").textContent)`
	countText  = `document.getElementById("count").textContent`
	pageExcess = `document.documentElement.scrollWidth - innerWidth`
	// What its frame cuts off does not make the page wider. The head of the table may, on a phone: it scrolls.
	cutOff = `Array.from(document.querySelectorAll("h1, .tile, .panel, td, td *")).filter(e => e.getBoundingClientRect().right > innerWidth).length`
)

// head is the button that sorts by a column.
func head(column int) chromedp.CSS {
	return chromedp.CSS(fmt.Sprintf(`#keys th:nth-child(%d) button`, column))
}

// Columns by their places.
const (
	expiresColumn  = 5
	lastUsedColumn = 6
	findingsColumn = 8
)

func tile(finding audit.Finding) chromedp.CSS {
	return chromedp.CSS(fmt.Sprintf(`[data-finding=%q]`, finding))
}

func TestThePageSortsAndFilters(t *testing.T) {
	// Protects the use of the report in a real browser: sorted by mouse and keyboard, filtered, without an error or a request.
	b := startBrowser(t)
	b.screen(1280, 900, "light")
	b.open(audit.New(sample()))

	order := func(what string, want ...string) {
		t.Helper()
		if got := ask[[]string](b, shownIDs); !slices.Equal(got, want) {
			t.Errorf("%s, the page shows %q, want %q", what, got, want)
		}
	}
	count := func(what, want string) {
		t.Helper()
		if got := ask[string](b, countText); got != want {
			t.Errorf("%s, the count says %q, want %q", what, got, want)
		}
	}
	sorted := func(column, want string) {
		t.Helper()
		got := ask[string](b, `Array.from(document.querySelectorAll("#keys th[aria-sort]")).map(h => h.textContent + " " + h.getAttribute("aria-sort")).join()`)
		if got != column+" "+want {
			t.Errorf("aria-sort says %q, want %s %s", got, column, want)
		}
	}
	press := func(key string) {
		t.Helper()
		b.do(chromedp.KeyEvent(key))
	}

	worst := []string{"91aa00c3", "e5", "a7", "b0b1b2b3", "d4", "c9", "f6", "7e2f9a10", "4c1d0b5e"}
	order("as it comes", worst...)
	sorted("Findings", "ascending")
	count("as it comes", "9 keys")

	b.do(chromedp.Click(head(expiresColumn)))
	order("by expiry", "91aa00c3", "e5", "a7", "b0b1b2b3", "f6", "c9", "7e2f9a10", "4c1d0b5e", "d4")
	sorted("Expires", "ascending")
	b.do(chromedp.Focus(head(lastUsedColumn)))
	press("\r")
	press(" ")
	order("by last use, backwards, with the keyboard", "4c1d0b5e", "7e2f9a10", "b0b1b2b3", "91aa00c3", "f6", "a7", "c9", "e5", "d4")
	sorted("Last used", "descending")
	b.do(chromedp.Click(head(findingsColumn)))
	order("as it came again", worst...)

	b.do(chromedp.SendKeys(search, "PIPELINE example"))
	order("searched", "91aa00c3", "7e2f9a10")
	count("searched", "2 of 9 keys")
	b.do(chromedp.SetValue(chromedp.ID("status"), "ACTIVE"))
	b.tell(`document.getElementById("status").dispatchEvent(new Event("change"))`)
	order("searched among the active", "7e2f9a10")
	b.do(chromedp.Click(chromedp.ID("clear")))
	count("cleared", "9 keys")
	b.do(chromedp.Click(tile(audit.Unused)))
	order("unused", "d4", "c9")
	b.do(chromedp.Click(tile(audit.Expired)))
	order("unused or expired", "91aa00c3", "d4", "c9")
	count("unused or expired", "3 of 9 keys")
	if pressed := ask[string](b, `document.querySelector('[data-finding="unused"]').getAttribute("aria-pressed")`); pressed != "true" {
		t.Errorf("aria-pressed of the finding that is filtered by is %q", pressed)
	}
	b.do(chromedp.SendKeys(search, "no such key"))
	if !ask[bool](b, `document.getElementById("nothing").checkVisibility()`) {
		t.Error("the page does not say that no key matches")
	}
	b.quiet()
}

func TestThePageFitsItsScreens(t *testing.T) {
	// Protects the look on a screen, in the dark, on phones and on paper: nothing blank, nothing cut off at the side, all rows printed.
	b := startBrowser(t)
	b.screen(1280, 900, "light")
	b.open(audit.New(many(60)))
	light := b.picture("light")
	b.screen(1280, 900, "dark")
	dark := b.picture("dark")
	if brightness(light) < 200 || brightness(dark) > 80 {
		t.Errorf("the light page has a brightness of %d, the dark one of %d, of 255", brightness(light), brightness(dark))
	}
	for _, width := range []int64{390, 320, 640, 800, 1100} {
		b.screen(width, 844, "light")
		if excess := ask[int](b, pageExcess); excess > 0 {
			t.Errorf("at %d pixels the page is %d too wide", width, excess)
		}
		if cut := ask[int](b, cutOff); cut > 0 {
			t.Errorf("at %d pixels %d elements are cut off", width, cut)
		}
		b.picture(fmt.Sprintf("width-%d", width))
	}
	b.screen(390, 844, "light")
	b.tell(`document.getElementById("keys").scrollIntoView()`)
	b.picture("phone-keys")

	b.screen(1280, 900, "dark")
	b.do(chromedp.SendKeys(search, "nothing has this name"))
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	printed := ask[int](b, `Array.from(document.querySelectorAll("#keys tbody tr")).filter(r => r.checkVisibility()).length`)
	if printed != 60 {
		t.Errorf("%d rows are printed, want all 60, whatever is filtered", printed)
	}
	if ask[bool](b, `document.querySelector(".controls").checkVisibility()`) {
		t.Error("controls are printed")
	}
	b.keep("print.pdf", run(b, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize())))
	b.quiet()
}

func brightness(picture image.Image) int {
	sum, size := 0, picture.Bounds()
	for y := range size.Dy() {
		for x := range size.Dx() {
			red, green, blue, _ := picture.At(x, y).RGBA()
			sum += int(red+green+blue) / 3 >> 8
		}
	}
	return sum / (size.Dx() * size.Dy())
}

func TestThePageNeedsNoScript(t *testing.T) {
	// Protects readers whose viewer runs no script (mail gateways, strict browsers): everything stands there, no dead control does.
	b := startBrowser(t)
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.screen(1280, 900, "light")
	b.open(audit.New(sample()))
	b.picture("no-script")
	if shown := ask[[]string](b, shownIDs); len(shown) != 9 {
		t.Errorf("%d rows are shown, want 9", len(shown))
	}
	if ask[bool](b, `document.querySelector(".controls").checkVisibility()`) {
		t.Error("controls are shown that do nothing")
	}
	b.quiet()
}

func TestThePageOfTenThousandKeysStaysUsable(t *testing.T) {
	// Protects large registries: the page sorts, searches and filters 10,000 keys and shows all of them. What it takes is logged, and not judged.
	b := startBrowser(t)
	b.screen(1280, 900, "light")
	b.open(audit.New(many(10_000)))
	frame := `new Promise(done => requestAnimationFrame(() => setTimeout(done)))`
	for _, action := range []struct{ name, do string }{
		{"the first look", `0`},
		{"sorting by name", `document.querySelectorAll("#keys th button")[0].click()`},
		{"sorting by last use", `document.querySelectorAll("#keys th button")[5].click()`},
		{"searching", `document.getElementById("search").value = "notebook-prod"; document.getElementById("search").dispatchEvent(new Event("input"))`},
		{"clearing", `document.getElementById("clear").click()`},
		{"filtering", `document.querySelector('[data-finding="unused"]').click()`},
	} {
		measured := fmt.Sprintf(`(async () => { const from = performance.now(); %s; await %s; return performance.now() - from })()`, action.do, frame)
		t.Logf("%s takes %.0f ms", action.name, run(b, chromedp.Evaluate[float64](measured, chromedp.EvalAwaitPromise)))
	}
	const inOrder = `(() => {
		const used = Array.from(document.querySelectorAll("#keys tbody tr")).map(r => r.cells[5].querySelector("time")?.dateTime ?? "");
		return used.length === 10000 && used.every((at, i) => i === 0 || used[i - 1] <= at);
	})()`
	if !ask[bool](b, inOrder) {
		t.Error("the rows are not all there, in the order of their last use")
	}
	if shown, want := ask[string](b, countText), " of 10,000 keys"; len(shown) <= len(want) || shown[len(shown)-len(want):] != want {
		t.Errorf("the count says %q", shown)
	}
	b.picture("ten-thousand")
	b.quiet()
}
