package phones

import (
	"os"
	"path/filepath"
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/baresip"
)

// needBaresip leaves a test out where there is no baresip, unless foreign phones are demanded, and in short runs.
func needBaresip(t *testing.T) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("a short run uses no other program")
	case baresip.Installed():
	case os.Getenv("TANDEM_PEERS") == "required":
		t.Fatal("baresip is not installed: make peers, or apt-get install baresip-core")
	default:
		t.Skip("baresip is not installed: make peers, or apt-get install baresip-core")
	}
}

// softphone is a baresip that is registered at an extension of its own.
func (o *office) softphone(t *testing.T, transport string, c baresip.Config) (*baresip.Phone, string) {
	t.Helper()
	// baresip's srtp-mand refuses RTP/AVP with a=crypto, so the switch must be told to offer it RTP/SAVP.
	if c.SRTP == "srtp-mand" {
		c.User = o.secured(t)
	} else {
		c.User = o.extension(t)
	}
	c.Password, c.Domain, c.Transport = password, o.Host, transport
	c.Server, c.CAFile, c.Dir = o.Addr(ports[transport]), filepath.Join(o.Dir, "cert.pem"), t.TempDir()
	p, err := baresip.Start(within(t), c)
	must(t, "baresip", err)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("baresip %s printed:\n%s", c.User, p.Output())
		}
	})
	must(t, "register", p.Registered(within(t)))
	return p, c.User
}

// event waits for an event of baresip after the given number of earlier ones.
func event(t *testing.T, p *baresip.Phone, kind string, after int) baresip.Event {
	t.Helper()
	e, err := p.WaitEvent(within(t), kind, after)
	must(t, kind, err)
	return e
}

// heard checks what baresip recorded last.
func heard(t *testing.T, p *baresip.Phone, hz float64) {
	t.Helper()
	files := p.Recordings()
	if len(files) == 0 {
		t.Fatal("baresip recorded nothing")
	}
	sound, err := phone.SoundOf(files[len(files)-1])
	if err != nil || !sound.IsTone(hz) {
		t.Errorf("baresip heard %v (%v), want %g Hz", sound, err, hz)
	}
}

// recorded waits until a baresip has written a second of what it hears.
func recorded(t *testing.T, p *baresip.Phone) {
	t.Helper()
	const second = 2 * 8000
	until(t, "recorded", func() bool {
		files := p.Recordings()
		if len(files) == 0 {
			return false
		}
		info, err := os.Stat(files[len(files)-1])
		return err == nil && info.Size() > second
	})
}
