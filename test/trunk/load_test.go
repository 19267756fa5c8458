package trunk

import (
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"tandem/test/binary"
	"tandem/test/sipp"
)

// callerScenario is a carrier that sends us calls: each is answered, lasts for half a second, and is hung up.
const callerScenario = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
INVITE sip:+33140000001@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
To: <sip:+33140000001@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=caller 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true" rtd="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <pause milliseconds="500"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+442079460055@[local_ip]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
`

// soak is how long TANDEM_SOAK asks a test to go on, and at most so long; 0: the short form.
func soak(t testing.TB, most time.Duration) time.Duration {
	d, err := time.ParseDuration(os.Getenv("TANDEM_SOAK"))
	if err != nil {
		return 0
	}
	t.Logf("the long form: %v", min(d, most))
	return min(d, most)
}

// calling sends calls at a rate from a host.
func calling(t testing.TB, s *binary.Switch, host string, rate, calls int) *sipp.Run {
	t.Helper()
	args := append(sipp.Stats, "-r", strconv.Itoa(rate), "-m", strconv.Itoa(calls), "-timeout", strconv.Itoa(calls/rate+90)+"s", s.Addr(5060))
	return sipp.Start(t, host, callerScenario, args...)
}

// finished gives the good and the failed calls, when all are over.
func finished(t testing.TB, caller *sipp.Run, limit time.Duration) (good, bad int) {
	t.Helper()
	if err := caller.Wait(limit); err != nil {
		t.Error(err)
	}
	return caller.Counts()
}

// shares is how many calls each of three trunks took.
type shares [3]float64

func taken(s *binary.Switch) (out shares) {
	m := s.Metrics()
	for i, name := range []string{"a", "b", "c"} {
		out[i] = m[`tandem_trunk_calls_total{direction="out",trunk="`+name+`"}`]
	}
	return out
}

// hold fails where the calls between two moments are not parted by weights, to 5 % of them, or to two calls of few.
func (x shares) hold(t *testing.T, when string, from shares, weights ...float64) {
	t.Helper()
	calls, sum := 0.0, 0.0
	for i := range x {
		calls += x[i] - from[i]
		sum += weights[i]
	}
	for i, w := range weights {
		got, want := x[i]-from[i], calls*w/sum
		if math.Abs(got-want) > max(0.05*want, 2) {
			t.Errorf("%s: trunk %c had %v of %v calls, want %.1f", when, 'a'+i, got, calls, want)
		}
	}
	t.Logf("%s: %v calls, %v %v %v", when, calls, x[0]-from[0], x[1]-from[1], x[2]-from[2])
}

// TestACarrierDiesUnderLoad: calls go over a group of three trunks by weight while the first is killed and comes back. No
// call fails, and the weights hold among those that live. TANDEM_SOAK=60s makes it 200 calls a second for that long.
func TestACarrierDiesUnderLoad(t *testing.T) {
	rate, length := 40, 14*time.Second
	if long := soak(t, time.Minute); long > 0 {
		rate, length = 200, long
	}
	script := scenarioHead + says("200 OK", true) + scenarioTalk
	hosts := []string{binary.Host(), following(t, script), following(t, script)}
	stop := carrierAt(t, hosts[0], script)
	source := binary.Host()
	s := open(t, plainTrunk("source", source, "accept {}")+plainTrunk("a", hosts[0])+plainTrunk("b", hosts[1])+plainTrunk("c", hosts[2])+`
trunk_group "out" {
  member {
    trunk  = trunk.a
    weight = 50
  }
  member {
    trunk  = trunk.b
    weight = 30
  }
  member {
    trunk  = trunk.c
    weight = 20
  }
}
route "through" {
  from = [trunk.source]
  to   = "+331..."
  dial { trunks = [trunk_group.out] }
  failover { first_reply = "4s" }
}
`)
	calls := rate * int(length/time.Second)
	caller := calling(t, s, source, rate, calls)
	enough := float64(rate) * length.Seconds() / 5
	total := func(from shares) func() bool {
		return func() bool {
			x := taken(s)
			return x[0]+x[1]+x[2]-from[0]-from[1]-from[2] > enough
		}
	}
	start := taken(s)
	s.Eventually(patience+length, "calls over all", total(start))
	taken(s).hold(t, "all live", start, 50, 30, 20)
	stop()
	s.Eventually(patience, "one is down", func() bool { return s.Metrics()[`tandem_trunk_state{state="down",trunk="a"}`] == 1 })
	dead := taken(s)
	s.Eventually(patience+length, "calls over the others", total(dead))
	now := taken(s)
	dead[0], now[0] = 0, 0 // a call now and then finds out whether it lives
	now.hold(t, "one is dead", dead, 0, 30, 20)
	before := taken(s)[0]
	stop = carrierAt(t, hosts[0], script)
	defer stop()
	s.Eventually(patience+length, "calls over the first again", func() bool {
		return taken(s)[0] > before+4 && s.Metrics()[`tandem_trunk_state{state="up",trunk="a"}`] == 1
	})
	back := taken(s)
	good, bad := finished(t, caller, length+2*time.Minute)
	taken(s).hold(t, "it is back", back, 50, 30, 20)
	if good != calls || bad != 0 {
		t.Errorf("%d of %d calls were good, %d failed", good, calls, bad)
	}
}

// TestLimitsAreExactUnderLoad: what carriers see of channels, calls a second, and the channels of a group, with more calls
// than they all may have; the rest goes on to the last.
func TestLimitsAreExactUnderLoad(t *testing.T) {
	rate, length := 60, 6*time.Second
	if long := soak(t, time.Minute); long > 0 {
		rate, length = 200, long
	}
	var channels, pace, group, rest tally
	source := binary.Host()
	s := open(t, plainTrunk("source", source, "accept {}")+
		plainTrunk("channels", counter(t, &channels).host, "channels_out = 20")+plainTrunk("pace", counter(t, &pace).host, "cps = 10")+
		plainTrunk("one", counter(t, &group).host)+plainTrunk("two", counter(t, &group).host)+plainTrunk("rest", counter(t, &rest).host)+`
trunk_group "both" {
  trunks   = [trunk.one, trunk.two]
  channels = 3
}
route "through" {
  from = [trunk.source]
  to   = "+331..."
  dial { trunks = [trunk.channels, trunk.pace, trunk_group.both, trunk.rest] }
}
`)
	calls := rate * int(length/time.Second)
	good, bad := finished(t, calling(t, s, source, rate, calls), length+2*time.Minute)
	if good != calls || bad != 0 {
		t.Errorf("%d of %d calls were good, %d failed", good, calls, bad)
	}
	t.Logf("%d calls: %d over 20 channels, %d at 10 a second, %d over 3 channels of a group, %d over the rest",
		calls, len(channels.began), len(pace.began), len(group.began), len(rest.began))
	if channels.most != 20 || group.most != 3 {
		t.Errorf("at once %d and %d, want 20 and 3", channels.most, group.most)
	}
	// At the carrier a busy machine moves a call by a little; TestCallsASecondAreExact has the limit to the nanosecond.
	const jitter = 200 * time.Millisecond
	for i := 10; i < len(pace.began); i++ {
		if d := pace.began[i].Sub(pace.began[i-10]); d < time.Second-jitter {
			t.Errorf("11 calls in %v", d)
		}
	}
	if least := int(length/time.Second)*10 - 10; len(pace.began) < least {
		t.Errorf("%d calls at 10 a second for %v", len(pace.began), length)
	}
	if len(rest.began) == 0 {
		t.Error("nothing was left for the last: the limits were not reached")
	}
	m := s.Metrics()
	for _, name := range []string{`tandem_trunk_calls_refused_total{direction="out",trunk="channels",why="full"}`, `tandem_trunk_calls_refused_total{direction="out",trunk="one",why="group full"}`} {
		if m[name] == 0 {
			t.Error("not counted:", name)
		}
	}
	s.Idle(patience)
	if m = s.Metrics(); m[`tandem_trunk_group_channels{direction="out",group="both"}`] != 0 || m[`tandem_trunk_channels{direction="out",trunk="channels"}`] != 0 {
		t.Error("channels are held when all is over")
	}
}
