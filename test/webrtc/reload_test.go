package webrtc

import (
	"strings"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/wire"
)

// What only a restart can change is refused by name, with a remedy, and everything goes on as it was: the call that is up, the relay, the port of the browsers. The
// same reload takes nothing else of the files either.
func TestReloadThatNeedsARestart(t *testing.T) {
	t.Parallel()
	const (
		relay     = "turn {\n  address = \"HOST:3478\"\n  ports   = \"40201-40300\"\n}\n"
		authority = "acme { email = \"ops@example.com\" }\n"
		extra     = "route \"more\" {\n  to = \"9000\"\n  echo {}\n}\n"
	)
	for _, x := range []struct {
		name, before, after string
		media               string
		words               string
	}{
		{"address of the relay", relay, strings.Replace(relay, "3478", "3479", 1), binary.Media, "`turn`"},
		{"ports of the relay", relay, strings.Replace(relay, "40300", "40400", 1), binary.Media, "`turn`"},
		{"no relay any more", relay, "", binary.Media, "`turn`"},
		{"authority", authority, strings.Replace(authority, "ops", "root", 1), binary.Media, "`acme`"},
		{"port of the browsers", "", "", strings.Replace(binary.Media, "loopback_peers", "webrtc_port    = 34567\n  loopback_peers", 1), "port for browsers"},
		{"no TCP for browsers", "", "", strings.Replace(binary.Media, "loopback_peers", "webrtc_tcp     = false\n  loopback_peers", 1), "port for browsers"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			o := &office{binary.StartWith(t, map[string]string{"block.hcl": x.before, "media.hcl": binary.Media}, binary.Office), t}
			page := o.page("1001")
			call, sound := o.echo(page)
			o.Write("block.hcl", x.after)
			o.Write("media.hcl", x.media)
			o.Write("more.hcl", extra)
			out, err := o.Run("reload", "--socket", o.Dir+"/state/admin.sock")
			if err == nil || !strings.Contains(out, x.words) || !strings.Contains(out, "restart") {
				t.Errorf("reload: %v\n%s", err, out)
			}
			before := sound.Heard("ALIC")
			o.soon("sound after the refusal", func() bool { return sound.Heard("ALIC") > before+10 })
			call.Bye()
			if m := page.Invite("9000", "").Final(5 * time.Second); m.Status() != 404 {
				t.Errorf("a route of the refused files: %d", m.Status())
			}
			again, _ := o.echo(page)
			again.Bye()
			o.Idle(10 * time.Second)
		})
	}
}

// echo has a page hear itself.
func (o *office) echo(p *wire.Phone) (*wire.Call, *wire.Browser) {
	o.t.Helper()
	sound := wire.NewBrowser(o.t, "ALIC", wire.PCMU, nil)
	call := p.Invite("9196", sound.Offer())
	m := call.Final(5 * time.Second)
	if m.Status() != 200 {
		o.t.Fatalf("INVITE: %s", m.Raw)
	}
	call.Ack()
	sound.Answered(m.Body)
	o.soon("its echo", func() bool { return sound.Heard("ALIC") > 5 })
	return call, sound
}
