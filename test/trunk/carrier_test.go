package trunk

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// patience is how long a step of a call may take on a machine that does much else.
const patience = 20 * time.Second

// Of the account that the switch has at kamailio, and of the carrier's own phones.
const (
	account, secret = "acct", binary.Password
	inward          = "+442079460018" // leads to our extension 1001
	abroad          = "+33140000001"  // the carrier's own phone
)

// kamailioConfig is a carrier: every REGISTER and every INVITE is challenged, numbers that begin with +4420794600 go to
// the account, +33 to the carrier's own phones, and a few answer with a failure.
const kamailioConfig = `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=2
auto_aliases=no
listen=udp:HOST:5060
listen=tcp:HOST:5060
tcp_children=2
alias="carrier.test"
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
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "max_expires", EXPIRES)
modparam("registrar", "min_expires", MINIMUM)
modparam("rr", "enable_full_lr", 1)
request_route {
    if (!mf_process_maxfwd_header("20")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("OPTIONS") && !has_totag()) { sl_send_reply("200", "OK"); exit; }
    if (has_totag()) {
        if (is_method("BYE") && $fU != "CARRIERPHONE" && !has_credentials("carrier.test") && BYEAUTH == 1) {
            proxy_challenge("carrier.test", "1"); exit;
        }
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here"); exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    t_check_trans();
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("carrier.test", "SECRET", "0")) { www_challenge("carrier.test", "1"); exit; }
        save("location"); exit;
    }
    if (!pv_proxy_authenticate("carrier.test", "SECRET", "0")) { proxy_challenge("carrier.test", "1"); exit; }
    consume_credentials();
    if ($rU =~ "404$") { sl_send_reply("404", "Not Found"); exit; }
    if ($rU =~ "503$") { sl_send_reply("503", "Service Unavailable"); exit; }
    record_route();
    if ($rU =~ "^[+]4420794600") { $rU = "acct"; $rd = "carrier.test"; }
    if (!lookup("location")) { sl_send_reply("480", "Temporarily Unavailable"); exit; }
    t_relay();
}
`

// kamailio is a running carrier.
type kamailio struct {
	t    testing.TB
	host string
	dir  string
	text string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
}

// carrier starts kamailio; replace changes words of its configuration. The test is left out where it is not installed.
func carrier(t testing.TB, replace ...string) *kamailio {
	t.Helper()
	need(t, "kamailio")
	k := &kamailio{t: t, host: binary.Host(), dir: t.TempDir()}
	words := append(replace, "HOST", k.host, "SECRET", secret, "CARRIERPHONE", abroad, "EXPIRES", "600", "MINIMUM", "5", "BYEAUTH", "0")
	k.text = strings.NewReplacer(words...).Replace(kamailioConfig)
	k.start()
	t.Cleanup(k.stop)
	return k
}

func need(t testing.TB, program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts " + program)
	}
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("TANDEM_PEERS") == "required" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed", program)
	}
}

func (k *kamailio) start() {
	k.t.Helper()
	file := filepath.Join(k.dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(k.text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.log = &bytes.Buffer{}
	k.cmd = exec.Command("kamailio", "-DD", "-E", "-m", "64", "-M", "8", "-f", file, "-P", filepath.Join(k.dir, "pid"), "-Y", k.dir)
	k.cmd.Stderr = k.log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan struct{})
	k.done = done
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(done)
	}(k.cmd)
	eventually(k.t, patience, "kamailio answers", func() bool { return answers(k.host) })
}

// stop ends kamailio and all its processes: those of its own group.
func (k *kamailio) stop() {
	_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-k.done:
	case <-time.After(5 * time.Second):
		_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
		<-k.done
	}
	_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
}

// answers tells whether something answers OPTIONS at a host.
func answers(host string) bool {
	c, err := net.Dial("udp", host+":5060")
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKp%[3]d;rport\r\nMax-Forwards: 9\r\nFrom: <sip:p@%[2]s>;tag=1\r\n"+
		"To: <sip:%[1]s>\r\nCall-ID: p%[3]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", host, c.LocalAddr(), time.Now().UnixNano())
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := c.Read(make([]byte, 2048))
	return err == nil && n > 0
}

func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// phoneOf is a phone at a server; it ends with the test.
func phoneOf(t testing.TB, c phone.Config) *phone.Phone {
	t.Helper()
	p, err := phone.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// desk is the phone of extension 1001, registered.
func desk(t testing.TB, s *binary.Switch) *phone.Phone {
	t.Helper()
	p := phoneOf(t, phone.Config{Server: s.Addr(5060), User: "1001", Password: binary.Password, Domain: s.Host})
	if err := p.Register(within(t, patience), time.Hour); err != nil {
		t.Fatal(err)
	}
	return p
}

// phone registers the carrier's own phone.
func (k *kamailio) phone() *phone.Phone {
	k.t.Helper()
	p := phoneOf(k.t, phone.Config{Server: k.host + ":5060", User: abroad, Password: secret, Domain: "carrier.test", AuthUser: abroad})
	if err := p.Register(within(k.t, patience), time.Minute); err != nil {
		k.t.Fatal(err)
	}
	return p
}

// trunkTo is a trunk block of the account at kamailio.
func (k *kamailio) trunkTo(transport, more string) string {
	return fmt.Sprintf(`
trunk "carrier" {
  proxy     = "%s:5060;transport=%s"
  domain    = "carrier.test"
  username  = "%s"
  password  = secret("file:password")
  called    = "to"
  caller_id = "+442079460000"
  %s
}
`, k.host, transport, account, more)
}

// routes lead out over trunks in order, and +442079460018 in to 1001.
func routes(trunks ...string) string {
	refs := make([]string, len(trunks))
	for i, name := range trunks {
		refs[i] = "trunk." + name
	}
	list := strings.Join(refs, ", ")
	return `
route "out" {
  to = "+..."
  dial { trunks = [` + list + `] }
  failover { first_reply = "2s" }
}
route "in" {
  from = [` + list + `]
  to   = "+442079460018"
  dial { extension = extension["1001"] }
}
`
}

// open starts a switch with trunks. class "office" may dial everywhere.
func open(t testing.TB, more string) *binary.Switch {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the switch")
	}
	hcl := strings.Replace(binary.Office, `class "office" {}`, `class "office" { countries = ["*"] }`, 1)
	s := binary.Start(t, hcl+media+numbering+more)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", tail(s.Log()), tail(fmt.Sprint(s.Records())))
		}
	})
	return s
}

// tail is the end of a text that may be long.
func tail(s string) string {
	const most = 16 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// media has ports for 200 calls a second.
const media = `
media {
  ports          = "20000-49999"
  quarantine     = "2s"
  loopback_peers = true
  private_peers  = true
}
`

const numbering = `
numbering { country = "GB" }
`

// registered waits until the switch says that its trunk is registered.
func registered(t testing.TB, s *binary.Switch) {
	t.Helper()
	s.Eventually(patience, "registered at the carrier", func() bool {
		return s.Metrics()[`tandem_trunk_registrations{state="registered",trunk="carrier"}`] == 1
	})
}
