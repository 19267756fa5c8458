package sip_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/sip"
	"tandem/sip/siptest/siptorture"
)

// judge parses and validates a message: 0 when it passes, the code to answer with, or -1 when it is dropped.
func judge(raw string) (*sip.Message, int) {
	m := new(sip.Message)
	if err := m.Parse(raw); err != nil {
		return m, -1
	}
	fault := sip.Validate(m, nil)
	switch {
	case fault == nil:
		return m, 0
	case !sip.CanRespond(m):
		return m, -1
	}
	return m, fault.Code
}

func wanted(m siptorture.Message) int {
	switch m.Verdict {
	case siptorture.Refuse:
		return m.Code
	case siptorture.Drop:
		return -1
	}
	return 0
}

func TestTorture(t *testing.T) {
	for _, tc := range siptorture.Messages() {
		t.Run(tc.Name, func(t *testing.T) {
			m, got := judge(tc.Raw)
			if want := wanted(tc); got != want {
				t.Fatalf("§%s, %s: %d %v, want %d", tc.Section, tc.Trap, got, sip.Validate(m, nil), want)
			}
			if read := fields[tc.Name]; got == 0 && read == nil {
				t.Fatal("nothing says how it must be read")
			} else if read != nil {
				read(t, m)
			}
			answerable(t, m)
		})
	}
}

// answerable checks that a response to any request is well-formed as far as the request was, and goes back
// where it came from.
func answerable(t *testing.T, m *sip.Message) {
	if !sip.CanRespond(m) {
		return
	}
	m.Source = netip.MustParseAddrPort("198.51.100.9:40404")
	var r sip.Message
	if err := r.Parse(string(sip.AppendResponse(nil, m, 400, "", "ours"))); err != nil || r.Status() != 400 {
		t.Fatalf("response: %v, status %d", err, r.Status())
	}
	for i := range r.Len() {
		if strings.ContainsAny(r.Value(i), "\x00") && !strings.Contains(r.Value(i), "\\\x00") {
			t.Fatalf("response line %d carries a control character: %q", i, r.Value(i))
		}
	}
	if v, ok := m.ReplyVia(); !ok || v.Params.Has("rport") && v.ResponseAddr(m.Source) != m.Source {
		t.Fatalf("response goes to %v %v", v.ResponseAddr(m.Source), ok)
	}
}

// torn are the raw files of the RFCs whose bytes differ from ours in more than words, and why.
var torn = map[string]struct {
	code int
	why  string
}{
	"baddn": {400, "the file ends before the blank line"},
}

// rawNames maps the RFC's files to our messages, where they are called otherwise.
var rawNames = map[string]string{
	"ipv6-good": "v6-good", "ipv6-bad": "v6-bad", "port-ambiguous": "v6-port-ambiguous",
	"port-unambiguous": "v6-port-unambiguous", "via-received-param-with-delim": "v6-received-delimited",
	"via-received-param-no-delim": "v6-received-bare", "ipv6-in-sdp": "v6-in-sdp",
	"mult-ip-in-header": "v6-mixed-vias", "mult-ip-in-sdp": "v6-mixed-sdp", "ipv4-mapped-ipv6": "v6-mapped",
	"ipv6-bug-abnf-3-colons": "v6-three-colons", "ipv6-correct-abnf-2-colons": "v6-two-colons",
	"baddn-with-blank-line": "baddn",
}

// The raw files of the RFCs get the same verdict as our messages, where they lie beside the project.
func TestTortureFiles(t *testing.T) {
	want := map[string]int{}
	for _, m := range siptorture.Messages() {
		want[m.Name] = wanted(m)
	}
	files := tortureFiles(t)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		if ours, ok := rawNames[name]; ok {
			name = ours
		}
		code, known := want[name]
		if t, ok := torn[name]; ok {
			code = t.code
		}
		m, got := judge(string(raw))
		if !known || got != code {
			t.Errorf("%s: %d %v, want %d (known: %v)", file, got, sip.Validate(m, nil), code, known)
		}
		if got >= 0 && string(m.Splice(nil)) != m.Raw()[:len(m.Splice(nil))] {
			t.Errorf("%s: does not leave as it came", file)
		}
	}
	t.Logf("%d raw files", len(files))
}

// tortureFiles finds sip-torture in the folder shared that stands beside the project's root.
func tortureFiles(t *testing.T) (files []string) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
	for _, pattern := range []string{"*.dat", "rfc5118/*.dat", "variants/*.dat"} {
		found, err := filepath.Glob(filepath.Join(dir, "../shared/sip-torture", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

// Every split of a torturous stream gives the same frames: the worst messages, twice each.
func TestTortureOverAStream(t *testing.T) {
	for _, tc := range siptorture.Messages() {
		if tc.Name != "wsinv" && tc.Name != "mpart01" && tc.Name != "dblreq" && tc.Name != "intmeth" {
			continue
		}
		whole := frames(t, tc.Raw+tc.Raw, len(tc.Raw)*2)
		for cut := 1; cut < len(tc.Raw); cut++ {
			if got := frames(t, tc.Raw+tc.Raw, cut); !slices.Equal(got, whole) {
				t.Fatalf("%s cut at %d: %q", tc.Name, cut, got)
			}
		}
		n := 2
		if tc.Name == "dblreq" {
			n = 6 // REGISTER, a line end that means nothing, INVITE
		}
		if len(whole) != n {
			t.Fatalf("%s: %d frames, want %d: %q", tc.Name, len(whole), n, whole)
		}
	}
}

// frames hands the first n bytes over, then the rest, and collects what is found.
func frames(t *testing.T, stream string, n int) (out []string) {
	var f sip.Framer
	for _, end := range []int{n, len(stream)} {
		for {
			at := 0
			for _, m := range out {
				at += len(m)
			}
			k, kind, err := f.Next([]byte(stream[at:end]))
			if err != nil {
				t.Fatal(err)
			}
			if kind == sip.FrameNone {
				break
			}
			out = append(out, stream[at:at+k])
		}
	}
	return out
}
