package rtp

import (
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func packet(seq uint16, timestamp, ssrc uint32) Packet {
	return append(AppendHeader(nil, Header{PayloadType: 8, Seq: seq, Timestamp: timestamp, SSRC: ssrc}), make([]byte, 160)...)
}

// feed sends the numbers one every 20 ms, with the timestamps that go with them.
func feed(r *Receiver, from time.Time, ssrc uint32, seqs ...int) (verdicts []Verdict) {
	for i, s := range seqs {
		verdicts = append(verdicts, r.Receive(packet(uint16(s), uint32(s)*160, ssrc), from.Add(time.Duration(i)*20*time.Millisecond)))
	}
	return verdicts
}

func run(from, n int) (seqs []int) {
	for i := range n {
		seqs = append(seqs, from+i)
	}
	return seqs
}

func TestReceiverCounts(t *testing.T) {
	type counts struct{ packets, expected, lost, dup, reordered, stray, restarts uint64 }
	for name, test := range map[string]struct {
		seqs []int
		want counts
		ext  uint32
	}{
		"nothing":                       {nil, counts{}, 0},
		"one":                           {[]int{5}, counts{packets: 1, expected: 1}, 5},
		"beginning at zero":             {[]int{0, 1}, counts{packets: 2, expected: 2}, 1},
		"in order":                      {run(100, 50), counts{packets: 50, expected: 50}, 149},
		"across the wrap":               {run(65530, 12), counts{packets: 12, expected: 12}, 65536 + 5},
		"one lost":                      {[]int{1, 2, 4, 5}, counts{packets: 4, expected: 5, lost: 1}, 5},
		"lost at the wrap":              {[]int{65534, 65535, 1}, counts{packets: 3, expected: 4, lost: 1}, 65537},
		"one twice":                     {[]int{1, 2, 2, 3}, counts{packets: 3, expected: 3, dup: 1}, 3},
		"an older one twice":            {[]int{1, 2, 3, 4, 2}, counts{packets: 4, expected: 4, dup: 1}, 4},
		"two swapped":                   {[]int{1, 3, 2, 4}, counts{packets: 4, expected: 4, reordered: 1}, 4},
		"swapped across the wrap":       {[]int{65535, 1, 0, 2}, counts{packets: 4, expected: 4, reordered: 1}, 65538},
		"swapped and twice":             {[]int{1, 3, 2, 2}, counts{packets: 3, expected: 3, dup: 1, reordered: 1}, 3},
		"before the first":              {[]int{10, 9, 11}, counts{packets: 3, expected: 3, reordered: 1}, 11},
		"before a first of zero":        {[]int{0, 65535, 1}, counts{packets: 3, expected: 3, reordered: 1}, 1},
		"99 late":                       {append(run(1, 98), 100, 101, 102, 103, 99), counts{packets: 103, expected: 103, reordered: 1}, 103},
		"a stray":                       {[]int{1, 2, 30000, 3}, counts{packets: 3, expected: 3, stray: 1}, 3},
		"a restart":                     {[]int{1, 2, 30000, 30001, 30002}, counts{packets: 4, expected: 4, stray: 1, restarts: 1}, 30002},
		"2999 lost":                     {[]int{1, 3000}, counts{packets: 2, expected: 3000, lost: 2998}, 3000},
		"duplicate of the 70 behind it": {append(run(1, 71), 1), counts{packets: 71, expected: 71, dup: 1}, 71},
	} {
		t.Run(name, func(t *testing.T) {
			var r Receiver
			feed(&r, epoch, 1, test.seqs...)
			got := counts{r.Packets, r.Expected(), r.Lost(), r.Duplicates, r.Reordered, r.Stray, r.Restarts}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if len(test.seqs) > 0 && r.ExtendedSeq() != test.ext {
				t.Errorf("extended %d, want %d", r.ExtendedSeq(), test.ext)
			}
			if r.Octets != 160*r.Packets {
				t.Errorf("%d octets in %d packets", r.Octets, r.Packets)
			}
		})
	}
}

func TestReceiverSSRCChange(t *testing.T) {
	var r Receiver
	feed(&r, epoch, 1, 10, 11, 13)
	feed(&r, epoch.Add(time.Second), 2, 60000, 60001)
	feed(&r, epoch.Add(2*time.Second), 1, 14)
	if r.SSRCChanges != 2 || r.Packets != 6 || r.Expected() != 7 || r.Lost() != 1 || r.SSRC != 1 {
		t.Errorf("%d changes, %d packets of %d, %d lost", r.SSRCChanges, r.Packets, r.Expected(), r.Lost())
	}
}

// A random walk of loss, repetition and reordering over several wraps agrees with plain counting.
func TestReceiverAgreesWithCounting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var r Receiver
	var lost, dup, unique uint64
	const n = 300_000
	held := -1
	for i := range n {
		switch x := rng.IntN(1000); {
		case x < 10 && i > 0 && i < n-1:
			lost++
			continue
		case x < 20 && held < 0 && i > 0 && i < n-200:
			held = i
			continue
		case x < 30 && i > 0:
			dup++
			r.Receive(packet(uint16(i), 0, 1), epoch)
		}
		unique++
		r.Receive(packet(uint16(i), 0, 1), epoch)
		if held >= 0 && i > held+rng.IntN(50) {
			unique++
			r.Receive(packet(uint16(held), 0, 1), epoch)
			held = -1
		}
	}
	if held >= 0 {
		lost++
	}
	if r.Packets != unique || r.Duplicates != dup || r.Lost() != lost || r.Expected() != n || r.Stray != 0 {
		t.Errorf("packets %d want %d, duplicates %d want %d, lost %d want %d, expected %d want %d, stray %d",
			r.Packets, unique, r.Duplicates, dup, r.Lost(), lost, r.Expected(), n, r.Stray)
	}
	if r.ExtendedSeq() != n-1 {
		t.Errorf("extended %d, want %d", r.ExtendedSeq(), n-1)
	}
}

func TestReceiverJitter(t *testing.T) {
	steady := Receiver{Rate: 8000}
	feed(&steady, epoch, 1, run(0, 200)...)
	if steady.Jitter() != 0 || steady.MaxJitter != 0 {
		t.Errorf("steady stream has jitter %v", steady.Jitter())
	}
	// Every second packet 10 ms late: |D| is 10 ms each time, and the smoothed value comes up to it.
	late := Receiver{Rate: 8000}
	for i := range 400 {
		at := epoch.Add(time.Duration(i)*20*time.Millisecond + time.Duration(i%2)*10*time.Millisecond)
		late.Receive(packet(uint16(i), uint32(i)*160, 1), at)
	}
	if j := late.Jitter(); j < 9500*time.Microsecond || j > 10*time.Millisecond {
		t.Errorf("jitter %v, want about 10 ms", j)
	}
	if rep := late.Report(epoch); rep.Jitter < 76 || rep.Jitter > 80 {
		t.Errorf("reported jitter %d clock units, want about 80", rep.Jitter)
	}
	// The same in a 48 kHz clock.
	wide := Receiver{Rate: 48000}
	for i := range 400 {
		at := epoch.Add(time.Duration(i)*20*time.Millisecond + time.Duration(i%2)*10*time.Millisecond)
		wide.Receive(packet(uint16(i), uint32(i)*960, 1), at)
	}
	if j := wide.Jitter(); j < 9500*time.Microsecond || j > 10100*time.Microsecond {
		t.Errorf("jitter at 48 kHz %v, want about 10 ms", j)
	}
	// The RTP clock of a talkspurt that begins anew is no jitter.
	feed(&steady, epoch.Add(4*time.Second), 1, 200)
	steady.Receive(packet(201, 1_000_000, 1), epoch.Add(4020*time.Millisecond))
	if steady.MaxJitter > 20*time.Millisecond {
		t.Errorf("timestamp step counted as jitter: %v", steady.MaxJitter)
	}
}

func TestReceiverReport(t *testing.T) {
	var r Receiver
	feed(&r, epoch, 77, 1, 2, 3, 4)
	r.HeardSR(SenderInfo{NTP: 0x1122334455667788}, epoch)
	rep := r.Report(epoch.Add(1500 * time.Millisecond))
	if rep.SSRC != 77 || rep.FractionLost != 0 || rep.Lost != 0 || rep.HighestSeq != 4 || rep.LSR != 0x33445566 || rep.DLSR != 3<<15 {
		t.Errorf("first report %+v", rep)
	}
	feed(&r, epoch, 77, 6, 7, 8) // one of four lost
	if rep = r.Report(epoch); rep.FractionLost != 64 || rep.Lost != 1 {
		t.Errorf("second report %+v, want 64/256 and 1", rep)
	}
	if rep = r.Report(epoch); rep.FractionLost != 0 || rep.Lost != 1 {
		t.Errorf("report on an empty interval %+v", rep)
	}
	feed(&r, epoch, 77, 8, 8, 8) // duplicates count as received (RFC 3550 §6.4.1)
	if rep = r.Report(epoch); rep.Lost != -2 {
		t.Errorf("report after duplicates %+v, want -2 lost", rep)
	}
	feed(&r, epoch, 78, 500)
	if rep = r.Report(epoch); rep.SSRC != 78 || rep.Lost != 0 || rep.LSR != 0 {
		t.Errorf("report on a new source %+v", rep)
	}
}

func TestSenderInfo(t *testing.T) {
	s := Sender{Rate: 8000}
	s.Sent(packet(1, 1000, 9), epoch)
	s.Sent(packet(2, 1160, 9), epoch.Add(20*time.Millisecond))
	info := s.Info(epoch.Add(120 * time.Millisecond))
	if s.SSRC != 9 || info.Packets != 2 || info.Octets != 320 || info.Timestamp != 1160+800 || info.NTP != NTP(epoch.Add(120*time.Millisecond)) {
		t.Errorf("SSRC %d, %+v", s.SSRC, info)
	}
}

func TestRoundTrip(t *testing.T) {
	var rt RoundTrip
	for i := range 6 {
		rt.Sent(uint32(100+i), epoch.Add(time.Duration(i)*time.Second))
	}
	for name, test := range map[string]struct {
		rep  Report
		at   time.Duration // after the epoch
		want time.Duration
		ok   bool
	}{
		"the last SR":               {Report{LSR: 105, DLSR: 1 << 16}, 6080 * time.Millisecond, 80 * time.Millisecond, true},
		"the one before":            {Report{LSR: 104, DLSR: 0}, 4050 * time.Millisecond, 50 * time.Millisecond, true},
		"one too old to be known":   {Report{LSR: 101}, 2 * time.Second, 0, false},
		"one that was never sent":   {Report{LSR: 999}, 2 * time.Second, 0, false},
		"no SR heard":               {Report{}, 2 * time.Second, 0, false},
		"a little less than none":   {Report{LSR: 105, DLSR: 1 << 16}, 5995 * time.Millisecond, 0, true},
		"much less than nothing":    {Report{LSR: 105, DLSR: 2 << 16}, 5500 * time.Millisecond, 0, false},
		"longer than anybody waits": {Report{LSR: 105}, 2 * time.Hour, 0, false},
	} {
		got, ok := rt.Heard(test.rep, epoch.Add(test.at))
		if ok != test.ok || ok && (got < test.want-time.Millisecond || got > test.want+time.Millisecond) {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, ok, test.want, test.ok)
		}
	}
}

// The expected values are worked out by hand from G.107 (see each line).
func TestMOS(t *testing.T) {
	stream := func(n, lose int, rtt time.Duration) *Receiver {
		r := &Receiver{RTT: rtt}
		for i := range n {
			if lose == 0 || i%lose != lose/2 {
				feed(r, epoch.Add(time.Duration(i)*20*time.Millisecond), 1, i)
			}
		}
		return r
	}
	for name, test := range map[string]struct {
		r     *Receiver
		codec Impairment
		want  MOS
	}{
		"nothing heard":            {&Receiver{}, G711, MOS{}},
		"perfect, no round trip":   {stream(1000, 0, 0), G711, MOS{LQ: 4.41}},                               // R 93.2
		"perfect, 100 ms":          {stream(1000, 0, 100*time.Millisecond), G711, MOS{LQ: 4.41, CQ: 4.39}},  // R 92.0
		"perfect, 600 ms":          {stream(1000, 0, 600*time.Millisecond), G711, MOS{LQ: 4.41, CQ: 3.72}},  // R 72.503
		"perfect G.729":            {stream(1000, 0, 0), ImpairmentOf("G729"), MOS{LQ: 4.10}},               // R 82.2
		"1 % lost":                 {stream(1000, 100, 0), G711, MOS{LQ: 3.83}},                             // Ie,eff 95/5.3 = 17.92, R 75.28
		"1 % lost, with PLC":       {stream(1000, 100, 0), G711PLC, MOS{LQ: 4.33}},                          // Ie,eff 95/26.1 = 3.64, R 89.56
		"half of it lost":          {stream(1000, 2, 0), G711, MOS{LQ: 1}},                                  // Ie,eff 95*50/54.3 = 87.5, R 5.7
		"5 % lost and 600 ms away": {stream(1000, 20, 600*time.Millisecond), G711, MOS{LQ: 2.17, CQ: 1.30}}, // Ie,eff 51.08; R 42.12 and 21.43
	} {
		got := test.r.MOS(test.codec)
		if diff(got.LQ, test.want.LQ) > 0.015 || diff(got.CQ, test.want.CQ) > 0.015 {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func diff(a, b float64) float64 { return max(a-b, b-a) }

func BenchmarkReceive(b *testing.B) {
	p := packet(0, 0, 1)
	var r Receiver
	for i := 0; b.Loop(); i++ {
		p.SetSeq(uint16(i))
		p.SetTimestamp(uint32(i) * 160)
		r.Receive(p, epoch.Add(time.Duration(i)*20*time.Millisecond))
	}
}
