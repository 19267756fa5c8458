package transaction

import (
	"errors"
	"fmt"
	"slices"
	"tandem/sip"
	"testing"
	"time"
)

var testTimers = Timers{
	T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second, D: 32 * time.Second, Trying: tryingDelay,
}

// at is an instant in milliseconds; machines start at 1000.
func at(ms int) time.Duration { return time.Duration(ms+1000) * time.Millisecond }

// TestMachines steps each machine by hand. A step is what happens, when, and what must come of it: actions,
// the state after it and the next deadline (0: none).
func TestMachines(t *testing.T) {
	type step struct {
		ms    int
		what  string // a status from the peer, "<" and a status from the user, a method, tick, cancel, broken
		out   []Action
		state State
		next  int // ms; 0: none
	}
	do := func(a ...Action) []Action { return a }
	cases := []struct {
		name     string
		kind     Kind
		reliable bool
		start    step
		steps    []step
	}{
		{"invite client, refused", InviteClient, false, step{state: Calling, next: 500}, []step{
			{499, "tick", nil, Calling, 500},
			{500, "tick", do(Resend), Calling, 1500},
			{1500, "tick", do(Resend), Calling, 3500},
			{1600, "100", do(Pass), Proceeding, 0},
			{1700, "183", do(Pass), Proceeding, 0},
			{2000, "404", do(Ack, Pass), Completed, 34000},
			{2500, "404", do(Resend), Completed, 34000},
			{2600, "200", nil, Completed, 34000},
			{2700, "180", nil, Completed, 34000},
			{2800, "broken", nil, Completed, 34000},
			{2900, "cancel", nil, Completed, 34000},
			{34000, "tick", do(End), Terminated, 0}}},
		{"invite client, refused, reliable", InviteClient, true, step{state: Calling, next: 32000}, []step{
			{10, "603", do(Ack, Pass, End), Terminated, 0}}},
		{"invite client, accepted", InviteClient, true, step{state: Calling, next: 32000}, []step{
			{10, "200", do(Pass), Accepted, 32010},
			{20, "200", do(Pass), Accepted, 32010},
			{30, "486", nil, Accepted, 32010},
			{32010, "tick", do(End), Terminated, 0}}},
		{"invite client, nobody there", InviteClient, true, step{state: Calling, next: 32000}, []step{
			{10, "cancel", nil, Calling, 32000},
			{32000, "tick", do(Fail, End), Terminated, 0}}},
		{"invite client, cancelled early", InviteClient, false, step{state: Calling, next: 500}, []step{
			{10, "cancel", nil, Calling, 500},
			{20, "180", do(Cancel, Pass), Proceeding, 32020},
			{30, "180", do(Pass), Proceeding, 32020},
			{40, "cancel", nil, Proceeding, 32020},
			{32020, "tick", do(Fail, End), Terminated, 0}}},
		{"invite client, broken", InviteClient, true, step{state: Calling, next: 32000}, []step{
			{20, "180", do(Pass), Proceeding, 0},
			{30, "broken", do(Fail, End), Terminated, 0}}},
		{"non-invite client", NonInviteClient, false, step{state: Trying, next: 500}, []step{
			{500, "tick", do(Resend), Trying, 1500},
			{600, "100", do(Pass), Proceeding, 1500},
			{1500, "tick", do(Resend), Proceeding, 5500},
			{1600, "cancel", nil, Proceeding, 5500},
			{1700, "200", do(Pass), Completed, 6700},
			{1800, "200", nil, Completed, 6700},
			{6700, "tick", do(End), Terminated, 0}}},
		{"non-invite client, reliable", NonInviteClient, true, step{state: Trying, next: 32000}, []step{
			{10, "100", do(Pass), Proceeding, 32000},
			{20, "404", do(Pass, End), Terminated, 0}}},
		{"invite server, refused", InviteServer, false, step{state: Proceeding, next: 200}, []step{
			{100, sip.INVITE, do(Resend), Proceeding, 200},
			{110, sip.ACK, nil, Proceeding, 200},
			{200, "tick", do(Hundred), Proceeding, 0},
			{300, "<180", do(Send), Proceeding, 0},
			{400, sip.CANCEL, do(Cancel), Proceeding, 0},
			{410, sip.CANCEL, nil, Proceeding, 0},
			{500, "<487", do(Send), Completed, 1000},
			{1000, "tick", do(Resend), Completed, 2000},
			{1100, sip.INVITE, do(Resend), Completed, 2000},
			{1200, sip.CANCEL, nil, Completed, 2000},
			{1300, sip.ACK, nil, Confirmed, 6300},
			{1400, sip.INVITE, nil, Confirmed, 6300},
			{1500, sip.ACK, nil, Confirmed, 6300},
			{6300, "tick", do(End), Terminated, 0}}},
		{"invite server, refused, reliable", InviteServer, true, step{state: Proceeding, next: 200}, []step{
			{100, "<486", do(Send), Completed, 32100},
			{1300, sip.ACK, do(End), Terminated, 0}}},
		{"invite server, never acknowledged", InviteServer, true, step{state: Proceeding, next: 200}, []step{
			{100, "<486", do(Send), Completed, 32100},
			{32100, "tick", do(Fail, End), Terminated, 0}}},
		{"invite server, accepted", InviteServer, false, step{state: Proceeding, next: 200}, []step{
			{100, "<200", do(Send), Accepted, 32100},
			{200, sip.INVITE, nil, Accepted, 32100},
			{300, "<200", do(Send), Accepted, 32100},
			{400, sip.ACK, do(Pass), Accepted, 32100},
			{500, sip.CANCEL, nil, Accepted, 32100},
			{32100, "tick", do(End), Terminated, 0}}},
		{"non-invite server", NonInviteServer, false, step{state: Trying, next: 32000}, []step{
			{100, sip.INFO, nil, Trying, 32000},
			{200, "<100", do(Send), Proceeding, 32000},
			{300, sip.INFO, do(Resend), Proceeding, 32000},
			{400, "<200", do(Send), Completed, 32400},
			{500, sip.INFO, do(Resend), Completed, 32400},
			{32400, "tick", do(End), Terminated, 0}}},
		{"non-invite server, reliable", NonInviteServer, true, step{state: Trying, next: 32000}, []step{
			{400, "<200", do(Send, End), Terminated, 0}}},
		{"non-invite server, forgotten", NonInviteServer, true, step{state: Trying, next: 32000}, []step{
			{400, "<100", do(Send), Proceeding, 32000},
			{32000, "tick", do(Fail, End), Terminated, 0}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := Start(c.kind, c.reliable, &testTimers, at(0))
			check := func(s step) {
				t.Helper()
				want := at(s.next)
				if s.next == 0 {
					want = 0
				}
				if m.State() != s.state || m.Deadline() != want {
					t.Fatalf("at %d ms after %q: %v until %v, want %v until %v", s.ms, s.what, m.State(), m.Deadline(), s.state, want)
				}
			}
			check(c.start)
			for _, s := range c.steps {
				out, err := stepMachine(&m, at(s.ms), s.what)
				if err != nil || !slices.Equal(out, s.out) {
					t.Fatalf("at %d ms: %q: actions %v, want %v; error %v", s.ms, s.what, out, s.out, err)
				}
				check(s)
			}
		})
	}
}

func stepMachine(m *Machine, now time.Duration, what string) ([]Action, error) {
	var status int
	switch {
	case what == "tick":
		return m.Tick(now, nil), nil
	case what == "cancel":
		return m.Cancel(now, nil), nil
	case what == "broken":
		return m.Broken(nil), nil
	case what[0] == '<':
		_, _ = fmt.Sscan(what[1:], &status)
		return m.Respond(now, status, nil)
	case what[0] <= '9':
		_, _ = fmt.Sscan(what, &status)
		return m.Receive(now, Input{Status: status}, nil), nil
	}
	return m.Receive(now, Input{Method: what}, nil), nil
}

// TestRefusedResponses: what a server's machine must not let out.
func TestRefusedResponses(t *testing.T) {
	cases := []struct {
		kind          Kind
		reliable      bool
		first, second string
		want          error
	}{
		{InviteServer, false, "<487", "<200", ErrFinal},
		{InviteServer, false, "<487", "<180", ErrFinal},
		{InviteServer, false, "<200", "<180", ErrFinal},
		{InviteServer, false, "<200", "<486", ErrFinal},
		{InviteServer, false, "<200", "<202", nil},
		{NonInviteServer, false, "<200", "<200", ErrFinal},
		{NonInviteServer, false, "<200", "<100", ErrFinal},
		{NonInviteServer, true, "<200", "<200", ErrTerminated},
	}
	for _, c := range cases {
		m := Start(c.kind, c.reliable, &testTimers, at(0))
		if _, err := stepMachine(&m, at(1), c.first); err != nil {
			t.Fatal(err)
		}
		before := m
		out, err := stepMachine(&m, at(2), c.second)
		if !errors.Is(err, c.want) || c.want != nil && (len(out) != 0 || m != before) {
			t.Errorf("%v: %s after %s: %v %v", c.kind, c.second, c.first, out, err)
		}
	}
}

// FuzzMachine drives the machines with anything in any order. Whatever comes: a final response or failure
// reaches the user once (but for the 2xx of an INVITE), nothing is sent again over a reliable transport, an
// ended machine does nothing, and every machine ends once its peer and user have said what they had to say.
func FuzzMachine(f *testing.F) {
	f.Add(byte(0), []byte{1, 2, 3, 4, 5, 6})
	f.Add(byte(6), []byte{9, 9, 0, 7, 8, 0, 0})
	words := []string{"tick", "100", "180", "200", "486", "<100", "<180", "<200", "<486", "again", sip.ACK, sip.CANCEL, "cancel", "broken"}
	f.Fuzz(func(t *testing.T, which byte, story []byte) {
		kind, reliable := Kind(which%4), which&4 != 0
		client := kind <= NonInviteClient
		timers := testTimers
		if which&8 != 0 {
			timers.C = time.Minute
		}
		now := at(0)
		m := Start(kind, reliable, &timers, now)
		finals, failures := 0, 0
		take := func(what string, out []Action) {
			for i, a := range out {
				switch {
				case a == Resend && reliable && client && m.state != Completed:
					t.Fatalf("%v sends again over a connection", kind)
				case a == Fail:
					failures++
				case a == Pass && client && (what == "486" || what == "200" && kind == NonInviteClient):
					finals++
				case a == End && (i != len(out)-1 || m.state != Terminated || m.Deadline() != 0):
					t.Fatalf("%v ends with %v in %v", kind, out, m.state)
				}
			}
			if finals > 1 || failures > 1 || finals+failures > 1 {
				t.Fatalf("%v: %d finals, %d failures", kind, finals, failures)
			}
		}
		for _, b := range story {
			if m.state == Terminated {
				break
			}
			what := words[int(b)%len(words)]
			switch {
			case what == "tick":
				now = max(now, m.Deadline())
			case client && (what[0] == '<' || what == sip.ACK || what == sip.CANCEL || what == "again"),
				!client && (what[0] <= '9' && what[0] != '<' || what == "cancel" || what == "broken"),
				kind == NonInviteServer && (what == sip.ACK || what == sip.CANCEL):
				continue
			case what == "again":
				what = sip.INFO
			}
			now += time.Millisecond
			out, err := stepMachine(&m, now, what)
			if err != nil && len(out) != 0 {
				t.Fatalf("%v: actions %v with %v", kind, out, err)
			}
			take(what, out)
		}
		if kind == InviteClient && m.state == Proceeding { // it may ring for ever until the user has enough
			take("cancel", m.Cancel(now, nil))
		}
		if kind == InviteServer && m.state == Proceeding {
			out, _ := m.Respond(now, 486, nil)
			take("<486", out)
		}
		for ticks := 0; m.state != Terminated; ticks++ {
			if now = m.Deadline(); now == 0 || ticks > 100 {
				t.Fatalf("%v stays in %v for ever", kind, m.state)
			}
			take("tick", m.Tick(now, nil))
		}
	})
}
