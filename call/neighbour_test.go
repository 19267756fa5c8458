package call

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"tandem/registrar"
	"tandem/sip"
	"tandem/sip/siptest"
	"tandem/sip/transport"
)

// neighbour is another shard, as a phone that one can ask.
type neighbour struct {
	*phone
	asked string // Replaces that it was asked for
}

func (n *neighbour) Ways(extension, replaces string) []registrar.Binding {
	n.asked = extension + " " + replaces
	return []registrar.Binding{{AOR: extension, Contact: "sip:way@" + n.Addr().String(), Flow: n.o.udp.Flow(n.Addr().String())}}
}

func (n *neighbour) Speaks(m *sip.Message) (string, bool) {
	return "1002", m.Source.Addr() == n.Addr().Addr() && strings.HasPrefix(m.RequestURI(), "sip:taken@")
}

// A transfer to a dialog that is in another shard asks there, by INVITE with Replaces in the transferor's name.
func TestTransferToCallOfAnotherShard(t *testing.T) {
	const there = "call-of-another;to-tag=x;from-tag=y"
	for _, found := range []bool{true, false} {
		inOffice(t, func(o *office) {
			alice, bob := o.alice(), o.bob()
			shard := &neighbour{phone: o.phone(transport.UDP, "shard", 7)}
			o.board.neighbours = shard
			a, b := o.talk(alice, bob)
			b.refers("<sip:1003@" + domain + "?Replaces=" + url.QueryEscape(there) + ">")
			a.rejoins()
			c := shard.rung()
			replaces, _ := c.invite.Named("Replaces")
			if m := c.invite; m.RequestURI() != "sip:way@"+shard.Addr().String() || replaces != there || shard.asked != "1002 "+there {
				o.Errorf("asked %q by\n%s", shard.asked, m.Raw())
			}
			if !found {
				c.says(481, "")
				shard.hears(sip.ACK)
				b.told("480") // nobody knows it
				a.rejoins()
				o.hangsUp(a, b)
				return
			}
			c.says(200, "answer of carol")
			shard.hears(sip.ACK)
			b.told("200")
			bob.oks(sip.BYE)
			a.rejoins()
			o.hangsUp(a, c)
		})
	}
}

// Another shard takes a call over in the name of who is in it, without a password; a stranger by the same words is asked for one.
func TestNeighbourTakesCallOver(t *testing.T) {
	inOffice(t, func(o *office) {
		alice, bob := o.alice(), o.bob()
		shard := &neighbour{phone: o.phone(transport.UDP, "shard", 7)}
		o.board.neighbours = shard
		a, b := o.talk(alice, bob)
		ask := func(p *phone, user string) *dialogue {
			o.calls++
			d := &dialogue{phone: p, cseq: 1, callID: fmt.Sprint("taking-", o.calls), target: "sip:" + user + "@" + domain}
			d.request = siptest.Request{
				Method: sip.INVITE, URI: d.target, From: "<sip:anybody@192.0.2.7>;tag=" + sip.NewTag(), To: "<sip:1002@" + domain + ">", CallID: d.callID,
				Branch: sip.NewBranch(), Body: "offer of a shard", Lines: []string{p.contact(), "Require: replaces", "Replaces: " + b.replacing()},
			}
			d.local = d.request.From
			p.Send(p.flow, d.request)
			return d
		}
		ask(o.phone(transport.UDP, "stranger", 8), "taken").hears("401")
		ask(shard.phone, "made-up").hears("401")
		s := ask(shard.phone, "taken")
		s.hears("200")
		s.acks("")
		bob.oks(sip.BYE)
		a.rejoins()
		o.hangsUp(s, a)
	})
}
