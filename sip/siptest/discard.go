package siptest

import (
	"net/netip"
	"sync/atomic"
	"tandem/sip/transport"
)

// Discard is a link that counts what is sent and throws it away: for benchmarks, and for tests that look at
// the sender only. Fail, once set, is what Send returns.
type Discard struct {
	Sent  atomic.Int64
	Bytes atomic.Int64
	Fail  atomic.Pointer[error]
	proto transport.Proto
}

// NewDiscard makes one.
func NewDiscard(proto transport.Proto) *Discard { return &Discard{proto: proto} }

// Flow is a flow of the link between two addresses of the documentation range.
func (d *Discard) Flow() transport.Flow {
	return transport.NewFlow(d, netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060"))
}

func (d *Discard) Proto() transport.Proto             { return d.proto }
func (d *Discard) ID() uint64                         { return 1 }
func (d *Discard) Listener() string                   { return "discard" }
func (d *Discard) SentBy(local netip.AddrPort) string { return local.String() }
func (d *Discard) Alive() bool                        { return true }
func (d *Discard) Names() []string                    { return nil }
func (d *Discard) Send(_, _ netip.AddrPort, raw []byte) error {
	if err := d.Fail.Load(); err != nil {
		return *err
	}
	d.Sent.Add(1)
	d.Bytes.Add(int64(len(raw)))
	return nil
}
