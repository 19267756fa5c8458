package phones

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
)

// A linphone is a running linphonec, told what to do by lines. It plays and records WAV files instead of a sound card.
type linphone struct {
	t      *testing.T
	dir    string
	stdin  io.WriteCloser
	output linphoneOutput
}

type linphoneOutput struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *linphoneOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *linphoneOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// linphone is one that is registered at an extension of its own; encryption is none or srtp. The test is left out where it
// is not installed: it is no peer that CI installs, for it brings sixty packages.
func (o *office) linphone(t *testing.T, transport, encryption string) (*linphone, string) {
	t.Helper()
	if _, err := exec.LookPath("linphonec"); err != nil || testing.Short() {
		t.Skip("linphonec is not installed: apt-get install --no-install-recommends linphone-cli")
	}
	user := o.extension(t)
	l := &linphone{t: t, dir: t.TempDir()}
	must(t, "folder", os.MkdirAll(filepath.Join(l.dir, ".local/share/linphone"), 0o700))
	port := freePort(t, "127.0.0.1")
	// verify_server_cn: it checks the chain, but knows no addresses in certificates.
	config := fmt.Sprintf(`[sip]
sip_port=%d
sip_tcp_port=%d
sip_tls_port=%d
use_ipv6=0
guess_hostname=0
contact=sip:%s@127.0.0.1
root_ca=%s
verify_server_cn=0
media_encryption=%s
default_proxy=0
[proxy_0]
reg_proxy=<sip:%s;transport=%s>
reg_identity=sip:%s@%s
reg_expires=300
reg_sendregister=1
[auth_info_0]
username=%s
userid=%s
passwd=%s
realm=%s
[rtp]
audio_rtp_port=-1
`, port, port, freePort(t, "127.0.0.1"), user, filepath.Join(o.Dir, "cert.pem"), encryption,
		o.Addr(ports[transport]), transport, user, o.Host, user, user, password, o.Host)
	file := filepath.Join(l.dir, "linphonerc")
	must(t, "configuration", os.WriteFile(file, []byte(config), 0o600))
	l.start(file)
	l.say("soundcard use files")
	l.say("autoanswer enable")
	l.waitAfter(0, "registered, identity=", "status register")
	return l, user
}

func (l *linphone) start(file string) {
	l.t.Helper()
	command := exec.Command("linphonec", "-c", file)
	command.Env = append(os.Environ(), "HOME="+l.dir)
	command.Stdout, command.Stderr = &l.output, &l.output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	l.stdin, err = command.StdinPipe()
	must(l.t, "linphonec", err)
	must(l.t, "linphonec", command.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = command.Wait()
	}()
	l.t.Cleanup(func() {
		_, _ = io.WriteString(l.stdin, "quit\n")
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = command.Process.Kill()
			<-done
		}
		if l.t.Failed() {
			l.t.Logf("linphonec printed:\n%s", l.output.String())
		}
	})
}

func (l *linphone) say(line string) {
	l.t.Helper()
	_, err := io.WriteString(l.stdin, line+"\n")
	must(l.t, line, err)
}

// waitAfter waits until a text is printed after the first so many bytes, asking again and again where there is a question.
func (l *linphone) waitAfter(mark int, text, question string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if out := l.output.String(); strings.Contains(out[mark:], text) {
			return
		}
		if question != "" {
			l.say(question)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("linphone did not print %q", text)
		}
	}
}

func (l *linphone) mark() int { return len(l.output.String()) }

// Linphone and tandem phone call each other: tones both ways, a pause, a key, and BYE from each side.
func TestLinphone(t *testing.T) {
	t.Parallel()
	o := open(t, "")
	t.Run("calls", func(t *testing.T) {
		for i, c := range []struct {
			linphone, encryption, tandem string
			srtp                         phone.SRTP
		}{
			{"udp", "none", "wss", phone.SRTPOff},
			{"tcp", "none", "tls", phone.SRTPRequired},
			{"tls", "srtp", "udp", phone.SRTPOff},
		} {
			t.Run(fmt.Sprintf("%s %s and %s %s", c.linphone, c.encryption, c.tandem, c.srtp), func(t *testing.T) {
				t.Parallel()
				l, user := o.linphone(t, c.linphone, c.encryption)
				config := o.config(o.extension(t), c.tandem)
				config.SRTP, config.Answer = c.srtp, phone.AutoAnswer("tone:660")
				p := register(t, config)
				tone := filepath.Join(l.dir, "tone.wav")
				writeTone(t, tone, 440, 60)
				for round, outgoing := range []bool{true, false} {
					mark := l.mark()
					var call *phone.Call
					if outgoing {
						l.say("call " + config.User)
						call = incoming(t, p)
					} else {
						var err error
						call, err = p.Call(within(t), user, phone.CallOptions{Play: "tone:660"})
						must(t, "call", err)
					}
					l.waitAfter(mark, "Media streams established", "")
					heard := filepath.Join(l.dir, fmt.Sprintf("heard%d.wav", round))
					l.say("play " + tone)
					l.say("record " + heard)
					hear(t, "tandem phone", call, 440)
					l.say("pause")
					direction(t, call, phone.RecvOnly)
					l.waitAfter(mark, "is now paused", "")
					l.say("resume")
					direction(t, call, phone.SendRecv)
					l.say("play " + tone)
					hear(t, "tandem phone after a pause", call, 440)
					if (i+round)%2 == 0 {
						must(t, "hang up", call.Hangup(within(t)))
					} else {
						l.say("terminate")
						ended(t, call, phone.ByRemote)
					}
					l.waitAfter(mark, "ended", "")
					sound, err := phone.SoundOf(heard)
					if err != nil || !sound.IsTone(660) {
						t.Errorf("linphone heard %v (%v), want 660 Hz", sound, err)
					}
				}
			})
		}
	})
	o.Idle(patience)
}
