package registrar

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/sip/digest"
	"tandem/sip/transport"
)

// tape is a Journal that holds the last record of each AOR, and counts.
type tape struct {
	records map[string]Record
	puts    int
}

func (j *tape) Put(r Record)      { j.records[r.AOR], j.puts = r, j.puts+1 }
func (j *tape) Delete(aor string) { delete(j.records, aor) }

// A refresh that says the same is told seldom; whatever else changes is told at once. What the Journal has never ends before what the
// phone was granted, nor later than the slack after it.
func TestRefreshesAreToldSeldom(t *testing.T) {
	const expires = 600
	contact := func(more string) string {
		return fmt.Sprintf("Contact: <sip:1001@192.0.2.100>%s;expires=%d", more, expires)
	}
	for name, c := range map[string]struct {
		then func(r *Registrar, now time.Time, register func(now time.Time, lines ...string))
		told int // more than the first
	}{
		"the same a little later": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) { register(now, contact("")) }, 0},
		"within the slack": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) {
			for i := range 3 {
				register(now.Add(time.Duration(i)*500*time.Second), contact(""))
			}
		}, 0},
		"after the slack": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) {
			for i := range 7 {
				register(now.Add(time.Duration(i)*500*time.Second), contact(""))
			}
		}, 1},
		"another parameter": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) { register(now, contact(";x=1")) }, 1},
		"another q": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) {
			register(now, contact(";q=0.5"))
		}, 1},
		"for much shorter": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) {
			register(now, "Contact: <sip:1001@192.0.2.100>;expires=60")
		}, 1},
		"a second contact": {func(_ *Registrar, now time.Time, register func(time.Time, ...string)) {
			register(now, "Contact: <sip:1001@192.0.2.101>;expires=600")
		}, 1},
		"the Journal lost something": {func(r *Registrar, now time.Time, register func(time.Time, ...string)) {
			r.store.Doubt("")
			register(now, contact(""))
			register(now, contact(""))
		}, 1},
		"the Journal lost this": {func(r *Registrar, _ time.Time, _ func(time.Time, ...string)) { r.store.Doubt("1001") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			j := &tape{records: map[string]Record{}}
			r := New(Config{Domains: []string{"example.com"}}, NewStore(j), digest.New(digest.Config{Realm: realm}), anyone{}, silent)
			seq, now, flow := 0, start, udpFlow(homeAddr)
			register := func(at time.Time, lines ...string) {
				seq++
				now = at
				lines = append(lines, fmt.Sprintf("CSeq: %d REGISTER", seq))
				if code := answered(t, r.Register(at, flow, message(t, homeAddr, lines...), "1001")).Status(); code != 200 {
					t.Fatalf("answered %d", code)
				}
				granted := r.store.Lookup("1001", at)[0].Expires
				for _, b := range j.records["1001"].Bindings[:1] {
					if late := b.Expires.Sub(granted); late < 0 || late > slackMost {
						t.Errorf("kept until %v after what was granted", late)
					}
				}
			}
			register(now, contact(""))
			first := j.puts
			c.then(r, now.Add(time.Minute), register)
			if got := j.puts - first; got != c.told {
				t.Errorf("told %d times, want %d", got, c.told)
			}
			// Somebody else goes on with what was told: nobody is missing, and who leaves there is gone.
			next := NewStore(nil)
			for _, rec := range j.records {
				next.Apply(now, rec, func(FlowRecord) transport.Flow { return transport.Flow{} })
			}
			if a, b := len(r.store.Lookup("1001", now)), len(next.shard("1001").aors["1001"]); a != b {
				t.Errorf("%d bindings here, %d there", a, b)
			}
			leave := message(t, homeAddr, "Contact: *", "Expires: 0", "CSeq: 99 REGISTER")
			r.Register(now, flow, leave, "1001")
			if len(j.records) != 0 {
				t.Errorf("left and still kept: %+v", j.records)
			}
		})
	}
}

// No binding outlives its credentials in the Journal either.
func TestKeptWithinCredentials(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct{ granted, until, want time.Duration }{
		{time.Minute, 0, 4 * time.Minute},
		{time.Hour, 0, 2 * time.Hour},
		{time.Minute, 90 * time.Second, 90 * time.Second},
		{time.Minute, time.Hour, 4 * time.Minute},
	} {
		x := change{}
		if c.until > 0 {
			x.until = now.Add(c.until)
		}
		if got := x.keeps(now, c.granted).Sub(now); got != c.want {
			t.Errorf("granted %v, credentials for %v: kept %v, want %v", c.granted, c.until, got, c.want)
		}
	}
}

// What has expired while nobody ran is not rung, and the Journal forgets it with the first round.
func TestExpiredMeanwhile(t *testing.T) {
	old := Record{AOR: "1001", Bindings: []BindingRecord{{Contact: "sip:1001@192.0.2.1", CallID: "x", Expires: start.Add(-time.Second)}}}
	j := &tape{records: map[string]Record{"1001": old}}
	s := NewStore(j)
	s.Apply(start, old, func(FlowRecord) transport.Flow { return transport.Flow{} })
	if got := s.Lookup("1001", start); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	s.Expire(start)
	if aors, bindings := s.Count(); len(j.records) != 0 || aors != 0 || bindings != 0 {
		t.Errorf("kept: %+v; %d AORs and %d bindings here", j.records, aors, bindings)
	}
}

// What another node had answered for is taken, but for what phones have said here since.
func TestMerge(t *testing.T) {
	now := time.Now()
	at := now.Add(-10 * time.Second)
	binding := func(contact, callID string, registered time.Time) BindingRecord {
		return BindingRecord{Contact: contact, CallID: callID, Registered: registered, Expires: registered.Add(time.Hour)}
	}
	before, since := at.Add(-time.Minute), at.Add(time.Second)
	outbound := func(contact, callID string, registered time.Time) BindingRecord {
		b := binding(contact, callID, registered)
		b.Instance, b.RegID = "<urn:uuid:1>", 1
		return b
	}
	for name, c := range map[string]struct {
		here, told []BindingRecord
		want       string // Call-IDs
	}{
		"unknown here":                 {nil, []BindingRecord{binding("sip:a", "told", at)}, "told"},
		"older here":                   {[]BindingRecord{binding("sip:a", "here", before)}, []BindingRecord{binding("sip:a", "told", at)}, "told"},
		"newer here":                   {[]BindingRecord{binding("sip:a", "here", since)}, []BindingRecord{binding("sip:a", "told", at)}, "here"},
		"another phone since":          {[]BindingRecord{binding("sip:b", "here", since)}, []BindingRecord{binding("sip:a", "told", at)}, "told here"},
		"another phone, taken back":    {[]BindingRecord{binding("sip:b", "here", before)}, []BindingRecord{binding("sip:a", "told", at)}, "told"},
		"all taken back":               {[]BindingRecord{binding("sip:a", "here", before)}, nil, ""},
		"all taken back, and again":    {[]BindingRecord{binding("sip:a", "here", since)}, nil, "here"},
		"expired":                      {nil, []BindingRecord{binding("sip:a", "told", now.Add(-2*time.Hour))}, ""},
		"the same flow, other contact": {[]BindingRecord{outbound("sip:b", "here", since)}, []BindingRecord{outbound("sip:a", "told", at)}, "here"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &tape{records: map[string]Record{}}
			s := NewStore(j)
			none := func(FlowRecord) transport.Flow { return transport.Flow{} }
			s.Apply(now, Record{AOR: "1001", Bindings: c.here}, none)
			s.Merge(now, at, Record{AOR: "1001", Bindings: c.told}, none)
			var got, kept []string
			for r := range s.Snapshot() {
				for _, b := range r.Bindings {
					got = append(got, b.CallID)
				}
			}
			for _, b := range j.records["1001"].Bindings {
				kept = append(kept, b.CallID)
			}
			if strings.Join(got, " ") != c.want || strings.Join(kept, " ") != c.want {
				t.Errorf("known %q, told %q; want %q", got, kept, c.want)
			}
		})
	}
}
