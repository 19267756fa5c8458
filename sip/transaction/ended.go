package transaction

import (
	"tandem/sip"
	"tandem/sip/transport"
)

// Ended is the handle of a request that another process had answered: it tells what was asked and from where, and takes no
// response any more (ErrTerminated).
func Ended(f transport.Flow, m *sip.Message) *Server {
	return &Server{flow: f, req: *m, shard: &shard{}, entry: &entry{Machine: Machine{state: Terminated}}}
}
