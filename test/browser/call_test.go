package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// dial calls a number from the page's own pad.
func (b *tab) dial(number string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`tests.type('#number', %q)`, number))
	b.click("Call")
}

// up waits until the page says that it talks.
func (b *tab) up() {
	b.t.Helper()
	b.await("call", `page.phone.calls.some((c) => c.state === 'up')`)
}

// over waits until the page has no call.
func (b *tab) over() {
	b.t.Helper()
	b.await("end of the call", `page.phone.calls.length === 0`)
}

// hears waits until a tone stands 15 dB over everything else in what the page hears.
func (b *tab) hears(hz float64) {
	b.t.Helper()
	b.await(fmt.Sprintf("tone of %v Hz", hz), fmt.Sprintf(`tests.tone(page.phone.calls.at(-1)?.remote, %v).then((db) => db > 15)`, hz))
}

// silent waits until the page hears nothing.
func (b *tab) silent() {
	b.t.Helper()
	b.await("silence", fmt.Sprintf(`tests.tone(page.phone.calls.at(-1)?.remote, %v).then((db) => db < -60)`, phoneHz))
}

// codec is what the page's call receives.
func (b *tab) codec(want string) {
	b.t.Helper()
	b.await("codec "+want, fmt.Sprintf(`page.phone.calls.at(-1).quality().then((q) => q?.codec === %q)`, want))
}

func TestPageToEcho(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b := phonePage(t, s, "1001", rawMicrophone)
	b.dial("9196")
	b.up()
	b.hears(microphoneHz)
	b.await("quality", `document.querySelector('.quality')?.hidden === false`)
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}

// A number that does not answer is told of in words.
func TestPageIsRefused(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b := phonePage(t, s, "1001", rawMicrophone)
	for number, words := range map[string]string{"9199": "Busy", "5999": "no such number", "1005": "can be reached"} {
		b.dial(number)
		b.await(words, fmt.Sprintf(`document.querySelector('.notice')?.innerText.includes(%q)`, words))
		b.over()
	}
	s.Idle(patience)
}

// Page to page, as two tabs do; with both codecs that pages have for it.
func TestPageToPage(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	a, b := phonePage(t, s, "1001", rawMicrophone), phonePage(t, s, "1002", microphone(phoneHz))
	for _, codec := range []string{"PCMU", "opus"} {
		eval[bool](a, fmt.Sprintf(`(page.phone.options.codecs = [%q], true)`, codec))
		a.dial("1002")
		b.click("Answer")
		a.up()
		b.up()
		a.hears(phoneHz)
		b.hears(microphoneHz)
		a.codec(codec)
		b.codec(codec)
		b.click("Hang up")
		a.over()
		b.over()
	}
	s.Idle(patience)
}

// Page and phone, whoever calls: over UDP, and as a browser of pion.
func TestPageAndPhone(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b := phonePage(t, s, "1001", rawMicrophone)
	for extension, d := range map[string]*phone.Phone{"1002": desk(t, s, "1002"), "1003": desk(t, s, "1003", webrtc(s))} {
		b.dial(extension)
		c := taken(t, d)
		b.up()
		b.hears(phoneHz)
		hear(t, c, microphoneHz)
		b.click("Hang up")
		_, err := c.Wait(within(t))
		must(t, "end", err)
		b.over()

		c, err = d.Dial(within(t), "1001", phone.CallOptions{Play: "tone:660"})
		must(t, "dial", err)
		b.click("Answer")
		must(t, "answer", c.WaitAnswered(within(t)))
		b.hears(phoneHz)
		hear(t, c, microphoneHz)
		must(t, "hang up", c.Hangup(within(t)))
		b.over()
	}
	s.Idle(patience)
}

// Decline is 603: nobody else is tried.
func TestPageDeclines(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, d := phonePage(t, s, "1001"), desk(t, s, "1002")
	c, err := d.Dial(within(t), "1001", phone.CallOptions{})
	must(t, "dial", err)
	b.click("Decline")
	if e, err := c.Wait(within(t)); err != nil || e.Status != 603 {
		t.Errorf("the caller is told %+v %v", e, err)
	}
	b.over()
	s.Idle(patience)
}

// Camera turns a picture on and off in mid-call, here first and there later; with a desk phone it says that it takes none, and the sound goes on.
func TestCameraOfThePage(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	a, b := phonePage(t, s, "1001", rawMicrophone), phonePage(t, s, "1002", microphone(phoneHz), withCamera)
	a.dial("1002")
	b.click("Answer")
	a.up()
	b.up()
	const sees = `document.querySelector('.film:not([hidden])')?.videoWidth > 0`
	a.click("Camera")
	b.await("the other's picture", sees)
	a.hears(phoneHz)
	b.hears(microphoneHz)
	b.click("Camera")
	a.await("the other's picture", sees)
	if dir := os.Getenv("TANDEM_LOOK"); dir != "" {
		a.shot(filepath.Join(dir, "desktop-camera.png"))
	}
	a.click("Camera")
	b.await("no picture", `!document.querySelector('.film:not([hidden])')`)
	a.hears(phoneHz)
	b.hears(microphoneHz)
	a.await("the other's still", sees)
	b.click("Hang up")
	a.over()
	b.over()

	c := desk(t, s, "1003")
	a.dial("1003")
	taken(t, c)
	a.up()
	a.click("Camera")
	a.await("word of it", `document.querySelector('.notice:not([hidden])')?.innerText.includes('takes no picture')`)
	a.hears(phoneHz)
	a.click("Hang up")
	a.over()
	s.Idle(patience)
}
