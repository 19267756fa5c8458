package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// Nothing of the page stands out of a telephone's screen, whatever it shows. Where TANDEM_LOOK names a folder, pictures are
// put there for people to look at, of a desktop and in the dark too.
func TestLook(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("TANDEM_LOOK")
	s := binary.Start(t, binary.Office+binary.Media)
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 860}, {"mobile", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			if dir == "" && size.name+scheme != "mobilelight" {
				continue
			}
			b := open(t, size.name, helpers, rawMicrophone)
			b.run(chromedp.EmulateViewport(size.width, size.height))
			_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			if err != nil {
				t.Fatal(err)
			}
			picture := func(what string) {
				t.Helper()
				if wide := eval[float64](b, `document.scrollingElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("%s, %s: %v pixels stand out", size.name, what, wide)
				}
				if dir != "" {
					b.shot(filepath.Join(dir, size.name+"-"+scheme+"-"+what+".png"))
				}
			}
			b.run(chromedp.Navigate("http://" + s.Addr(5066) + "/phone"))
			b.await("form", `!!document.querySelector('#extension')`)
			picture("1-sign-in")
			b.signIn("1001", "wrong")
			b.await("what is wrong", `document.querySelector('#problem')?.textContent.includes('Wrong extension or password')`)
			picture("1-wrong")
			eval[bool](b, `tests.type('#password', '')`)
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
			b.await("devices", `document.querySelectorAll('#microphone option').length > 1`)
			picture("9-settings")
			b.click("Close")
			b.dial("9199")
			b.await("busy", `document.querySelector('.notice:not([hidden])')?.innerText.includes('Busy')`)
			picture("10-busy")
			eval[bool](b, "("+strings.TrimSuffix(deny("NotAllowedError"), ";")+", true)")
			b.dial("9196")
			b.await("no permission", `document.querySelector('.notice:not([hidden])')?.innerText.includes('allow the microphone')`)
			picture("11-permission")
		}
	}
}
