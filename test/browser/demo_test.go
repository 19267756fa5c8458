package browser

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// startDemo is `make run` on other ports; it gives what that prints. A port that was free may be another program's when the switch wants
// it: then it is tried with others.
func startDemo(t *testing.T, args ...string) (printed string, ports map[string]int) {
	t.Helper()
	for range 5 {
		var said string
		if printed, said, ports = tryDemo(t, args...); printed != "" {
			return printed, ports
		}
		if !strings.Contains(said, "in use") {
			t.Fatalf("the demo prints nothing, and says\n%s", said)
		}
	}
	t.Fatal("the demo finds its ports in use again and again")
	return "", nil
}

// tryDemo gives what the demo prints; nothing where it ends before, and then what it says instead.
func tryDemo(t *testing.T, args ...string) (printed, said string, ports map[string]int) {
	t.Helper()
	ports = map[string]int{}
	args = append([]string{"demo", "--http", "off", "--state", t.TempDir()}, args...)
	for _, name := range []string{"sip", "tls", "ws", "wss"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, "port", err)
		ports[name] = l.Addr().(*net.TCPAddr).Port
		must(t, "port", l.Close())
		args = append(args, "--"+name, fmt.Sprint(ports[name]))
	}
	cmd := exec.Command(binary.Path(t), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, "pipe", err)
	must(t, "start", cmd.Start())
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	text := make(chan string, 1)
	go func() {
		in, all := bufio.NewReader(out), ""
		for !strings.Contains(all, "Ctrl-C stops it.") {
			line, err := in.ReadString('\n')
			all += line
			if err != nil {
				break
			}
		}
		text <- all
		_, _ = io.Copy(io.Discard, in)
	}()
	select {
	case printed = <-text:
	case <-time.After(patience):
		t.Fatal("the demo prints nothing")
	}
	if printed == "" {
		stop()
		said = stderr.String()
	}
	return printed, said, ports
}

// The first five minutes: the link that `make run` prints, in two tabs. Each is somebody, the echo answers, the tabs call
// each other, and a phone calls a tab.
func TestDemoLink(t *testing.T) {
	t.Parallel()
	start(t)
	printed, ports := startDemo(t)
	link := regexp.MustCompile(`http://localhost:\d+/phone#token=\w+`).FindString(printed)
	if link == "" {
		t.Fatalf("no link in\n%s", printed)
	}
	enter := func(name, link string, scripts ...string) *tab {
		b := open(t, name, append([]string{helpers}, scripts...)...)
		b.run(chromedp.Navigate(link))
		b.await("registration", `document.querySelector('.state')?.textContent === 'Ready'`)
		if at := eval[string](b, `location.href`); strings.Contains(at, "token") {
			t.Errorf("the token stays in the address: %s", at)
		}
		return b
	}
	a, b := enter("first", link, rawMicrophone), enter("second", link, microphone(phoneHz))
	who := func(b *tab) string { return eval[string](b, `page.phone.account.extension`) }
	if who(a) != "1001" || who(b) != "1002" {
		t.Fatalf("the tabs are %s and %s", who(a), who(b))
	}
	a.run(chromedp.Reload())
	a.await("the same extension after a reload", `page.phone?.state === 'registered' && page.phone.account.extension === '1001'`)

	a.click("Echo9196")
	a.up()
	a.hears(microphoneHz)
	took := eval[float64](a, `new Date() - page.phone.calls[0].since`)
	t.Logf("heard %.0f ms after the answer", took)
	a.click("Hang up")
	a.over()

	a.click("Bob1002")
	b.click("Answer")
	a.hears(phoneHz)
	b.hears(microphoneHz)
	a.click("Hang up")
	b.over()

	password := regexp.MustCompile(`extension 1002\s+password (\S+)`).FindStringSubmatch(printed)
	p, err := phone.New(phone.Config{Server: fmt.Sprintf("127.0.0.1:%d", ports["sip"]), User: "1002", Password: password[1]})
	must(t, "phone", err)
	t.Cleanup(func() { _ = p.Close() })
	must(t, "register", p.Register(within(t), 0))
	c, err := p.Dial(within(t), "1001", phone.CallOptions{Play: "tone:660"})
	must(t, "dial", err)
	a.click("Answer")
	a.hears(phoneHz)
	hear(t, c, microphoneHz)
	must(t, "hang up", c.Hangup(within(t)))
	a.over()

	wrong := open(t, "wrong token", helpers)
	wrong.expect("403")
	wrong.run(chromedp.Navigate(regexp.MustCompile(`token=\w+`).ReplaceAllString(link, "token=wrong")))
	wrong.await("what is wrong", `document.querySelector('#problem')?.textContent.includes('no longer good')`)
}

// From another machine the page comes with the certificate that the switch signed for that address itself.
func TestDemoOverTLS(t *testing.T) {
	t.Parallel()
	start(t)
	host, state := binary.Host(), t.TempDir()
	printed, ports := startDemo(t, "--host", host, "--state", state)
	place := fmt.Sprintf("%s:%d", host, ports["wss"])
	pem, err := os.ReadFile(filepath.Join(state, "certificates", "self-signed.crt"))
	must(t, "certificate", err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, name := range []string{host, "localhost", "127.0.0.1"} {
		c, err := tls.Dial("tcp", place, &tls.Config{RootCAs: roots, ServerName: name})
		must(t, "handshake as "+name, err)
		must(t, "close", c.Close())
	}
	link := "https://" + place + "/phone" + regexp.MustCompile(`#token=\w+`).FindString(printed)
	b := open(t, "secure", helpers, rawMicrophone)
	b.run(chromedp.Navigate(link))
	b.await("registration", `document.querySelector('.state')?.textContent === 'Ready'`)
	if !eval[bool](b, `isSecureContext && page.phone.account.server.startsWith('wss://')`) {
		t.Error("the page is not secure")
	}
	b.click("Echo9196")
	b.up()
	b.hears(microphoneHz)
}
