package transport

import (
	"hash/maphash"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"tandem/sip"
)

// inbox is what one reading goroutine uses again for each message.
type inbox struct {
	layer *Layer
	count *counters
	msg   sip.Message
}

// admitted measures a source against the strangers' budget, before anything that it sent is read.
func (in *inbox) admitted(source netip.Addr) bool {
	p := in.layer.now.Load()
	return p.budget == nil || p.config.Known != nil && p.config.Known(source) || p.budget.admit(source, time.Now())
}

// datagram handles one that is not lost to the budget. Whoever meant it sends it again.
func (in *inbox) datagram(f Flow, raw []byte) {
	if in.admitted(f.remote.Addr()) {
		in.take(f, raw)
		return
	}
	in.count.received(len(raw))
	in.count.drop(DropBudget)
}

// take handles the text of one message; raw is valid during the call.
func (in *inbox) take(f Flow, raw []byte) {
	in.count.received(len(raw))
	if in.msg.Parse(string(raw)) != nil {
		in.count.drop(DropGarbage)
		return
	}
	in.handle(f)
}

// handle validates the message and hands it up. A panic, here or above, ends this message.
func (in *inbox) handle(f Flow) {
	defer in.recover(f)
	in.layer.inHand.Add(1) // before the question: see Settled
	defer in.layer.inHand.Add(-1)
	m := &in.msg
	if !in.layer.admits() || begins(m) && !in.layer.begins() {
		in.count.drop(DropAway)
		return
	}
	m.Source = f.remote
	if fault := sip.Validate(m, nil); fault != nil {
		in.count.drop(DropInvalid)
		in.layer.refuse(f, m, fault)
		return
	}
	in.layer.handler.Receive(f, m)
}

// begins tells whether a message is a request that begins something.
func begins(m *sip.Message) bool {
	return m.IsRequest() && m.ToTag() == "" && m.Method() != sip.ACK && m.Method() != sip.CANCEL
}

// isBeginning is begins for the text of a message; one that cannot be read begins nothing.
func isBeginning(raw []byte) bool {
	var m sip.Message
	return m.Parse(string(raw)) == nil && begins(&m)
}

// Settled tells whether the Handler is done with all that it was given. Once Config.Admits has begun to say no, it stays so.
func (l *Layer) Settled() bool { return l.inHand.Load() == 0 }

func (in *inbox) recover(f Flow) {
	if p := recover(); p != nil {
		in.count.drop(DropPanic)
		in.layer.log.Error("panic in handling a message", "peer", f.remote, "listener", f.Listener(), "panic", p,
			"stack", string(debug.Stack()))
	}
}

// refuse answers a request that failed validation, without state (RFC 3261 §8.2, §16.3). An ACK is never
// answered, and neither is what tells no way back.
func (l *Layer) refuse(f Flow, m *sip.Message, fault *sip.StatusError) {
	if !sip.CanRespond(m) {
		return
	}
	w := sip.NewWriter(nil)
	w.Respond(m, fault.Code, fault.Reason, l.toTag(m))
	if name, value, ok := strings.Cut(fault.Header, ":"); ok {
		w.Add(name, sip.Trim(value))
	}
	w.Finish("", nil)
	if raw, err := w.Bytes(); err == nil {
		_ = Reply(f, m).Send(raw) // what is lost is asked for again
	}
}

// toTag is the same for each copy of one request, so that a retransmission gets the same answer (RFC 3261
// §8.2.7).
func (l *Layer) toTag(m *sip.Message) string {
	var h maphash.Hash
	h.SetSeed(l.seed)
	h.WriteString(m.Header(sip.HeaderCallID))
	h.WriteByte(0)
	h.WriteString(m.Header(sip.HeaderFrom))
	h.WriteByte(0)
	if via, ok := m.ReplyVia(); ok {
		h.WriteString(via.Branch())
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// Reply is the flow that a response to req goes down, when req came from f. Over a stream that is the
// connection itself. Over UDP it is the source with rport, else the source's address and the port of the
// sent-by (RFC 3261 §18.2.2, RFC 3581 §4).
func Reply(f Flow, req *sip.Message) Flow {
	if f.Proto() != UDP {
		return f
	}
	via, ok := req.ReplyVia()
	if !ok {
		return f
	}
	return f.To(via.ResponseAddr(f.remote))
}
