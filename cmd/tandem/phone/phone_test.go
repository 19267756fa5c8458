package phone

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets parallel tests outnumber the processors: they wait for the clock, not for a processor.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	// The first use of os/signal starts a goroutine that stays: before anybody counts.
	_, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	stop()
	m.Run()
}

const patience = 15 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// selfSigned makes a certificate for 127.0.0.1 and a file of it for Config.CAFile.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func newPhone(t *testing.T, c Config) *Phone {
	t.Helper()
	if c.Local == "" {
		c.Local = "127.0.0.1"
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// pair makes two phones that reach each other by URI.
func pair(t *testing.T, a, b Config) (*Phone, *Phone) {
	t.Helper()
	a.User, b.User = "alice", "bob"
	return newPhone(t, a), newPhone(t, b)
}

func dial(t *testing.T, from, to *Phone, o CallOptions) (*Call, *Call) {
	t.Helper()
	ctx := within(t)
	out, err := from.Call(ctx, to.URI(), o)
	if err != nil {
		t.Fatal(err)
	}
	in, err := to.WaitIncoming(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}

func hears(t *testing.T, who string, c *Call, hz float64) {
	t.Helper()
	if sound, err := c.WaitTone(within(t), hz); err != nil {
		t.Fatalf("%s: %v (%+v)", who, err, sound)
	}
}

func quiet(t *testing.T, who string, c *Call) {
	t.Helper()
	if err := c.WaitQuiet(within(t), 300*time.Millisecond); err != nil {
		t.Fatalf("%s: %v", who, err)
	}
}

func over(t *testing.T, c *Call) Ended {
	t.Helper()
	e, err := c.Wait(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// leaks fails the test when goroutines of it are still there at its end. It is asked for before the phones are made,
// so that its check runs after their Close.
func leaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.NewTimer(patience)
		defer deadline.Stop()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for runtime.NumGoroutine() > before {
			select {
			case <-tick.C:
			case <-deadline.C:
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

// One call of every transport and kind of media: a tone each way, digits, hold and resume from both sides, BYE.
func TestCallBetweenTwoPhones(t *testing.T) {
	leaks(t)
	certificate, ca := selfSigned(t)
	for _, c := range []struct {
		name   string
		config Config
		srtp   string
	}{
		{name: "udp", config: Config{Transport: "udp"}},
		{name: "udp mu-law", config: Config{Transport: "udp", Codecs: []string{"PCMU"}}},
		{name: "tcp", config: Config{Transport: "tcp"}},
		{name: "tls, SRTP", config: Config{Transport: "tls", Certificate: &certificate, CAFile: ca, SRTP: SRTPRequired}, srtp: "AEAD_AES_128_GCM"},
		{name: "udp, SRTP optional", config: Config{SRTP: SRTPOptional}, srtp: "AEAD_AES_128_GCM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // side by side they take six seconds; the parent counts what they leave
			alice, bob := pair(t, c.config, c.config)
			bob.SetAnswer(AutoAnswer("tone:700"))
			out, in := dial(t, alice, bob, CallOptions{Play: "tone:440"})
			hears(t, "alice", out, 700)
			hears(t, "bob", in, 440)
			if err := out.SendDTMF(within(t), "12*#a"); err != nil {
				t.Fatal(err)
			}
			if err := in.WaitDTMF(within(t), "12*#A"); err != nil {
				t.Error(err)
			}
			if err := in.SendInfo(within(t), "9"); err != nil {
				t.Fatal(err)
			}
			if err := out.WaitDTMF(within(t), "9"); err != nil {
				t.Error(err)
			}
			for name, holder := range map[string]*Call{"alice": out, "bob": in} {
				if err := holder.Hold(within(t)); err != nil {
					t.Fatalf("%s holds: %v", name, err)
				}
				quiet(t, "alice", out)
				quiet(t, "bob", in)
				if err := holder.Resume(within(t)); err != nil {
					t.Fatalf("%s resumes: %v", name, err)
				}
				hears(t, "alice", out, 700)
				hears(t, "bob", in, 440)
			}
			if err := in.Hangup(within(t)); err != nil {
				t.Fatal(err)
			}
			if e := over(t, out); e.By != ByRemote || e.Status != 0 {
				t.Errorf("alice says it ended %+v", e)
			}
			for name, report := range map[string]Report{"alice": out.Report(), "bob": in.Report()} {
				if report.SRTP != c.srtp || report.Lost != 0 || report.Rejected != 0 || report.MOS < 3.5 || !report.Answered || len(report.HeardFrom) != 1 {
					t.Errorf("%s: %+v", name, report)
				}
			}
			if calls := len(alice.Calls()) + len(bob.Calls()); calls != 0 {
				t.Errorf("%d calls left", calls)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{}, Config{})
	for _, c := range []struct {
		name   string
		answer Answer
		code   int
		cause  int
	}{
		{"busy", Busy(), 486, 0},
		{"decline", Decline(), 603, 0},
		{"with a cause", Answer{Status: 404, Header: []Header{{"Reason", `SIP;cause=404, Q.850;cause=1;text="no, not here"`}}}, 404, 1},
		{"moved", Answer{Status: 302, Header: []Header{{"Contact", "<sip:carol@127.0.0.1>;q=0.5"}}}, 302, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bob.SetAnswer(c.answer)
			call, err := alice.Call(within(t), bob.URI(), CallOptions{})
			var refused *StatusError
			if !errors.As(err, &refused) || refused.Code != c.code || refused.Cause != c.cause {
				t.Fatalf("got %v, want %d", err, c.code)
			}
			if e := over(t, call); e.By != ByRemote || e.Status != c.code {
				t.Errorf("ended %+v", e)
			}
			if c.code == 302 && (len(refused.Contacts) != 1 || refused.Contacts[0] != "sip:carol@127.0.0.1") {
				t.Errorf("contacts %q", refused.Contacts)
			}
		})
	}
}

// A CANCEL reaches a ringing phone, whether asked for by time or by hanging up.
func TestCancel(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			leaks(t)
			alice, bob := pair(t, Config{Transport: transport}, Config{Transport: transport})
			for _, o := range []CallOptions{{CancelAfter: 50 * time.Millisecond}, {}} {
				call, err := alice.Dial(within(t), bob.URI(), o)
				if err != nil {
					t.Fatal(err)
				}
				in, err := bob.WaitIncoming(within(t))
				if err != nil {
					t.Fatal(err)
				}
				if o.CancelAfter == 0 { // on a busy machine the other one is over before it is looked at
					if err := call.WaitRinging(within(t)); err != nil {
						t.Fatal(err)
					}
					if err := call.Hangup(within(t)); err != nil {
						t.Fatal(err)
					}
				}
				if e := over(t, call); e.By != ByLocal || e.Status != 487 {
					t.Errorf("alice: %+v", e)
				}
				if e := over(t, in); e.By != ByRemote || e.Status != 487 {
					t.Errorf("bob: %+v", e)
				}
			}
		})
	}
}

func TestEarlyMediaIsHeardAndReported(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{}, Config{})
	bob.SetAnswer(Answer{Early: true, Play: "tone:500"})
	var seen []int
	call, err := alice.Dial(within(t), bob.URI(), CallOptions{OnProgress: func(code int, _ string) { seen = append(seen, code) }})
	if err != nil {
		t.Fatal(err)
	}
	hears(t, "alice", call, 500)
	in, err := bob.WaitIncoming(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := call.WaitAnswered(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := call.Hangup(within(t)); err != nil {
		t.Fatal(err)
	}
	if r := call.Report(); !r.EarlyMedia || !r.Early.Sound.IsTone(500) || len(seen) == 0 || seen[0] != 183 {
		t.Errorf("early %+v, progress %v", r.Early, seen)
	}
}

func TestLateOfferAndUpdate(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{SRTP: SRTPOptional}, Config{SRTP: SRTPOptional})
	bob.SetAnswer(AutoAnswer("tone:700"))
	out, in := dial(t, alice, bob, CallOptions{LateOffer: true, Play: "tone:440"})
	hears(t, "alice", out, 700)
	hears(t, "bob", in, 440)
	for name, step := range map[string]func() error{
		"late re-INVITE": func() error { return out.Reinvite(within(t), Change{LateOffer: true}) },
		"UPDATE":         func() error { return in.Update(within(t), Change{}) },
	} {
		if err := step(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hears(t, "alice after "+name, out, 700)
		hears(t, "bob after "+name, in, 440)
	}
	if err := in.Update(within(t), Change{Direction: Inactive}); err != nil {
		t.Fatal(err)
	}
	quiet(t, "alice", out)
	if err := out.Update(within(t), Change{Direction: SendOnly, Blackhole: true}); err != nil {
		t.Fatal(err)
	}
	quiet(t, "bob", in)
	if err := out.HangupReason(within(t), `Q.850;cause=31;text="all, said"`); err != nil {
		t.Fatal(err)
	}
	if e := over(t, in); e.Cause != 31 || e.Reason != "all, said" {
		t.Errorf("bob says it ended %+v", e)
	}
}

// Both sides hold at once: one of the two offers meets 491 and is made again.
func TestGlare(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{}, Config{})
	bob.SetAnswer(AutoAnswer(""))
	out, in := dial(t, alice, bob, CallOptions{})
	ctx := within(t)
	results := make(chan error, 2)
	for _, c := range []*Call{out, in} {
		go func() { results <- c.Hold(ctx) }()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	a, b := out.Report(), in.Report()
	if a.Direction != Inactive && b.Direction != Inactive {
		t.Errorf("both hold, but wrote %s and %s", a.Direction, b.Direction)
	}
}

func TestSRTPMismatchIsRefused(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{SRTP: SRTPRequired}, Config{SRTP: SRTPOff})
	bob.SetAnswer(AutoAnswer(""))
	_, err := alice.Call(within(t), bob.URI(), CallOptions{})
	var refused *StatusError
	if !errors.As(err, &refused) || refused.Code != 488 {
		t.Errorf("got %v, want 488", err)
	}
}

func TestPlayAndRecordFiles(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	played, recorded := filepath.Join(dir, "played.wav"), filepath.Join(dir, "recorded.wav")
	rec, err := newRecorder(played)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, sampleRate)
	newTone(1004, -10).next(pcm)
	if err := errors.Join(rec.write(1, 0, pcm), rec.close()); err != nil {
		t.Fatal(err)
	}
	alice, bob := pair(t, Config{}, Config{})
	bob.SetAnswer(Answer{Auto: true, Record: recorded})
	out, _ := dial(t, alice, bob, CallOptions{})
	end, err := out.Play(played)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-end:
	case <-time.After(patience):
		t.Fatal("the file did not come to its end")
	}
	if err := out.Hangup(within(t)); err != nil {
		t.Fatal(err)
	}
	in := over(t, out)
	if in.By != ByLocal {
		t.Errorf("ended %+v", in)
	}
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readWAV(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if sound := analyse(got); !sound.IsTone(1004) || len(got) < sampleRate*9/10 {
		t.Errorf("recorded %d samples of %+v", len(got), sound)
	}
}

// Closing a phone ends its calls politely; abandoning it leaves nothing behind either.
func TestCloseAndAbandon(t *testing.T) {
	leaks(t)
	alice, bob := pair(t, Config{}, Config{})
	bob.SetAnswer(AutoAnswer(""))
	out, _ := dial(t, alice, bob, CallOptions{})
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	if e := over(t, out); e.By != ByRemote {
		t.Errorf("alice says it ended %+v", e)
	}
	if _, err := alice.Dial(within(t), bob.URI(), CallOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := alice.Abandon(); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Dial(within(t), bob.URI(), CallOptions{}); !errors.Is(err, errClosed) {
		t.Errorf("a closed phone dials: %v", err)
	}
	l, err := net.ListenPacket("udp", strings.TrimPrefix(bob.URI(), "sip:bob@"))
	if err != nil {
		t.Errorf("bob's port is still taken: %v", err)
	} else {
		l.Close()
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Transport: "sctp"}, `transport "sctp"`},
		{Config{Transport: "wss"}, "needs a server"},
		{Config{Server: "a b"}, `server "a b"`},
		{Config{Server: "127.0.0.1:99999"}, "no host"},
		{Config{Codecs: []string{"G729"}}, `codec "G729"`},
		{Config{SRTP: "maybe"}, `srtp "maybe"`},
		{Config{Local: "here"}, `local address "here"`},
		{Config{CAFile: "/does/not/exist"}, "CA file"},
		{Config{User: "a\r\nb"}, "line break"},
	} {
		if c.config.Local == "" {
			c.config.Local = "127.0.0.1"
		}
		if _, err := New(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error with %q", c.config, err, c.want)
		}
	}
}
