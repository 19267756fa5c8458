package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"tandem/test/binary"
)

// deny has the browser refuse the microphone with an error of that name.
func deny(name string) string {
	return fmt.Sprintf(`navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', %q));`, name)
}

// What goes wrong is told in words, with what to do about it.
func TestProblems(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	for name, c := range map[string]struct{ script, words string }{
		"no permission":       {deny("NotAllowedError"), "allow the microphone"},
		"no microphone":       {deny("NotFoundError"), "Plug one in"},
		"microphone in use":   {deny("NotReadableError"), "Close other programs"},
		"page is not secure":  {`Object.defineProperty(window, 'isSecureContext', { value: false });`, "as https://"},
		"an error of its own": {deny("StrangeError"), "does not start"},
	} {
		t.Run(name, func(t *testing.T) {
			b := phonePage(t, s, "1001", c.script)
			b.dial("9196")
			b.await(c.words, fmt.Sprintf(`document.querySelector('.notice:not([hidden])')?.innerText.includes(%q)`, c.words))
			b.await("the same for a screen reader", fmt.Sprintf(`document.querySelector('#alert').textContent.includes(%q)`, c.words))
			b.over()
		})
	}
	t.Run("no network", func(t *testing.T) {
		w := newWire(t, s.Addr(5066))
		b := phonePageAt(t, w.addr, "1001")
		b.expect("WebSocket connection to")
		w.cut()
		b.await("words", `document.querySelector('.notice:not([hidden])')?.innerText.includes('Check your network')`)
		b.await("state", `document.querySelector('.state').textContent === 'Connecting…'`)
		w.mend()
		b.await("return", `document.querySelector('.state').textContent === 'Ready' && document.querySelector('.notice').hidden`)
	})
	s.Idle(patience)
}

// press types on the keyboard.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

// The keyboard is enough: sign in, call, mute, send keys, hang up; and everything that can be pressed has a name.
func TestKeyboardAndNames(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b := open(t, "keyboard", helpers, rawMicrophone)
	b.run(chromedp.Navigate("http://" + s.Addr(5066) + "/phone"))
	b.await("focus on the extension", `document.activeElement?.id === 'extension'`)
	b.press("1001\t" + binary.Password + "\r")
	b.await("focus on the number", `document.activeElement?.id === 'number'`)
	named := func(where string) {
		t.Helper()
		nameless := eval[string](b, `[...document.querySelectorAll('button, input, select, summary, a')].filter((e) => e.offsetParent !== null)
			.filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent)).map((e) => e.outerHTML).join(' ')`)
		if nameless != "" {
			t.Errorf("%s: without a name: %s", where, nameless)
		}
	}
	named("ready")
	b.press("9196\r")
	b.up()
	b.await("focus on hanging up", `document.activeElement?.textContent === 'Hang up'`)
	named("talking")
	b.press("m")
	b.await("mute", `page.phone.calls[0].muted`)
	b.press("m")
	b.await("no mute", `!page.phone.calls[0].muted`)
	b.press("h")
	b.await("hold", `page.phone.calls[0].held`)
	b.press("h")
	b.await("resume", `!page.phone.calls[0].held`)
	b.hears(microphoneHz)
	b.press("\r")
	b.over()
	b.await("focus on the number again", `document.activeElement?.id === 'number'`)
	if said := eval[string](b, `document.querySelector('#status').textContent`); !strings.Contains(said, "Call ended") {
		b.await("word of the end", `document.querySelector('#status').textContent.includes('Call ended')`)
	}
	b.click("Settings")
	b.await("the dialog", `document.querySelector('dialog').open`)
	named("settings")
	b.run(chromedp.KeyEvent("\u001b"))
	b.await("the dialog closed", `!document.querySelector('dialog')`)
	s.Idle(patience)
}
