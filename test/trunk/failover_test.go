package trunk

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// silent is a carrier that takes datagrams and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	host := binary.Host()
	c, err := net.ListenPacket("udp", host+":5060")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return host
}

// tried are the attempts of a call record as "trunk status", those passed over as "trunk: reason".
func tried(record map[string]any) (out []string) {
	attempts, _ := record["attempts"].([]any)
	for _, a := range attempts {
		m := a.(map[string]any)
		if m["contact"] == nil {
			out = append(out, fmt.Sprintf("%v: %v", m["trunk"], m["reason"]))
			continue
		}
		out = append(out, fmt.Sprintf("%v %v", m["trunk"], m["status"]))
	}
	return out
}

// recordOf waits for the record of the nth call, from 0.
func recordOf(t testing.TB, s *binary.Switch, n int) map[string]any {
	t.Helper()
	// A request that nobody answers keeps its call until Timer B ends it.
	s.Eventually(patience+32*time.Second, "recorded", func() bool { return len(s.Records()) > n })
	return s.Records()[n]
}

func TestFailover(t *testing.T) {
	good := answering(t)
	tests := []struct {
		name     string
		first    string // proxy of the first trunk
		status   int    // that the caller gets
		tried    string
		from, to time.Duration // until then
	}{
		{"503", failing(t, "503 Service Unavailable"), 200, "first 503, good 200", 0, 1500 * time.Millisecond},
		{"500", failing(t, "500 Server Internal Error"), 200, "first 500, good 200", 0, 1500 * time.Millisecond},
		{"480", failing(t, "480 Temporarily Unavailable"), 200, "first 480, good 200", 0, 1500 * time.Millisecond},
		{"408", failing(t, "408 Request Timeout"), 200, "first 408, good 200", 0, 1500 * time.Millisecond},
		{"403", failing(t, "403 Forbidden"), 403, "first 403", 0, 1500 * time.Millisecond},
		{"404", failing(t, "404 Not Found"), 404, "first 404", 0, 1500 * time.Millisecond},
		{"486", failing(t, "486 Busy Here"), 486, "first 486", 0, 1500 * time.Millisecond},
		{"600", failing(t, "600 Busy Everywhere"), 600, "first 600", 0, 1500 * time.Millisecond},
		{"603", failing(t, "603 Decline"), 603, "first 603", 0, 1500 * time.Millisecond},
		{"302 is not followed", failing(t, "302 Moved Temporarily"), 480, "first 302", 0, 1500 * time.Millisecond},
		{"no reply", silent(t), 200, "first 408, good 200", 2 * time.Second, 3500 * time.Millisecond},
		{"refused TCP", binary.Host() + ":5060;transport=tcp", 200, "first 503, good 200", 0, 1500 * time.Millisecond},
		{"early media, then 503", following(t, scenarioHead+says("183 Session Progress", true)+says("503 Service Unavailable", false)+scenarioAck), 480, "first 503", 0, 1500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, plainTrunk("first", tt.first)+plainTrunk("good", good)+routes("first", "good"))
			p := desk(t, s)
			began := time.Now()
			c, err := p.Dial(within(t, patience), "+33140000001", phone.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = c.WaitAnswered(within(t, patience))
			took := time.Since(began)
			if (err == nil) != (tt.status == 200) || err != nil && c.Report().Status != tt.status {
				t.Errorf("%v: status %d, want %d", err, c.Report().Status, tt.status)
			}
			if took < tt.from || took > tt.to {
				t.Errorf("took %v, want %v to %v", took, tt.from, tt.to)
			}
			if err == nil {
				c.PlayTone(440)
				if _, err := c.WaitTone(within(t, patience), 440); err != nil { // SIPp sends it back
					t.Error("no audio:", err)
				}
				if err := c.Hangup(within(t, patience)); err != nil {
					t.Error(err)
				}
			}
			if got := strings.Join(tried(recordOf(t, s, 0)), ", "); got != tt.tried {
				t.Errorf("tried %s, want %s", got, tt.tried)
			}
			m := s.Metrics()
			for _, trunk := range []string{"first", "good"} {
				if n := m[`tandem_trunk_channels{direction="out",trunk="`+trunk+`"}`]; n != 0 {
					t.Errorf("%v channels of %s are held", n, trunk)
				}
			}
		})
	}
}

// TestACarrierHasFourSecondsToSayAnything, where the plan names no other time.
func TestACarrierHasFourSecondsToSayAnything(t *testing.T) {
	t.Parallel()
	good := answering(t)
	s := open(t, plainTrunk("first", silent(t))+plainTrunk("good", good)+`
route "out" {
  to = "+..."
  dial { trunks = [trunk.first, trunk.good] }
}
`)
	p := desk(t, s)
	if took := through(t, p); took < 4*time.Second || took > 5500*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if took := through(t, p); took > 1500*time.Millisecond {
		t.Errorf("a dead carrier has another four seconds: %v", took)
	}
}
