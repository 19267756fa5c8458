package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// TestLook takes pictures of the page into the folder that TANDEM_LOOK names, for people to look at.
func TestLook(t *testing.T) {
	dir := os.Getenv("TANDEM_LOOK")
	if dir == "" {
		t.Skip("TANDEM_LOOK names no folder for pictures")
	}
	s := binary.Start(t, binary.Office+binary.Media)
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 860}, {"mobile", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			b := open(t, size.name, helpers, rawMicrophone)
			b.run(chromedp.EmulateViewport(size.width, size.height))
			_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			if err != nil {
				t.Fatal(err)
			}
			picture := func(what string) { b.shot(filepath.Join(dir, size.name+"-"+scheme+"-"+what+".png")) }
			b.run(chromedp.Navigate("http://" + s.Addr(5066) + "/phone"))
			b.await("form", `!!document.querySelector('#extension')`)
			picture("1-sign-in")
			b.signIn("1001", binary.Password)
			b.await("registration", `document.querySelector('.state')?.textContent === 'Ready'`)
			eval[bool](b, `tests.type('#number', '1002')`)
			picture("2-ready")
			b.dial("9196")
			b.up()
			b.await("quality", `document.querySelector('.quality')?.hidden === false`)
			picture("3-up")
			b.click("Keypad")
			picture("4-keypad")
			b.click("Transfer")
			picture("5-transfer")
			b.click("Transfer")
			b.click("Add call")
			picture("6-add")
			eval[bool](b, `(page.phone.call('9197'), true)`)
			b.await("two calls", `page.phone.calls.filter((c) => c.state === 'up').length === 2`)
			picture("7-two")
			eval[bool](b, `(page.phone.calls.forEach((c) => c.hangUp()), true)`)
			b.over()
			d := desk(t, s, "1002")
			c, err := d.Dial(within(t), "1001", phone.CallOptions{})
			must(t, "dial", err)
			b.await("ringing", `page.phone.calls.length === 1`)
			picture("8-rings")
			b.click("Decline")
			_, _ = c.Wait(within(t))
			b.over()
			b.click("Settings")
			b.await("the dialog", `document.querySelector('dialog').open`)
			picture("9-settings")
		}
	}
}
