package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// website is a web server of somebody else: pages of testdata, with words replaced, and the libraries as published.
func website(t *testing.T, replace ...string) string {
	t.Helper()
	modules, err := filepath.Abs("../../console/pages/modules")
	must(t, "modules", err)
	jssip := api.Build(api.BuildOptions{
		Stdin:  &api.StdinOptions{Contents: `module.exports = require("jssip")`, ResolveDir: modules},
		Bundle: true, Format: api.FormatIIFE, GlobalName: "JsSIP", Platform: api.PlatformBrowser, NodePaths: []string{modules},
	})
	if len(jssip.Errors) > 0 {
		t.Fatal(jssip.Errors[0].Text)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := filepath.Base(r.URL.Path); name {
		case "jssip.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(jssip.OutputFiles[0].Contents)
		case "sip.js":
			http.ServeFile(w, r, "testdata/sipjs/sip.js")
		case "favicon.ico":
			w.WriteHeader(http.StatusNoContent)
		default:
			text, err := os.ReadFile(filepath.Join("testdata", name))
			if name == "readme.html" {
				text, err = fromREADME()
			}
			if err != nil {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(strings.NewReplacer(replace...).Replace(string(text))))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// fromREADME is the page that README shows to web developers.
func fromREADME() ([]byte, error) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		return nil, err
	}
	_, after, _ := strings.Cut(string(text), "```html\n")
	page, _, ok := strings.Cut(after, "```")
	if !ok {
		return nil, errors.New("README shows no page")
	}
	return []byte("<!doctype html>\n" + page), nil
}

// library opens a page of a library and waits for its registration.
func library(t *testing.T, s *binary.Switch, site, name, user string, scripts ...string) *tab {
	t.Helper()
	b := open(t, name, append([]string{helpers}, scripts...)...)
	q := url.Values{"server": {"ws://" + s.Addr(5066) + "/"}, "domain": {s.Host}, "user": {user}, "password": {binary.Password}}
	b.run(chromedp.Navigate(site + "/" + name + ".html?" + q.Encode()))
	b.await("registration", `registered`)
	return b
}

// libraryHears waits until the page of a library hears a tone.
func (b *tab) libraryHears(hz float64) {
	b.t.Helper()
	b.await("tone", `tests.tone(remote, `+jsonOf(hz)+`).then((db) => db > 15)`)
}

func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// JsSIP and SIP.js as they are on npm, from a page of another origin that is admitted: they call and are called, hold,
// resume, press keys and hang up.
func TestLibraries(t *testing.T) {
	t.Parallel()
	start(t)
	s, site := binary.Start(t, binary.Office+binary.Media), website(t)
	for i, name := range []string{"jssip", "sipjs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, far := []string{"1001", "1003"}[i], []string{"1002", "1004"}[i]
			b, d := library(t, s, site, name, user, rawMicrophone), desk(t, s, far)
			act := func(what string) { eval[bool](b, `Promise.resolve(phone.`+what+`).then(() => true)`) }
			act(`call('` + far + `')`)
			c := taken(t, d)
			b.await("call", `state === 'up'`)
			b.libraryHears(phoneHz)
			hear(t, c, microphoneHz)
			act(`hold()`)
			must(t, "silence", c.WaitQuiet(within(t), 300*time.Millisecond))
			act(`unhold()`)
			hear(t, c, microphoneHz)
			b.libraryHears(phoneHz)
			act(`press('5#')`)
			must(t, "keys", c.WaitDTMF(within(t), "5#"))
			act(`hangUp()`)
			_, err := c.Wait(within(t))
			must(t, "end", err)

			c, err = d.Dial(within(t), user, phone.CallOptions{Play: "tone:660"})
			must(t, "dial", err)
			b.await("ringing", `state === 'ringing'`)
			act(`answer()`)
			must(t, "answer", c.WaitAnswered(within(t)))
			b.libraryHears(phoneHz)
			hear(t, c, microphoneHz)
			must(t, "hold", c.Hold(within(t)))
			must(t, "resume", c.Resume(within(t)))
			b.libraryHears(phoneHz)
			must(t, "hang up", c.Hangup(within(t)))
			b.await("end", `state === 'ended'`)
		})
	}
}

// The two libraries call each other, with Opus end to end.
func TestLibrariesCallEachOther(t *testing.T) {
	t.Parallel()
	start(t)
	s, site := binary.Start(t, binary.Office+binary.Media), website(t)
	a, b := library(t, s, site, "jssip", "1001", rawMicrophone), library(t, s, site, "sipjs", "1002", microphone(phoneHz))
	eval[bool](a, `(phone.call('1002'), true)`)
	b.await("ringing", `state === 'ringing'`)
	eval[bool](b, `Promise.resolve(phone.answer()).then(() => true)`)
	a.libraryHears(phoneHz)
	b.libraryHears(microphoneHz)
	eval[bool](b, `Promise.resolve(phone.hangUp()).then(() => true)`)
	a.await("end", `state === 'ended'`)
	s.Idle(patience)
}

// filming opens the page of JsSIP with a camera: Chromium's green one with its timer.
func filming(t *testing.T, s *binary.Switch, site, user string, scripts ...string) *tab {
	t.Helper()
	b := open(t, "jssip "+user, append([]string{helpers}, scripts...)...)
	q := url.Values{"server": {"ws://" + s.Addr(5066) + "/"}, "domain": {s.Host}, "user": {user}, "password": {binary.Password}, "video": {"1"}}
	b.run(chromedp.Navigate(site + "/jssip.html?" + q.Encode()))
	b.await("registration", `registered`)
	return b
}

// sees waits until the page has decoded n more pictures of the other one's camera than it had.
func (b *tab) sees(n int) {
	b.t.Helper()
	b.await("pictures", fmt.Sprintf(`stream("inbound-rtp").then((s) => { window.had ??= s?.framesDecoded ?? 0; const more = (s?.framesDecoded ?? 0) - window.had >= %d; if (more) delete window.had; return more; })`, n))
}

// withCamera gives a tab that has a tone for its microphone the camera beside it.
const withCamera = `
{
  const sound = navigator.mediaDevices.getUserMedia, own = MediaDevices.prototype.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (c) => {
    const stream = await sound(c);
    if (c.video) stream.addTrack((await own({ video: true })).getVideoTracks()[0]);
    return stream;
  };
}
`

// Two pages see each other: pictures are decoded at both ends, held and resumed; with a phone there is sound alone.
func TestVideoFromPageToPage(t *testing.T) {
	t.Parallel()
	start(t)
	s, site := binary.Start(t, binary.Office+binary.Media), website(t)
	a, b, d := filming(t, s, site, "1001", rawMicrophone), filming(t, s, site, "1002", microphone(phoneHz), withCamera), desk(t, s, "1003")
	act := func(b *tab, what string) { eval[bool](b, `Promise.resolve(phone.`+what+`).then(() => true)`) }
	act(a, `call('1002')`)
	b.await("ringing", `state === 'ringing'`)
	act(b, `answer()`)
	for range 2 {
		a.sees(30)
		b.sees(30)
		a.libraryHears(phoneHz)
		b.libraryHears(microphoneHz)
		act(a, `hold()`)
		act(a, `unhold()`)
	}
	a.await("feedback on arrival times", `stream("outbound-rtp").then((s) => s.targetBitrate > 0)`)
	act(b, `hangUp()`)
	a.await("end", `state === 'ended'`)

	act(a, `call('1003')`)
	c := taken(t, d)
	a.libraryHears(phoneHz)
	hear(t, c, microphoneHz)
	if got := eval[string](a, `session.connection.remoteDescription.sdp.match(/m=video \d+/)[0]`); got != "m=video 0" {
		t.Errorf("with a phone the page is answered %s", got)
	}
	act(a, `hangUp()`)
	s.Idle(patience)
}

// noOrigins is Office without its list of origins: only pages of its own.
func noOrigins(admitted string) string {
	return strings.ReplaceAll(binary.Office, `origins   = ["*"]`, admitted) + binary.Media
}

// A page of another origin reaches no SIP at all.
func TestForeignPageIsRefused(t *testing.T) {
	t.Parallel()
	start(t)
	s, site := binary.Start(t, noOrigins("")), website(t)
	b := open(t, "foreign", helpers)
	b.expect("WebSocket connection to")
	b.run(chromedp.Navigate(site + "/plain.html"))
	closed := eval[float64](b, `new Promise((done) => {
		const ws = new WebSocket('ws://`+s.Addr(5066)+`/', 'sip');
		ws.onopen = () => done(0);
		ws.onclose = (e) => done(e.code);
	})`)
	if closed == 0 {
		t.Error("a foreign page speaks SIP")
	}
	if m := s.Metrics(); binary.Sum(m, "tandem_sip_messages_total") != 0 {
		t.Errorf("%v messages came from it", binary.Sum(m, "tandem_sip_messages_total"))
	}
	own := phonePage(t, s, "1001")
	own.await("its own page", `page.phone.state === 'registered'`)
}

// Click to call: the five lines of README, on the page of a shop, with a password that its server got from ours.
func TestClickToCall(t *testing.T) {
	t.Parallel()
	start(t)
	s := binary.Start(t, noOrigins(`origins = ["*"]`))
	out, err := s.Run("token", "1001", "--json")
	must(t, "token: "+out, err)
	var pass struct{ Username, Password string }
	must(t, "token", json.Unmarshal([]byte(out), &pass))
	site := website(t, "https://pbx.example.com:7443", "http://"+s.Addr(5066), "USERNAME", pass.Username, "PASSWORD", pass.Password, `"1"`, `"9196"`)
	b := open(t, "shop", helpers, rawMicrophone, `
		let made;
		Object.defineProperty(window, 'Tandem', { get: () => made, set(t) {
			const phone = t.phone;
			made = { ...t, phone: (s) => { const line = phone(s); const call = line.call.bind(line);
				line.call = async (n) => (window.talk = await call(n)); return line; } };
		} });`)
	b.run(chromedp.Navigate(site + "/readme.html"))
	b.click("Call us")
	b.await("call", `window.talk?.state === 'up'`)
	b.await("echo", `tests.tone(talk.remote, `+jsonOf(microphoneHz)+`).then((db) => db > 15)`)
	eval[bool](b, `(talk.hangUp(), true)`)
	s.Idle(patience)
}
