package registrar

import (
	"testing"
	"time"

	"tandem/sip/transport"
)

// What is left of a registration does not depend on the clock of who wrote it, nor on that of who reads it.
func TestRecordByAnotherClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"same": 0, "an hour ahead": time.Hour, "an hour back": -time.Hour, "5 s ahead": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			rec := recordOf("1001", []Binding{{AOR: "1001", Contact: "sip:1001@192.0.2.1", Registered: now, Expires: now.Add(10 * time.Minute)}})
			rec.Written = rec.Written.Add(ahead)
			b := &rec.Bindings[0]
			b.Expires, b.Registered = b.Expires.Add(ahead), b.Registered.Add(ahead)
			rec.Here(now, 3*time.Second)
			s := NewStore(nil)
			s.Apply(now, rec, func(FlowRecord) transport.Flow { return transport.Flow{} })
			list := s.Lookup("1001", now)
			if len(list) != 1 {
				t.Fatalf("%d bindings", len(list))
			}
			if left := list[0].Expires.Sub(now); left > 10*time.Minute-3*time.Second || left < 10*time.Minute-4*time.Second {
				t.Errorf("%v are left", left)
			}
		})
	}
}
