package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tandem/test/binary"
)

// toneHz is what the switch plays at 9197.
const toneHz = 1004

// networks numbers those of this process, for names that nobody else has.
var networks atomic.Uint32

// network is a switch and a browser in namespaces of their own, joined by two cables: eth0 and eth1 on both sides.
type network struct {
	t     *testing.T
	there *binary.Namespace // the switch's
	here  *binary.Namespace // the browser's
}

// newNetwork plugs the cables in; addresses are the test's to give. Chromium starts as if on a machine of its own.
func newNetwork(t *testing.T) *network {
	t.Helper()
	needChromium(t)
	id := fmt.Sprintf("tb%d-%d", os.Getpid(), networks.Add(1))
	n := &network{t: t, there: binary.NewNamespace(t, id+"-switch"), here: binary.NewNamespace(t, id+"-browser")}
	for _, cable := range []string{"eth0", "eth1"} {
		n.there.IP("link", "add", cable, "type", "veth", "peer", "name", cable, "netns", n.here.Name)
		for _, side := range []*binary.Namespace{n.there, n.here} { // an address that comes by itself and late would be a change too
			side.IP("link", "set", cable, "addrgenmode", "none", "up")
		}
	}
	return n
}

// open starts the browser, with the addresses that it has now, and opens the switch's page in it.
func (n *network) open(s *binary.Switch) *tab {
	n.t.Helper()
	ctx, end, err := launch(chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		n.here.Move(cmd)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}))
	if end != nil {
		n.t.Cleanup(end)
	}
	must(n.t, "chromium", err)
	b := openIn(n.t, ctx, "1001", helpers, rawMicrophone)
	b.enter("https://"+s.Addr(7443), "1001")
	return b
}

// path waits until the sound of the page's call leaves from this address.
func (b *tab) path(from string) {
	b.t.Helper()
	b.await("a pair from "+from, fmt.Sprintf(`page.phone.calls[0].connection.getStats().then((all) => {
		const way = [...all.values()].find((s) => s.type === 'transport')?.selectedCandidatePairId;
		return all.get(all.get(way)?.localCandidateId)?.address === %q;
	})`, from))
}

// onlyCall is the id of the one call that the switch has.
func onlyCall(t *testing.T, s *binary.Switch) string {
	t.Helper()
	out, err := s.Run("calls", "--json")
	must(t, out, err)
	var calls []struct {
		ID string `json:"id"`
	}
	must(t, out, json.Unmarshal([]byte(out), &calls))
	if len(calls) != 1 {
		t.Fatalf("not one call but %s", out)
	}
	return calls[0].ID
}

// The browser's machine changes its network in mid-call, as one does that leaves the wireless network for a cable, and then gets another
// address there. Nothing tells the WebSocket, which dies in silence; the call is the same throughout.
func TestNetworkChange(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.there.IP("addr", "add", "10.77.0.1/24", "dev", "eth0")
	n.there.IP("addr", "add", "10.78.0.1/24", "dev", "eth1")
	n.here.IP("addr", "add", "10.77.0.2/24", "dev", "eth0")
	s := binary.StartIn(t, n.there, "10.77.0.1", binary.Office+binary.Media)
	b := n.open(s)
	b.expect("WebSocket connection to")
	b.dial("9197")
	b.up()
	b.hears(toneHz)
	b.path("10.77.0.2")
	id := onlyCall(t, s)

	change := func(from, was, to, is string) {
		t.Helper()
		began := time.Now()
		n.here.IP("addr", "del", was+"/24", "dev", from)
		n.here.IP("addr", "add", is+"/24", "dev", to)
		n.here.IP("route", "add", s.Host, "via", "10.78.0.1")
		b.path(is)
		b.hears(toneHz)
		t.Logf("heard again %.1f s after %s became %s", time.Since(began).Seconds(), was, is)
		if now := onlyCall(t, s); now != id {
			t.Errorf("the call is another one: %s, was %s", now, id)
		}
	}
	change("eth0", "10.77.0.2", "eth1", "10.78.0.2")
	change("eth1", "10.78.0.2", "eth1", "10.78.0.3")
	b.click("Hang up")
	b.over()
	s.Idle(patience)
	b.await("registration", `page.phone.state === 'registered'`)
}

// Page, WebSocket and media over IPv6, with unique local addresses.
func TestIPv6(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.there.IP("addr", "add", "fd00:77::1/64", "dev", "eth0", "nodad")
	n.here.IP("addr", "add", "fd00:77::2/64", "dev", "eth0", "nodad")
	office := strings.Replace(binary.Office, `domains   = ["HOST", "example.com"]`, `domains   = ["example.com"]`, 1) // a realm has no colons
	s := binary.StartIn(t, n.there, "fd00:77::1", office+binary.Media)
	b := n.open(s)
	b.dial("9196")
	b.up()
	b.hears(microphoneHz)
	b.path("fd00:77::2")
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}
