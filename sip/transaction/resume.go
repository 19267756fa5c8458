package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
)

// Resume enters an INVITE that came to another process, which has not given its final answer: it is Proceeding here. The peer that sends it
// again, or a CANCEL, finds it. m is its text as it came; f the flow that it came on.
func (t *Table) Resume(f transport.Flow, m *sip.Message) *Server {
	via, err := m.TopVia()
	if err != nil {
		return Ended(f, m)
	}
	var room [192]byte
	tx := &Server{table: t, flow: f, req: *m}
	tx.req.Source = f.Remote()
	e := &entry{key: string(serverKey(room[:0], m, via)), flow: responseFlow(f, &tx.req, via), server: tx}
	if merge := t.mergeKeyOf(m); t.merged.claim(merge, e.key) {
		e.merge = merge
	}
	tx.entry, tx.shard = e, t.shard([]byte(e.key))
	s := tx.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Machine = Start(InviteServer, f.Proto().Reliable(), &t.timers, t.now())
	t.live.Add(1)
	s.insert(e)
	return tx
}
