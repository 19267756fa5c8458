package trunk

import (
	"fmt"
	"strings"
	"testing"

	"tandem/test/binary"
	"tandem/test/wire"
)

// A carrier's leg is encrypted as it offers and its trunk allows, by RTP/SAVP or by keys beside RTP/AVP (RFC 8643); the phone's
// leg, over plain signalling, is not, and both hear each other.
func TestOneWaySRTP(t *testing.T) {
	for _, x := range []struct {
		policy, profile string // "" of profile: RTP/AVP without keys
		status          int
		encrypted       bool
	}{
		{"optional", "RTP/SAVP", 200, true},
		{"optional", "RTP/AVP", 200, true},
		{"optional", "", 200, false},
		{"required", "RTP/SAVP", 200, true},
		{"required", "", 488, false},
		{"off", "RTP/SAVP", 488, false},
		{"off", "RTP/AVP", 200, false},
	} {
		t.Run(x.policy+" "+strings.ReplaceAll(x.profile, "/", " "), func(t *testing.T) {
			t.Parallel()
			host := binary.Host()
			s := open(t, plainTrunk("c", host, fmt.Sprintf("accept { addresses = [%q] }\n  srtp = %q", host, x.policy))+strings.Replace(routes("c"), `"1001"`, `"1002"`, 1))
			callee := wire.NewPhone(wire.UDP(t, "127.0.0.1", 0, s.Addr(5060)), "1002", binary.Password)
			callee.Domain = s.Host
			callee.Register()
			carrier := wire.NewPhone(wire.TLS(t, host, s.Addr(5061)), "carrier", "")
			sound, inside := wire.NewMedia(t, host, "CARR"), wire.NewMedia(t, "127.0.0.1", "DESK")
			if x.profile != "" {
				sound.Secure()
			}
			offer := strings.Replace(sound.SDP(), " RTP/SAVP ", " "+x.profile+" ", 1)
			r := carrier.New("INVITE", inward)
			r.From, r.Body, r.Branch = fmt.Sprintf("<sip:+33140000001@%s>;tag=%s", host, wire.Token()), offer, "z9hG4bK"+wire.Token()
			carrier.Send(carrier.Text(r))
			call := &wire.Call{Phone: carrier, Invite: r, ID: r.CallID, From: r.From}
			if x.status == 200 {
				in := callee.Rung()
				if strings.Contains(in.Asked.Body, "crypto") || !strings.Contains(in.Asked.Body, " RTP/AVP ") {
					t.Error("keys over plain signalling:", in.Asked.Body)
				}
				in.Respond(200, inside.Answer(in.Asked.Body))
				in.Acked()
				inside.Start(t, in.Asked.Body)
			}
			final := call.Final(soon)
			if final.Status() != x.status {
				t.Fatal(final.Raw)
			}
			if x.status != 200 {
				return
			}
			call.Ack()
			if encrypted := strings.Contains(final.Body, "a=crypto:"); encrypted != x.encrypted || x.profile != "" && encrypted != strings.Contains(final.Body, " "+x.profile+" ") && x.encrypted {
				t.Error("answer:", final.Body)
			}
			if x.encrypted || x.profile == "" {
				sound.Start(t, final.Body)
				s.Eventually(patience, "hearing each other", func() bool {
					out, _ := sound.Heard("DESK")
					back, _ := inside.Heard("CARR")
					return out > 10 && back > 10
				})
			}
			call.Bye()
		})
	}
}
