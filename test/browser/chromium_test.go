package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"tandem/test/binary"
)

// patience is how long anything may take on a machine that is busy with something else.
const patience = 20 * time.Second

// chromium is the one browser of all tests but those that change the network; each of them opens tabs of its own.
var chromium struct {
	once sync.Once
	ctx  context.Context
	end  func()
	err  error
}

// start runs Debian's Chromium for all tests, once.
func start(t *testing.T) context.Context {
	t.Helper()
	needChromium(t)
	chromium.once.Do(func() { chromium.ctx, chromium.end, chromium.err = launch() })
	if chromium.err != nil {
		t.Fatal("chromium: ", chromium.err)
	}
	return chromium.ctx
}

func needChromium(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run uses no other program")
	}
	binary.Need(t, "chromium", "chromium")
}

// launch starts a Chromium with a WAV for a microphone. Loopback addresses serve as network.
func launch(more ...chromedp.ExecAllocatorOption) (ctx context.Context, end func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "tandem-chromium-")
	if err != nil {
		return nil, nil, err
	}
	wav := filepath.Join(dir, "microphone.wav")
	if err := os.WriteFile(wav, microphoneWAV(microphoneHz), 0o600); err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-audio-capture", wav), chromedp.Flag("allow-loopback-in-peer-connection", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("mute-audio", false),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.WSURLReadTimeout(2*patience),
	)
	alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, endBrowser := chromedp.NewContext(alloc)
	end = func() {
		endBrowser()
		endAlloc()
		_ = os.RemoveAll(dir)
	}
	return ctx, end, chromedp.Do(ctx)
}

// tab is one page of the browser. What its console or its policy complains of fails the test.
type tab struct {
	t    *testing.T
	name string
	ctx  context.Context

	mu        sync.Mutex
	complains []string
	expected  []string // parts of complaints that a test provokes
}

// open makes a tab in a profile of its own; scripts run in it before those of any page.
func open(t *testing.T, name string, scripts ...string) *tab {
	t.Helper()
	return openIn(t, start(t), name, scripts...)
}

// openIn is open in another browser.
func openIn(t *testing.T, browser context.Context, name string, scripts ...string) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	b := &tab{t: t, name: name, ctx: ctx}
	err := errors.Join(chromedp.Do(ctx), chromedp.Listen(ctx, b.hear))
	for _, s := range scripts {
		_, no := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: s})
		err = errors.Join(err, no)
	}
	if err != nil {
		t.Fatalf("%s: no tab: %v", name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.shoot()
		}
		end()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complains {
			t.Errorf("%s: %s", name, c)
		}
	})
	return b
}

// expect lets complaints pass that hold this text: what a test provokes.
func (b *tab) expect(part string) { b.expected = append(b.expected, part) }

func (b *tab) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, part := range b.expected {
		if strings.Contains(text, part) {
			return
		}
	}
	b.complains = append(b.complains, text)
}

// hear takes what the page and the browser have to complain of.
func (b *tab) hear(e any) {
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		b.complain("exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.complain("console: " + strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complain(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// run does things in the tab, within patience.
func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", b.name, err)
	}
}

// eval gives the value of an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %s: %v", b.name, expression, err)
	}
	return v
}

// await waits until an expression, which may be a promise, is true in the page; over reloads too.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
		if yes && err == nil {
			return
		}
		if ctx.Err() != nil {
			b.t.Fatalf("%s: no %s (%s): %v; it says %q", b.name, what, expression, err, b.says())
		}
		select {
		case <-time.After(30 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// says is the text of the page, for messages.
func (b *tab) says() string {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	return strings.Join(strings.Fields(text), " ")
}

// click presses the button with that name, as a screen reader would find it.
func (b *tab) click(name string) {
	b.t.Helper()
	b.await("button "+name, fmt.Sprintf(`!!tests.button(%q)`, name))
	eval[bool](b, fmt.Sprintf(`(tests.button(%q).click(), true)`, name))
}

// shoot keeps a picture of a tab whose test failed, where TANDEM_SHOTS names a folder.
func (b *tab) shoot() {
	dir := os.Getenv("TANDEM_SHOTS")
	if dir == "" {
		return
	}
	b.shot(filepath.Join(dir, strings.ReplaceAll(b.t.Name()+"-"+b.name, "/", "-")+".png"))
}

func (b *tab) shot(path string) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("%s: no picture: %v", b.name, err)
		return
	}
	_ = os.WriteFile(path, png, 0o644)
}
