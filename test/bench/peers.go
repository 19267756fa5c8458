//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The servers and the load have loopback addresses of their own, beside whatever else runs on the machine.
var (
	generator = netip.AddrFrom4([4]byte{127, 0, 77, 2})
	servers   = netip.AddrFrom4([4]byte{127, 0, 77, 1})
	rooms4    = netip.AddrFrom4([4]byte{127, 0, 77, 4}) // the peer for browsers
	older     = netip.AddrFrom4([4]byte{127, 0, 77, 3}) // of another build of the switch
)

// phones is how many extensions refresh their registrations, in three offices; desks are added to them for the calls.
const phones = 3 * 600

// mostLines is the most calls at once.
const mostLines = 500

// peer is a server with its SIP address.
type peer struct {
	*process
	sip   netip.AddrPort
	space string // the network namespace that its phones are in; empty: ours
}

// listen is a socket of a phone of the server.
func (p *peer) listen() (s *socket, err error) {
	if p.space == "" {
		return listen(generator, p.sip)
	}
	if no := inside(p.space, func() error { s, err = listen(pairPhones, p.sip); return nil }); no != nil {
		return nil, no
	}
	return s, err
}

// openDomain is the domain in which kamailio asks nobody for a password.
const openDomain = "open.local"

// kamailioConfig is an in-memory registrar and a record-routing stateful proxy, both with digest authentication, without
// database, media or dialplan. Nonce counts are checked, as the switch does. The password stands in the configuration, and HA1
// is computed for each request: a table of HA1 in htable would save one MD5, and costs kamailio more than that.
const kamailioConfig = `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:ADDRESS
alias="bench.local"
alias="open.local"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 12)
modparam("registrar", "max_expires", 3600)
modparam("rr", "enable_full_lr", 1)
modparam("tm", "fr_timer", 30000)
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here"); exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (is_method("REGISTER")) {
        if ($rd != "open.local" && !pv_www_authenticate("bench.local", "PASSWORD", "0")) {
            www_challenge("bench.local", "1"); exit;
        }
        save("location"); exit;
    }
    t_check_trans();
    if ($rd != "open.local") {
        if (!pv_www_authenticate("bench.local", "PASSWORD", "0")) { www_challenge("bench.local", "1"); exit; }
        consume_credentials();
    }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    t_relay();
}
`

// startKamailio starts kamailio with one process that receives: with the allocator that Debian's build has as its default, or
// with the fast one of its two.
func startKamailio(dir string, core int, fast bool) (*peer, error) {
	addr, name := netip.AddrPortFrom(servers, 5690), "kamailio"
	args := []string{"-DD", "-E", "-m", "1536", "-M", "16"}
	if fast {
		addr, name = netip.AddrPortFrom(servers, 5691), "kamailio-fm"
		args = append(args, "-x", "fm", "-X", "fm")
	}
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kamailio.cfg")
	text := strings.NewReplacer("ADDRESS", addr.String(), "PASSWORD", password).Replace(kamailioConfig)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start(dir, core, "kamailio", append(args, "-f", file, "-P", filepath.Join(dir, "pid"), "-Y", dir)...)
	if err != nil {
		return nil, err
	}
	k := &peer{process: p, sip: addr}
	return k, p.until("answering", func() bool { return answers(k) })
}

// answers sends an OPTIONS and tells whether anything comes back.
func answers(p *peer) bool {
	s, err := p.listen()
	if err != nil {
		return false
	}
	defer s.close()
	at := s.addr.String()
	s.queue(append(s.room(), "OPTIONS sip:"+openDomain+" SIP/2.0\r\nVia: SIP/2.0/UDP "+at+";branch=z9hG4bKping;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:ping@"+at+">;tag=1\r\nTo: <sip:"+openDomain+">\r\nCall-ID: ping@"+at+"\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"...))
	s.flush()
	wait(200*time.Millisecond, s)
	return s.receive(func([]byte) {}) > 0
}

// tandemConfig is a switch with extensions from a table and one route: whatever else is on is on as shipped. Ports rest 2 s
// instead of 30 s, so that the calls of a round do not run out of them.
const tandemConfig = `
node "bench" {
  domains   = ["bench.local"]
  state_dir = "state"
  http      = "HOST:9690"
}
listen "udp" {
  transport = "udp"
  address   = "HOST:5060"
}
media {
  ports          = "10000-59999"
  quarantine     = "2s"
  loopback_peers = true
  private_peers  = true
}
class "office" {}
extensions { file = "phones.csv" }
route "desks" {
  from = [class.office]
  to   = "200xxx"
  dial { extension = call.to }
}
`

// startTandem starts a build of the switch on an address, with a new state: that of an earlier start would bring its phones and calls
// back.
func startTandem(dir string, core int, binary string, at netip.Addr) (*peer, error) {
	host := at.String()
	dir = filepath.Join(dir, "tandem-"+host)
	if err := writeConfig(dir, strings.ReplaceAll(tandemConfig, "HOST", host)); err != nil {
		return nil, err
	}
	p, err := start(dir, core, binary, "serve", "--config", dir)
	if err != nil {
		return nil, err
	}
	return &peer{process: p, sip: netip.AddrPortFrom(at, 5060)}, p.until("ready", func() bool {
		resp, err := http.Get("http://" + host + ":9690/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// writeConfig makes a new folder with a configuration, its phones and desks.
func writeConfig(dir, text string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var csv strings.Builder
	csv.WriteString("extension,name,password,class\n")
	for i := range phones {
		fmt.Fprintf(&csv, "%d,Phone %d,file:password,office\n", firstPhone+i, i)
	}
	for i := range mostLines {
		fmt.Fprintf(&csv, "%d,Desk %d,file:password,office\n", firstDesk+i, i)
	}
	for name, text := range map[string]string{"bench.hcl": text, "phones.csv": csv.String(), "password": password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// version is the first line that a program says of itself.
func version(name string, args ...string) string {
	out, _ := exec.Command(name, args...).CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}
