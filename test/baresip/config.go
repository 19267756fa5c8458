package baresip

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// modules is where Debian puts them.
const modules = "/usr/lib/baresip/modules"

// A Config is one phone. Server may be empty for a phone that is only called by its URI.
type Config struct {
	User      string
	Password  string
	Domain    string // of the address of record; 127.0.0.1 when empty
	Server    string // host:port of the registrar, which is also the outbound proxy; no registration when empty
	Transport string // udp (also when empty), tcp or tls: this release has no WebSocket

	// Answer is auto, manual (also when empty) or early.
	Answer string
	// Tone is the frequency in Hz that it sends; 440 when 0.
	Tone int
	// SRTP is "", "srtp" (RTP/AVP with a=crypto) or "srtp-mand" (RTP/SAVP).
	SRTP string
	// Codecs is a comma-separated list such as "pcma,pcmu"; both when empty.
	Codecs string
	// Certificate is a PEM file with certificate and key for TLS; CAFile the roots it trusts.
	Certificate, CAFile string

	// Dir is a folder of this phone alone, for its configuration and recordings.
	Dir string
	// Binary is "baresip" from the path when empty.
	Binary string
}

// ports are what one phone listens on: SIP (TLS one above) and control. Media it finds for itself.
type ports struct{ sip, control int }

// freePorts finds ports that are free. baresip cannot be told to take any and say which.
func freePorts() (ports, error) {
	for range 50 {
		var p ports
		var err error
		if p.sip, err = freePair(); err != nil {
			continue
		}
		if p.control, err = freePair(); err != nil {
			continue
		}
		return p, nil
	}
	return ports{}, fmt.Errorf("no free ports on 127.0.0.1")
}

// pairs counts what freePair has given out: no two phones of one test binary get the same ports.
var pairs atomic.Uint32

// freePair finds an even port that is free for UDP and TCP, and so is the one above. It lies below the ports that systems
// give out by themselves (Linux from 32768 on), or another socket might take it before baresip does; and it begins
// elsewhere in each process, since go test runs the binaries of several packages at once.
func freePair() (int, error) {
	const first, count = 10240, 4880
	port := first + 2*int((uint32(os.Getpid())*97+pairs.Add(1))%count)
	for _, n := range []int{port, port + 1} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			return 0, err
		}
		defer l.Close()
		c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			return 0, err
		}
		defer c.Close()
	}
	return port, nil
}

// write puts config, accounts and contacts into Dir. What matters, and was found by trying:
// net_interface takes an address, but not "lo"; ausine knows only 48 kHz stereo; a player is needed or nothing is
// decoded, and aubridge is one without hardware; sndfile writes what is sent and heard into snd_path.
func (c Config) write(p ports) error {
	config := fmt.Sprintf(`poll_method epoll
sip_listen 127.0.0.1:%d
net_interface 127.0.0.1
call_local_timeout 120
call_max_calls 4
audio_source ausine,%d
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
ausrc_srate 48000
ausrc_channels 2
auplay_srate 48000
auplay_channels 1
rtp_ports 20000-31998
jitter_buffer_delay 1-3
module_path %s
module stdio.so
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%d
snd_path %s
`, p.sip, c.Tone, modules, p.control, c.Dir)
	if c.Certificate != "" {
		config += "sip_certificate " + c.Certificate + "\n"
	}
	if c.CAFile != "" {
		config += "sip_cafile " + c.CAFile + "\n"
	}
	for name, text := range map[string]string{"config": config, "accounts": c.account(), "contacts": ""} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) account() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<sip:%s@%s;transport=%s>;answermode=%s", c.User, c.Domain, c.Transport, c.Answer)
	if c.Password != "" {
		fmt.Fprintf(&b, ";auth_user=%s;auth_pass=%s", c.User, c.Password)
	}
	if c.Server != "" {
		fmt.Fprintf(&b, `;outbound="sip:%s;transport=%s";regint=60`, c.Server, c.Transport)
	} else {
		b.WriteString(";regint=0")
	}
	if c.SRTP != "" {
		b.WriteString(";mediaenc=" + c.SRTP)
	}
	if c.Codecs != "" {
		b.WriteString(";audio_codecs=" + c.Codecs)
	}
	b.WriteString("\n")
	return b.String()
}
