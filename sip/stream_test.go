package sip

import (
	"fmt"
	"strings"
	"testing"
)

// framed runs a whole stream through a Framer, handing it over in pieces of step bytes, and tells what came
// out: a line for each frame, the error last.
func framed(stream string, step int) (frames []string) {
	f := Framer{}
	var buf []byte
	for at := 0; ; {
		n, kind, err := f.Next(buf)
		if err != nil {
			return append(frames, fmt.Sprintf("error %d %q", err.Code, buf[:n]))
		}
		if kind != FrameNone {
			frames = append(frames, fmt.Sprintf("%d %q", kind, buf[:n]))
			buf = buf[n:]
			continue
		}
		if at >= len(stream) {
			return append(frames, fmt.Sprintf("left %q", buf))
		}
		end := min(at+step, len(stream))
		buf = append(buf, stream[at:end]...)
		at = end
	}
}

func TestFramer(t *testing.T) {
	const opt = "OPTIONS sip:a@b SIP/2.0\r\n"
	one := opt + "Content-Length: 3\r\n\r\nabc"
	lean := opt + "L : \r\n 0\r\n\r\n"
	huge := opt + "l: 2000000000\r\n\r\n"
	tests := map[string]struct {
		stream string
		want   []string
	}{
		"one":             {one, []string{fmt.Sprintf("1 %q", one), `left ""`}},
		"pipelined":       {one + lean + one, []string{fmt.Sprintf("1 %q", one), fmt.Sprintf("1 %q", lean), fmt.Sprintf("1 %q", one), `left ""`}},
		"ping between":    {one + "\r\n\r\n" + lean, []string{fmt.Sprintf("1 %q", one), `2 "\r\n\r\n"`, fmt.Sprintf("1 %q", lean), `left ""`}},
		"two pings":       {"\r\n\r\n\r\n\r\n", []string{`2 "\r\n\r\n"`, `2 "\r\n\r\n"`, `left ""`}},
		"stray line ends": {"\r\n\n" + lean, []string{`3 "\r\n"`, `3 "\n"`, fmt.Sprintf("1 %q", lean), `left ""`}},
		"incomplete":      {one[:len(one)-1], []string{fmt.Sprintf("left %q", one[:len(one)-1])}},
		"line feeds":      {"A b SIP/2.0\nl:1\n\nx", []string{`1 "A b SIP/2.0\nl:1\n\nx"`, `left ""`}},
		"same twice":      {opt + "l: 1\r\nContent-Length: 01\r\n\r\nx", []string{fmt.Sprintf("1 %q", opt+"l: 1\r\nContent-Length: 01\r\n\r\nx"), `left ""`}},
		"two that differ": {opt + "l: 1\r\nl: 2\r\n\r\nx", []string{fmt.Sprintf("error 400 %q", opt+"l: 1\r\nl: 2\r\n\r\n")}},
		"none":            {opt + "\r\nx", []string{fmt.Sprintf("error 400 %q", opt+"\r\n")}},
		"negative":        {opt + "l: -1\r\n\r\nx", []string{fmt.Sprintf("error 400 %q", opt+"l: -1\r\n\r\n")}},
		"a word":          {opt + "l: five\r\n\r\nx", []string{fmt.Sprintf("error 400 %q", opt+"l: five\r\n\r\n")}},
		"huge":            {huge, []string{fmt.Sprintf("error 413 %q", huge)}},
		"beyond 64 bits":  {opt + "l: 99999999999999999999999\r\n\r\n", []string{fmt.Sprintf("error 413 %q", opt+"l: 99999999999999999999999\r\n\r\n")}},
		"in another name": {opt + "X-Content-Length: 9\r\nl: 0\r\n\r\n", []string{fmt.Sprintf("1 %q", opt+"X-Content-Length: 9\r\nl: 0\r\n\r\n"), `left ""`}},
		"in a fold":       {opt + "X: a\r\n l: 9\r\nl: 0\r\n\r\n", []string{fmt.Sprintf("1 %q", opt+"X: a\r\n l: 9\r\nl: 0\r\n\r\n"), `left ""`}},
		"TLS hello":       {"\x16\x03\x01\x02\x00", []string{`error 400 ""`}},
		"lone return":     {"\rA", []string{`error 400 ""`}},
	}
	for name, tc := range tests {
		for _, step := range []int{1, 2, 3, 5, 7, 16, 1 << 16} {
			if got := framed(tc.stream, step); strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("%s in steps of %d:\n got %s\nwant %s", name, step, got, tc.want)
			}
		}
	}
}

func TestFramerBoundsTheHeaders(t *testing.T) {
	f := Framer{Max: 100}
	buf := []byte("OPTIONS sip:a@b SIP/2.0\r\nX: ")
	for len(buf) < 100 {
		if _, kind, err := f.Next(buf); kind != FrameNone || err != nil {
			t.Fatalf("at %d bytes: %d %v", len(buf), kind, err)
		}
		buf = append(buf, 'x')
	}
	if n, _, err := f.Next(buf); n != 0 || err == nil || err.Code != 513 {
		t.Fatalf("at the limit: %d %v, want 513 and nothing to answer", n, err)
	}
}

func TestFramerTakesThePongAtOnce(t *testing.T) {
	f := Framer{}
	if n, kind, err := f.Next([]byte("\r\n")); n != 0 || kind != FrameNone || err != nil {
		t.Fatalf("half a ping: %d %d %v", n, kind, err)
	}
	f.Pinged = true
	if n, kind, err := f.Next([]byte("\r\n")); n != 2 || kind != FramePong || err != nil || f.Pinged {
		t.Fatalf("pong: %d %d %v %v", n, kind, err, f.Pinged)
	}
}

// A message of n bytes that comes byte by byte must cost about n looks, not n²: 60 KB at n² would be
// 1.8 billion of them.
func TestFramerIsLinear(t *testing.T) {
	msg := []byte("OPTIONS sip:a@b SIP/2.0\r\nX: " + strings.Repeat("y", 30000) + "\r\nl: 30000\r\n\r\n" + strings.Repeat("z", 30000))
	f := Framer{}
	for i := range msg {
		n, _, err := f.Next(msg[:i])
		if n != 0 || err != nil {
			t.Fatalf("at %d: %d %v", i, n, err)
		}
		if head := min(i, len(msg)-30000-1); i > 40 && f.need == 0 && f.scanned < head-3 {
			t.Fatalf("at %d bytes only %d are remembered", i, f.scanned)
		}
	}
	if n, kind, err := f.Next(msg); n != len(msg) || kind != FrameMessage || err != nil {
		t.Fatalf("whole: %d %d %v", n, kind, err)
	}
	if f.scanned != 0 || f.need != 0 {
		t.Fatalf("after a message: %+v", f)
	}
}

func TestFramerDoesNotAllocate(t *testing.T) {
	buf := []byte("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: 3\r\n\r\nabc")
	var f Framer
	if n := testing.AllocsPerRun(100, func() { _, _, _ = f.Next(buf) }); n != 0 {
		t.Fatalf("%v allocations a message, want 0", n)
	}
}
