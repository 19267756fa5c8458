package call

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tandem/media"
	"tandem/record"
	"tandem/sip"
)

// A node that has followed a call goes on with the ports that it had opened, in the state that came last.
func TestStandbyTakesOver(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		call := o.board.Calls()[0].Call
		first := o.journal.states[call]
		a.asks(sip.INVITE, "offer sendonly")
		r := b.phone.hears(sip.INVITE)
		b.replies(r, 200, "answer of bob", []string{b.contact()}, "")
		b.phone.hears(sip.ACK)
		a.phone.hears("200 INVITE")
		a.acks("")
		o.settle()
		last := o.journal.states[call]
		note, _ := json.Marshal(media.StreamState{At: time.Now().Add(time.Second)})
		o.killed(time.Second)
		o.follows = func(s *Standby) {
			for _, raw := range [][]byte{first, last, last} {
				if err := s.Put(raw, 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Note(call, "a", note); err != nil {
				t.Fatal(err)
			}
			if err := s.Note("nobody's", "a", note); err != nil {
				t.Fatal(err)
			}
			if calls, ready := s.Count(); calls != 1 || ready != 1 || o.media.open() != 2 {
				t.Fatalf("%d calls, %d ready, %d sessions open", calls, ready, o.media.open())
			}
			if n := o.media.of("a").followed; n != 2 { // the state again, and the note
				t.Errorf("told %d times", n)
			}
		}
		o.start()
		if o.revived.Calls != 1 || len(o.revived.Failed) != 0 || o.media.open() != 2 {
			t.Fatalf("revived %+v, %d sessions open", o.revived, o.media.open())
		}
		if s := o.media.of("a"); s.joined != o.media.of("b1") || s.direction.String() != "sendonly" {
			t.Errorf("session %+v", s)
		}
		o.media.of("a").presses('5') // its events find the call
		o.hangsUp(b, a)
		o.record()
	})
}

// Calls that end while they are followed hold nothing.
func TestStandbyForgets(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		call := o.board.Calls()[0].Call
		up := o.journal.states[call]
		a.asks(sip.BYE, "")
		a.hears("200 BYE")
		ended := o.journal.states[call]
		b.phone.oks(sip.BYE)
		o.idle()
		s := o.board.Standby()
		for _, raw := range [][]byte{up, ended} {
			if err := s.Put(raw, 0); err != nil {
				t.Fatal(err)
			}
		}
		if calls, ready := s.Count(); calls != 1 || ready != 1 || o.media.open() != 0 {
			t.Errorf("a call that ends: %d, %d ready, %d sessions", calls, ready, o.media.open())
		}
		s.Delete(call)
		if err := s.Put(up, 0); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if calls, _ := s.Count(); calls != 0 || o.media.open() != 0 {
			t.Errorf("%d calls and %d sessions after Close", calls, o.media.open())
		}
		if err := s.Put([]byte(`{"version":99}`), 0); err == nil {
			t.Error("a state of the future was taken")
		}
	})
}

// Calls are followed beside each other, and their notes beside them: none keeps what it has opened when all are over.
func TestStandbyFollowsSideBySide(t *testing.T) {
	inOffice(t, func(o *office) {
		o.keeps()
		alice, bob := o.alice(), o.bob()
		a, b := o.talk(alice, bob)
		var st State
		if err := record.Unmarshal(o.journal.states[o.board.Calls()[0].Call], &st); err != nil {
			t.Fatal(err)
		}
		s, before := o.board.Standby(), o.media.open()
		note, _ := json.Marshal(media.StreamState{At: time.Now().Add(time.Second)})
		var following sync.WaitGroup
		for i := range 8 {
			st := st
			st.Call = fmt.Sprint("call-", i)
			a, b := *st.A.Media, *st.B.Media
			a.Port.Local = netip.AddrPortFrom(a.Port.Local.Addr(), uint16(30000+4*i))
			b.Port.Local = netip.AddrPortFrom(a.Port.Local.Addr(), uint16(30002+4*i))
			other := *st.B
			st.A.Media, other.Media, st.B = &a, &b, &other
			raw, err := record.Marshal(st)
			if err != nil {
				t.Fatal(err)
			}
			following.Go(func() {
				for range 20 {
					if err := s.Put(raw, 0); err != nil {
						t.Error(err)
					}
					s.Count()
					if i%2 == 0 {
						s.Delete(st.Call)
					}
				}
			})
			following.Go(func() {
				for range 20 {
					if err := s.Note(st.Call, "a", note); err != nil {
						t.Error(err)
					}
				}
			})
		}
		following.Wait()
		if calls, ready := s.Count(); calls != 4 || ready != 4 || o.media.open() != before+8 {
			t.Errorf("%d calls, %d ready, %d sessions", calls, ready, o.media.open()-before)
		}
		s.Close()
		if o.media.open() != before {
			t.Errorf("%d sessions are left", o.media.open()-before)
		}
		o.hangsUp(b, a)
		o.record()
	})
}
