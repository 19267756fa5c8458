package browser

import (
	"testing"

	"tandem/cmd/tandem/phone"
	"tandem/test/binary"
)

// otherHz is the tone of a second phone.
const otherHz = 880

func other(c *phone.Config) { c.Answer = phone.AutoAnswer("tone:880") }

// The page hands its call over: the two phones hear each other, and the page is free.
func TestTransfer(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, first := talking(t, s, s.Addr(5066))
	third := desk(t, s, "1003", other)
	b.click("Transfer")
	eval[bool](b, `tests.type('#transfer-to', '1003')`)
	eval[bool](b, `(document.querySelector('#transfer-now').click(), true)`)
	second := taken(t, third)
	b.over()
	hear(t, first, otherHz)
	hear(t, second, phoneHz)
	must(t, "hang up", second.Hangup(within(t)))
	_, err := first.Wait(within(t))
	must(t, "end", err)
	s.Idle(patience)
}

// A transfer that comes to nothing leaves the page connected, and says so.
func TestTransferFails(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, c := talking(t, s, s.Addr(5066))
	b.click("Transfer")
	eval[bool](b, `tests.type('#transfer-to', '9199')`)
	eval[bool](b, `(document.querySelector('#transfer-now').click(), true)`)
	b.await("what happened", `document.querySelector('.call .line').textContent.includes('Not transferred')`)
	b.hears(phoneHz)
	hear(t, c, microphoneHz)
	b.click("Hang up")
	b.over()
	s.Idle(patience)
}

// The page asks the third first, and then connects the two.
func TestTransferAfterAsking(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, first := talking(t, s, s.Addr(5066))
	third := desk(t, s, "1003", other)
	b.click("Transfer")
	eval[bool](b, `tests.type('#transfer-to', '1003')`)
	b.click("Ask first")
	second := taken(t, third)
	b.await("two calls", `page.phone.calls.filter((c) => c.state === 'up').length === 2`)
	b.hears(otherHz)
	hear(t, second, microphoneHz)
	b.await("the first on hold", `page.phone.calls[0].held`)
	b.click("Transfer")
	b.click("Connect 1003 with 1002")
	b.over()
	hear(t, first, otherHz)
	hear(t, second, phoneHz)
	must(t, "hang up", first.Hangup(within(t)))
	_, err := second.Wait(within(t))
	must(t, "end", err)
	s.Idle(patience)
}

// The page asks the third, whose phone rings still when the page leaves the two to each other.
func TestTransferWhileItRings(t *testing.T) {
	t.Parallel()
	s := binary.Start(t, binary.Office+binary.Media)
	b, _, first := talking(t, s, s.Addr(5066))
	third := desk(t, s, "1003", func(c *phone.Config) { c.Answer = phone.Answer{} })
	b.click("Transfer")
	eval[bool](b, `tests.type('#transfer-to', '1003')`)
	b.click("Ask first")
	asked, err := third.WaitIncoming(within(t))
	must(t, "the question", err)
	must(t, "ring", asked.Ring())
	b.await("ringing", `page.phone.calls.some((c) => c.state === 'ringing')`)
	b.await("the first on hold", `page.phone.calls[0].held`)
	eval[bool](b, `([...document.querySelectorAll('.call')].find((c) => c.textContent.includes('On hold')).querySelectorAll('button').values().find((x) => x.textContent === 'Transfer').click(), true)`)
	b.click("Connect 1002 with 1003")
	second, err := third.WaitIncoming(within(t))
	must(t, "the call for the other one", err)
	_, err = asked.Wait(within(t))
	must(t, "end of the question", err)
	must(t, "answer", second.Accept())
	b.over()
	hear(t, second, phoneHz)
	must(t, "hang up", first.Hangup(within(t)))
	_, err = second.Wait(within(t))
	must(t, "end", err)
	s.Idle(patience)
}
