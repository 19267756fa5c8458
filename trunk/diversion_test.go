package trunk

import (
	"strings"
	"testing"

	"tandem/sip"
)

func TestDiversionsAreWritten(t *testing.T) {
	chain := []Diversion{{"+442079460018", Always}, {"", Busy}, {"+442079460020", NoAnswer}, {"1003", Unreachable}}
	for _, x := range []struct {
		name string
		cfg  Config
		all  []Diversion
		want string
	}{
		{"off", Config{}, chain, ""},
		{"nobody", Config{Diversion: true, History: true}, nil, ""},
		{"inside numbers only", Config{Diversion: true, History: true}, []Diversion{{"", Busy}, {"1003", Busy}}, ""},
		{"one", Config{Diversion: true}, chain[:1], "Diversion: <sip:+442079460018@c.test>;reason=unconditional"},
		{"chain, as the carrier writes numbers", Config{Diversion: true, Numbers: E164WithoutPlus, UserPhone: true, CallerID: "+442079460000"}, chain,
			"Diversion: <sip:442079460020@c.test;user=phone>;reason=no-answer\n" +
				"Diversion: <sip:442079460000@c.test;user=phone>;reason=user-busy\n" +
				"Diversion: <sip:442079460018@c.test;user=phone>;reason=unconditional"},
		{"history", Config{History: true}, chain[:1],
			"History-Info: <sip:+442079460018@c.test>;index=1\nHistory-Info: <sip:+33140000002@c.test;cause=302>;index=1.1;mp=1"},
		{"long history", Config{History: true}, chain,
			"History-Info: <sip:+442079460018@c.test>;index=1\nHistory-Info: <sip:+442079460020@c.test;cause=302>;index=1.1;mp=1\n" +
				"History-Info: <sip:+33140000002@c.test;cause=408>;index=1.1.1;mp=1.1"},
	} {
		x.cfg.Domain = "c.test"
		w := sip.NewWriter(nil)
		w.Request("INVITE", "sip:x@c.test")
		x.cfg.WriteDiversions(w, x.all, "+33140000002", britain{})
		w.Finish("", nil)
		raw, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.SplitSeq(string(raw), "\r\n") {
			if strings.HasPrefix(line, "Diversion") || strings.HasPrefix(line, "History-Info") {
				got = append(got, line)
			}
		}
		if g := strings.Join(got, "\n"); g != x.want {
			t.Errorf("%s:\n%s\nwant\n%s", x.name, g, x.want)
		}
	}
}

func TestDiversionsAreRead(t *testing.T) {
	for _, x := range []struct {
		name, lines string
		want        []Diversion
		count       int
	}{
		{"none", "", nil, 0},
		{"one", "Diversion: <sip:+33140000009@c.test>;reason=user-busy;privacy=off\r\n", []Diversion{{"+33140000009", Busy}}, 1},
		{"two lines, the last first", "Diversion: <sip:+33140000008@c.test>;reason=NO-ANSWER\r\nDiversion: \"x\" <tel:+33140000009>;reason=\"unconditional\"\r\n",
			[]Diversion{{"+33140000009", Always}, {"+33140000008", NoAnswer}}, 2},
		{"a counter", "Diversion: <sip:+33140000009@c.test>;counter=7\r\n", []Diversion{{"+33140000009", Unknown}}, 7},
		{"a counter that is none", "Diversion: <sip:+33140000009@c.test>;counter=-7\r\n", []Diversion{{"+33140000009", Unknown}}, 1},
		{"a counter without end", "Diversion: <sip:+33140000009@c.test>;counter=99999999999999999999\r\n", []Diversion{{"+33140000009", Unknown}}, 1},
		{"broken", "Diversion: <sip:\r\n", nil, 0},
		{"history", "History-Info: <sip:a@c.test>;index=1, <sip:b@c.test;cause=302>;index=1.1, <sip:b@c.test;cause=302>;index=1.1.1\r\n", nil, 2},
	} {
		var m sip.Message
		if err := m.Parse("INVITE sip:x@c.test SIP/2.0\r\n" + x.lines + "\r\n"); err != nil {
			t.Fatal(x.name, err)
		}
		c := Config{}
		got, count := c.Diversions(&m, britain{})
		if count != x.count || len(got) != len(x.want) {
			t.Fatalf("%s: %v, %d", x.name, got, count)
		}
		for i := range got {
			if got[i] != x.want[i] {
				t.Errorf("%s: %v", x.name, got)
			}
		}
	}
}
