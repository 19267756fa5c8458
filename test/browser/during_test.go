package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// talking is a page, 1001, in a call with a phone, 1002; both hear each other.
func talking(t *testing.T, s *binary.Switch, page string) (*tab, *phone.Phone, *phone.Call) {
	t.Helper()
	b := phonePageAt(t, page, "1001", rawMicrophone)
	d := desk(t, s, "1002")
	b.dial("1002")
	c := taken(t, d)
	b.up()
	b.hears(phoneHz)
	hear(t, c, microphoneHz)
	return b, d, c
}

func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.click("Hold")
	b.await("hold", `page.phone.calls[0].held`)
	must(t, "silence", c.WaitQuiet(within(t), 300*time.Millisecond))
	b.silent()
	b.click("Resume")
	b.await("resume", `!page.phone.calls[0].held`)
	b.hears(phoneHz)
	hear(t, c, microphoneHz)

	// From the other side.
	must(t, "hold", c.Hold(within(t)))
	b.await("hold by the other side", `page.phone.calls[0].heldByPeer`)
	b.await("words for it", `document.querySelector('.call .line').textContent.includes('other side holds')`)
	must(t, "resume", c.Resume(within(t)))
	b.await("resume by the other side", `!page.phone.calls[0].heldByPeer`)
	b.hears(phoneHz)
	hear(t, c, microphoneHz)
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}

// Keys arrive as RFC 4733 events at the phone, whether the page sends events or INFO.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.click("Keypad")
	for _, key := range []string{"1", "star", "0", "hash"} {
		b.click(key)
	}
	must(t, "events", c.WaitDTMF(within(t), "1*0#"))
	if shown := eval[string](b, `document.querySelector('.digits').textContent`); shown != "1*0#" {
		t.Errorf("the page shows %q", shown)
	}
	eval[bool](b, `(page.phone.calls[0].session.sendDTMF('77', { transportType: 'INFO' }), true)`)
	must(t, "INFO", c.WaitDTMF(within(t), "1*0#77"))
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}

func TestMute(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.click("Mute")
	must(t, "silence", c.WaitQuiet(within(t), 300*time.Millisecond))
	b.hears(phoneHz)
	b.click("Unmute")
	hear(t, c, microphoneHz)
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}

// A reload keeps the call: the page takes it up again, although its class allows one call only, and the other side has the same call all the time. Muted
// before is muted after, and so is the clock.
func TestReloadDuringACall(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, strings.Replace(binary.Office, `class "office" {}`, `class "office" { max_calls = 1 }`, 1)+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.click("Mute")
	must(t, "silence", c.WaitQuiet(within(t), 300*time.Millisecond))
	began := time.Now()
	b.run(chromedp.Reload())
	b.await("the call", `page.phone?.calls[0]?.state === 'up'`)
	b.hears(phoneHz)
	t.Logf("heard again after %v", time.Since(began).Round(10*time.Millisecond))
	must(t, "still muted", c.WaitQuiet(within(t), time.Second))
	b.click("Unmute")
	hear(t, c, microphoneHz)
	if since := eval[float64](b, `Date.now() - page.phone.calls[0].since`); since < float64(time.Since(began).Milliseconds()) {
		t.Errorf("the clock begins anew: %v ms", since)
	}
	// It can be held and taken back, from both sides, and reloaded again.
	b.click("Hold")
	b.await("hold", `page.phone.calls[0].held`)
	must(t, "silence on hold", c.WaitQuiet(within(t), 300*time.Millisecond))
	b.run(chromedp.Reload())
	b.await("the call on hold", `page.phone?.calls[0]?.state === 'up' && page.phone.calls[0].held`)
	must(t, "silence after it", c.WaitQuiet(within(t), time.Second))
	b.click("Resume")
	hear(t, c, microphoneHz)
	b.hears(phoneHz)
	if c.State() != phone.Answered {
		t.Fatalf("the phone's call is %s", c.State())
	}
	must(t, "hang up", c.Hangup(within(t)))
	b.over()
	s.Idle(patience)
}

// A page that is closed, or whose browser dies, says nothing. The other side is told when neither checks nor signalling come any more.
func TestPageIsClosed(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.expect("'getUserMedia'") // of our own script, on a page that is no telephone
	b.run(chromedp.Navigate("about:blank"))
	if e, err := c.Wait(within(t)); err != nil || e.By != phone.ByRemote {
		t.Errorf("the phone's call ended %+v %v", e, err)
	}
	s.Idle(patience)
}

// The WebSocket is cut for five seconds: sound goes on, signalling comes back, and the call can be held and ended.
func TestWebSocketCut(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	w := newWire(t, s.Addr(5066))
	b, d, c := talking(t, s, w.addr)
	b.expect("WebSocket connection to")
	w.cut()
	b.await("the loss", `page.phone.state === 'connecting'`)
	cut := time.NewTimer(5 * time.Second)
	for waiting := true; waiting; {
		select {
		case <-cut.C:
			waiting = false
		default:
			b.hears(phoneHz)
			hear(t, c, microphoneHz)
		}
	}
	w.mend()
	b.await("registration", `page.phone.state === 'registered'`)
	b.click("Hold")
	b.await("hold", `page.phone.calls[0].held && !page.phone.calls[0].session._dialog.uac_pending_reply`) // two that cross would end the call
	b.click("Resume")
	b.await("resume", `!page.phone.calls[0].held && !page.phone.calls[0].session._dialog.uac_pending_reply`)
	hear(t, c, microphoneHz)
	must(t, "hold from the other side", c.Hold(within(t)))
	b.await("it", `page.phone.calls[0].heldByPeer`)
	must(t, "resume", c.Resume(within(t)))
	must(t, "hang up", c.Hangup(within(t)))
	b.over()
	// The phone reaches the page by its new connection.
	again, err := d.Dial(within(t), "1001", phone.CallOptions{Play: "tone:660"})
	must(t, "dial", err)
	b.click("Answer")
	b.hears(phoneHz)
	must(t, "hang up", again.Hangup(within(t)))
	b.over()
	s.Idle(patience)
}

// A browser that changes its network begins ICE anew: other credentials, other ports, the same call.
func TestICERestart(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	const local = `page.phone.calls[0].connection.localDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1]`
	before := eval[string](b, local)
	eval[bool](b, `window.dispatchEvent(new Event('online'))`)
	b.await("new credentials", local+` !== '`+before+`'`)
	b.await("ICE", `['connected', 'completed'].includes(page.phone.calls[0].connection.iceConnectionState) &&
		page.phone.calls[0].connection.signalingState === 'stable'`)
	b.hears(phoneHz)
	hear(t, c, microphoneHz)
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}
