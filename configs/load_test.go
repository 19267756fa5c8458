package configs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/dialplan"
	"tandem/sip/digest"
	"tandem/sip/transport"
)

// folder writes files into a new folder and gives it.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loaded loads files that must be right.
func loaded(t testing.TB, files map[string]string) *Config {
	t.Helper()
	c, d := Load(folder(t, files))
	if c == nil {
		t.Fatal(d)
	}
	return c
}

func TestLoadDefaults(t *testing.T) {
	c := loaded(t, map[string]string{"a.hcl": soundPart})
	want := Node{
		Name: "pbx", Domains: []string{"example.com"}, Realm: "example.com", StateDir: DefaultStateDir,
		AdminSocket: "/var/lib/tandem/admin.sock", HTTP: "127.0.0.1:9090",
	}
	if fmt.Sprint(c.Node) != fmt.Sprint(want) {
		t.Errorf("%+v", c.Node)
	}
	if c.CDR != "/var/lib/tandem/cdr.jsonl" || c.Log != (Log{slog.LevelInfo, "text"}) {
		t.Errorf("records in %s, log %+v", c.CDR, c.Log)
	}
	if c.Media.FirstPort != 20000 || c.Media.LastPort != 39999 {
		t.Errorf("media %+v", c.Media)
	}
	if r := c.Registrar; r.MinExpires != time.Minute || r.MaxExpires != time.Hour || r.DefaultExpires != 10*time.Minute || r.MaxContacts != 10 {
		t.Errorf("registrar %+v", r)
	}
	if c.Credentials["1001"].Username != "1001" || c.Credentials["1001"].Realm != "example.com" || c.Credentials["1001"].SHA256 == "" || c.Credentials["1001"].MD5 != "" {
		t.Errorf("credential %+v", c.Credentials["1001"])
	}
}

func TestLoadEverything(t *testing.T) {
	t.Setenv("TANDEM_TEST_ALICE", "wonderland")
	c := loaded(t, map[string]string{
		"bob": "builder\n",
		"a.hcl": `
node "pbx" {
  domains        = ["Example.COM", "[2001:db8::1]"]
  public_address = "203.0.113.10"
  state_dir      = "state"
  admin_socket   = "run/tandem.sock"
  http           = ""
  realm          = "phones"
}
listen "all" {
  transport = "udp"
  address   = "[::]:5060"
  advertise = "pbx.example.com:5060"
}
listen "free" {
  transport = "tcp"
  address   = "127.0.0.1:0"
}
listen "web" {
  transport = "ws"
  address   = ":8080"
  origins   = ["https://example.com", "*"]
}
limits {
  connections            = 1000
  connections_per_source = 10
  idle                   = "5m"
  udp_readers            = 2
}
media {
  ports          = "30000-30199"
  silence        = "30s"
  held_silence   = 600
  quarantine     = "0s"
  codecs         = ["pcmu", "L16/16000"]
  loopback_peers = true
}
registrar {
  min_expires  = "2m"
  max_expires  = "4m"
  trusted_path = ["192.0.2.7/24", "2001:db8::7"]
  keepalive {
    interval = "20s"
    options  = true
  }
}
cdr { file = "" }
log {
  level  = "debug"
  format = "json"
}
`,
		"b.hcl.json": `{
  "extension": {
    "1001": {"password": "${secret(\"env:TANDEM_TEST_ALICE\")}", "class": "class.office", "srtp": "required"},
    "1002": {"password": "${secret(\"file:bob\")}", "class": "${class.office}"}
  },
  "class": {"office": {"max_calls": 2}},
  "schedule": {"s": {"timezone": "UTC", "open": ["daily 00:00-24:00"]}},
  "route": {"r": {"to": "1xxx", "from": ["class.office"], "when": "${schedule.s.is_open}",
    "dial": {"extension": "${call.to}"}, "on": {"busy": {"echo": {}}, "no_answer": {"reject": {"status": 480}}}}}
}`,
		"ignored.txt": "{{{",
		".hidden.hcl": "{{{",
	})
	if got := c.Node; got.Domains[0] != "example.com" || got.Domains[1] != "2001:db8::1" || got.PublicAddress != "203.0.113.10" ||
		got.StateDir != filepath.Join(c.Dir, "state") || got.AdminSocket != filepath.Join(c.Dir, "run/tandem.sock") || got.HTTP != "" || got.Realm != "phones" {
		t.Errorf("%+v", got)
	}
	l := c.Transport.Listen
	if len(l) != 3 || l[0].Proto != transport.UDP || l[0].Advertise != "pbx.example.com:5060" || l[2].Proto != transport.WS || len(l[2].Origins) != 2 {
		t.Errorf("%+v", l)
	}
	if c.Transport.Limits.Connections != 1000 || c.Transport.Limits.Idle != 5*time.Minute || c.Transport.UDPReaders != 2 {
		t.Errorf("%+v", c.Transport.Limits)
	}
	if m := c.Media; m.FirstPort != 30000 || m.LastPort != 30199 || m.Silence != 30*time.Second || m.HeldSilence != 10*time.Minute || m.Quarantine != 0 || !m.LoopbackPeers {
		t.Errorf("%+v", m)
	}
	if r := c.Registrar; r.DefaultExpires != 4*time.Minute || len(r.TrustedPath) != 2 || r.TrustedPath[0].String() != "192.0.2.0/24" || !r.Keepalive.Options {
		t.Errorf("%+v", r)
	}
	if c.CDR != "" || c.Log != (Log{slog.LevelDebug, "json"}) {
		t.Errorf("%q %+v", c.CDR, c.Log)
	}
	if c.Credentials["1001"] != digest.NewCredential("1001", "phones", "wonderland") || c.Credentials["1002"] != digest.NewCredential("1002", "phones", "builder") {
		t.Error("the credentials are not those of the passwords")
	}
	x, _ := c.Plan.Extension("1001")
	d := c.Plan.Route(dialplan.Facts{From: "1001", To: "1002", Now: time.Now()})
	if x.SRTP != "required" || d.Route != "r" || dialplan.DescribeSteps(d.Steps) != "dial extension 1002 for 1m0s; on busy {answer and echo}; on no_answer {reject 480 }" {
		t.Errorf("%+v %s", x, dialplan.DescribeSteps(d.Steps))
	}
}

// Neither a password nor a hash is in what is printed, however wrong the rest of its line is.
func TestDiagnosticsHideSecrets(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.hcl": `
extension "1" { password = "pa$$w0rd" }
extension "1" { password = "s3cr\"et" }
extension "2" { password = secret("h1dden") }
extension "3" { password = secret("sha256:deadbeefdeadbeef") }
extension "4" { password = 31337 }
extensions { file = "t.csv" }`,
		"b.hcl.json": `{"extension": {"5": {"password": "j5on", "pasword": 1}}}`,
		"t.csv":      "extension,password,class\n6,t4ble,nowhere\n7,\"qu0ted\",nowhere\n8,sha256:cafecafe,nowhere\n",
	})
	d := Check(dir)
	if len(d) < 10 {
		t.Errorf("only %d diagnostics:\n%s", len(d), d)
	}
	for _, secret := range []string{"w0rd", "s3cr", "h1dden", "deadbeef", "31337", "j5on", "t4ble", "qu0ted", "cafecafe"} {
		if strings.Contains(d.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, d)
		}
	}
}

func phones(rows int) string {
	var b strings.Builder
	b.WriteString("\xef\xbb\xbfname,Extension,password,class,did\r\n")
	for i := range rows {
		fmt.Fprintf(&b, "\"Phone, no. %d\",%05d,sha256:%064x,office,+4420%08d\r\n", i, i, i, i)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	c := loaded(t, map[string]string{"a.hcl": soundPart + `extensions { file = "phones.csv" }`, "phones.csv": phones(100)})
	x, ok := c.Plan.Extension("00042")
	if !ok || x.Name != "Phone, no. 42" || x.Class != "office" || x.DID != "+442000000042" || x.SRTP != "optional" || x.Place.Line != 44 {
		t.Errorf("%+v", x)
	}
	if c.Credentials["00042"].SHA256 != fmt.Sprintf("%064x", 42) {
		t.Errorf("%+v", c.Credentials["00042"])
	}
	if n := len(c.Plan.Extensions()); n != 102 {
		t.Errorf("%d extensions", n)
	}
}

func TestTableOfTenThousand(t *testing.T) {
	dir := folder(t, map[string]string{"a.hcl": soundPart + `extensions { file = "phones.csv" }`, "phones.csv": phones(10000)})
	start := time.Now()
	c, d := Load(dir)
	took := time.Since(start)
	if c == nil {
		t.Fatal(d)
	}
	t.Logf("10,000 rows in %v", took.Round(time.Millisecond))
	if took > 5*time.Second { // a second on a machine of its own; this is to see what is out of proportion
		t.Errorf("10,000 rows took %v", took)
	}
}

// A table that is wrong throughout does not fill the screen.
func TestTableErrorsAreBounded(t *testing.T) {
	d := Check(folder(t, map[string]string{
		"a.hcl":      soundPart + `extensions { file = "phones.csv" }`,
		"phones.csv": "extension,password\n" + strings.Repeat("1,plain\n", 5000),
	}))
	if len(d) > mostTableErrors+60 {
		t.Errorf("%d diagnostics", len(d))
	}
	if !strings.Contains(d.String(), "mend the first 50") {
		t.Errorf("the rest is not mentioned:\n%s", d)
	}
}

func TestDiff(t *testing.T) {
	before := map[string]string{"a.hcl": soundPart, "z.hcl": `
listen "extra" {
  transport = "tcp"
  address   = "127.0.0.1:5070"
}
route "old" {
  to = "7"
  echo {}
}`}
	after := map[string]string{"renamed.hcl": "# the same in another file\n" + strings.NewReplacer(
		"Alice", "Alicia", "127.0.0.1:5060", "127.0.0.1:5062", strings.Repeat("0", 32)+`")`, strings.Repeat("1", 32)+`")`,
		`["example.com"]`, `["example.com", "example.org"]`).Replace(soundPart), "z.hcl": `
listen "more" {
  transport = "tcp"
  address   = "127.0.0.1:5071"
}
class "shop" {}
registrar { max_contacts = 3 }
cdr { file = "" }
`}
	was, is := loaded(t, before), loaded(t, after)
	got := Diff(was, is)
	for _, want := range []string{
		"node domains changed: [example.com] -> [example.com example.org]",
		"registrar max_contacts changed: 10 -> 3",
		"cdr changed: /var/lib/tandem/cdr.jsonl ->",
		"listen extra removed: TCP 127.0.0.1:5070 ->",
		"listen more added: -> TCP 127.0.0.1:5071",
		"listen phones changed: UDP 127.0.0.1:5060 -> UDP 127.0.0.1:5062",
		"class shop added: -> max_calls 0 countries",
		`extension 1001 changed: "Alice" class office did  srtp optional -> "Alicia" class office did  srtp optional`,
		"route old removed: from every extension to 7: answer and echo ->",
		"password 1002 changed",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if same := Diff(was, loaded(t, map[string]string{"x.hcl": before["z.hcl"], "y.hcl": before["a.hcl"]})); len(same) != 0 {
		t.Errorf("other files, the same configuration: %v", same)
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		a, b string
		meet bool
	}{
		{"0.0.0.0", "127.0.0.1", true}, {"::", "127.0.0.1", true}, {"::", "0.0.0.0", true}, {"", "10.0.0.1", true},
		{"0.0.0.0", "::1", false}, {"10.0.0.1", "10.0.0.2", false}, {"10.0.0.1", "10.0.0.1", true}, {"::1", "::", true},
		{"a.example", "b.example", false}, {"a.example", "a.example", true},
	} {
		if sameHost(c.a, c.b) != c.meet || sameHost(c.b, c.a) != c.meet {
			t.Errorf("%s and %s: meet must be %v", c.a, c.b, c.meet)
		}
	}
}

// A row says whether its phones are browsers; where it says nothing the block does.
func TestTableSaysWhoIsABrowser(t *testing.T) {
	c := loaded(t, map[string]string{
		"a.hcl": `
node "pbx" { domains = ["2001:db8::1"] }
listen "phones" {
  transport = "udp"
  address   = "127.0.0.1:5060"
}
extensions {
  file   = "phones.csv"
  webrtc = "never"
}
route "internal" {
  to = "200x"
  dial { extension = call.to }
}
`,
		"phones.csv": "extension,password,webrtc\n2001,md5:00000000000000000000000000000000,always\n2002,md5:00000000000000000000000000000000,\n",
	})
	for number, want := range map[string]string{"2001": "always", "2002": "never"} {
		if x, ok := c.Plan.Extension(number); !ok || x.WebRTC != want {
			t.Errorf("%s: %+v, want webrtc %q", number, x, want)
		}
	}
	if c.Node.Realm != "2001:db8::1" {
		t.Errorf("realm %q", c.Node.Realm)
	}
}
