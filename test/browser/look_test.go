package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

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
			// A call without a switch: what the page shows of one.
			eval[bool](b, `(() => {
				const p = page.phone;
				p.ua.call = () => ({ on() {}, mute() {}, unmute() {}, hold() { return true; }, isEnded() { return false; }, terminate() {}, sendDTMF() {} });
				const c = p.call('9196');
				window.shown = c;
				return true;
			})()`)
			picture("3-calling")
			eval[bool](b, `(() => {
				Object.assign(shown, { state: 'up', since: new Date(Date.now() - 83000), name: 'Echo test',
					quality: async () => ({ mos: 4.3, loss: 0.004, remoteLoss: 0, jitter: 4, rtt: 18, codec: 'PCMU' }) });
				shown.emit('change', shown);
				return true;
			})()`)
			b.await("quality", `document.querySelector('.quality')?.hidden === false`)
			picture("4-up")
			b.click("Keypad")
			picture("5-keypad")
			b.click("Transfer")
			picture("6-transfer")
			b.click("Transfer")
		}
	}
}
