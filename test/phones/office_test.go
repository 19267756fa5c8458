package phones

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// TestMain lets more tests run side by side than there are cores: a call waits far more than it works.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "10"); err != nil {
			panic(err)
		}
	}
	if err := os.Setenv(passwordVariable, password); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Extensions of an office beside those of binary.Office: 2000 to 2119, and with srtp = "required" 2200 to 2219.
const firstPlain, lastPlain, firstSecure, lastSecure = 2000, 2119, 2200, 2219

// password is that of every extension: without the blank of binary.Password, which ends a value in baresip's list of
// accounts. The switch inherits it.
const password, passwordVariable = "correct-horse", "TANDEM_TEST_PASSWORD"

// patience is how long a step of a call may take on a machine that does much else.
const patience = 20 * time.Second

// An office is a running switch whose extensions are given out one by one.
type office struct {
	*binary.Switch
	plain, secure atomic.Int32 // last given out
}

// open starts an office; more is added to its configuration.
func open(t *testing.T, more string) *office { t.Helper(); return openWith(t, nil, more) }

// openWith is open with files beside the configuration, by their names.
func openWith(t *testing.T, files map[string]string, more string) *office {
	t.Helper()
	var b strings.Builder
	b.WriteString(binary.Office + binary.Media)
	desk := func(first, last int, srtp string) {
		for n := first; n <= last; n++ {
			fmt.Fprintf(&b, "extension \"%d\" {\n  name = \"Desk %d\"\n  password = secret(\"env:%s\")\n  class = class.office\n  srtp = %q\n}\n", n, n, passwordVariable, srtp)
		}
	}
	desk(firstPlain, lastPlain, "optional")
	desk(firstSecure, lastSecure, "required")
	b.WriteString("route \"desks\" {\n  to = \"2xxx\"\n  dial {\n    extension = call.to\n    timeout = \"30s\"\n  }\n}\n")
	o := &office{Switch: binary.StartWith(t, files, b.String()+more)}
	o.plain.Store(firstPlain - 1)
	o.secure.Store(firstSecure - 1)
	return o
}

// extension is one that nobody else uses.
func (o *office) extension(t *testing.T) string { return take(t, &o.plain, lastPlain) }

// secured is one that nobody else uses, with srtp = "required".
func (o *office) secured(t *testing.T) string { return take(t, &o.secure, lastSecure) }

func take(t *testing.T, next *atomic.Int32, last int) string {
	t.Helper()
	n := int(next.Add(1))
	if n > last {
		t.Fatal("the office has no more extensions")
	}
	return strconv.Itoa(n)
}

var ports = map[string]int{"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 5066, "wss": 7443}

// config is that of a phone of this office.
func (o *office) config(user, transport string) phone.Config {
	return phone.Config{
		Server: o.Addr(ports[transport]), Transport: transport, User: user, Password: password,
		CAFile: filepath.Join(o.Dir, "cert.pem"),
	}
}

// start makes a phone; it ends with the test.
func start(t *testing.T, c phone.Config) *phone.Phone {
	t.Helper()
	p, err := phone.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// register makes a phone and registers it.
func register(t *testing.T, c phone.Config) *phone.Phone {
	t.Helper()
	p := start(t, c)
	if err := p.Register(within(t), time.Minute); err != nil {
		t.Fatalf("%s does not register: %v", c.User, err)
	}
	return p
}

// desk is a registered phone at an extension of its own.
func (o *office) desk(t *testing.T, transport string) (*phone.Phone, string) {
	t.Helper()
	user := o.extension(t)
	return register(t, o.config(user, transport)), user
}

// within bounds one step.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test when a step did.
func must(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// until polls.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not %s within %v", what, patience)
		}
	}
}

// hear waits for a tone.
func hear(t *testing.T, who string, c *phone.Call, hz float64) {
	t.Helper()
	if _, err := c.WaitTone(within(t), hz); err != nil {
		t.Fatalf("%s: %v; %+v", who, err, c.Report())
	}
}

// quiet waits until a call has been silent for a while.
func quiet(t *testing.T, who string, c *phone.Call) {
	t.Helper()
	must(t, who, c.WaitQuiet(within(t), 300*time.Millisecond))
}

// incoming is the next call of a phone.
func incoming(t *testing.T, p *phone.Phone) *phone.Call {
	t.Helper()
	c, err := p.WaitIncoming(within(t))
	must(t, "incoming call", err)
	return c
}

// ended waits for the end of a call and checks who ended it.
func ended(t *testing.T, c *phone.Call, by string) phone.Ended {
	t.Helper()
	e, err := c.Wait(within(t))
	must(t, "end of the call", err)
	if e.By != by {
		t.Errorf("ended by %s, want %s: %+v", e.By, by, e)
	}
	return e
}

// A record is what these tests read of a call record.
type record struct {
	From     string  `json:"from"`
	Number   string  `json:"number"`
	Status   int     `json:"status"`
	Cause    int     `json:"cause"`
	EndedBy  string  `json:"ended_by"`
	Duration float64 `json:"duration"`
	Attempts []struct {
		Extension string `json:"extension"`
		Status    int    `json:"status"`
	} `json:"attempts"`
	Legs      []leg `json:"legs"`
	Transfers []struct {
		By     string `json:"by"`
		To     string `json:"to"`
		Kind   string `json:"kind"`
		Status int    `json:"status"`
	} `json:"transfers"`
}

type leg struct {
	Leg       string `json:"leg"`
	Party     string `json:"party"`
	Transport string `json:"transport"`
	Media     struct {
		Codec string
		Suite string
		In    struct{ Packets, Lost int }
	} `json:"media"`
}

// leg is the entry of a party; the test fails without it.
func (r record) leg(t *testing.T, party string) leg {
	t.Helper()
	for _, l := range r.Legs {
		if l.Party == party && l.Media.In.Packets > 0 {
			return l
		}
	}
	t.Fatalf("no leg of %s with media in the record %+v", party, r)
	return leg{}
}

// records are those of calls from one extension, oldest first.
func (o *office) records(t *testing.T, from string) (all []record) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(o.Dir, "state", "cdr.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	// A last line that is being written has no end yet.
	for line := range strings.Lines(string(raw)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err == nil && r.From == from {
			all = append(all, r)
		} else if err != nil && strings.HasSuffix(line, "\n") {
			t.Fatalf("call record %s: %v", line, err)
		}
	}
	return all
}

// record waits for the newest record of calls from an extension, the nth.
func (o *office) record(t *testing.T, from string, n int) record {
	t.Helper()
	var all []record
	until(t, fmt.Sprintf("record %d of calls from %s written", n, from), func() bool {
		all = o.records(t, from)
		return len(all) >= n
	})
	return all[n-1]
}
