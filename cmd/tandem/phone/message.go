package phone

import (
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// A Header is one header field, as it is written.
type Header struct{ Name, Value string }

const (
	allowed   = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, MESSAGE"
	mediaType = "application/sdp"
)

// A draft is a request before it has a transaction: everything but Via, CSeq number and credentials. Addresses are
// raw header values, tags included, so that what the other side wrote comes back as it was.
type draft struct {
	method   string
	target   string // Request-URI
	routes   []string
	from, to string
	callID   string
	contact  string
	extra    []Header
	bodyType string
	body     []byte
}

// headerValues returns the values of a header field by its long and compact name, split at commas outside quotes,
// except for the challenges, which hold commas of their own.
func headerValues(m sip.Message, name, compact string) []string {
	var values []string
	for _, h := range m.(interface{ Headers() []sip.Header }).Headers() {
		if !strings.EqualFold(h.Name(), name) && (compact == "" || !strings.EqualFold(h.Name(), compact)) {
			continue
		}
		if strings.HasSuffix(name, "-Authenticate") {
			values = append(values, h.Value())
			continue
		}
		for _, v := range splitOutside(h.Value(), ',') {
			if v = strings.TrimSpace(v); v != "" {
				values = append(values, v)
			}
		}
	}
	return values
}

func headerValue(m sip.Message, name, compact string) string {
	if values := headerValues(m, name, compact); len(values) > 0 {
		return values[0]
	}
	return ""
}

// contactURI is the first contact's URI, or "".
func contactURI(m sip.Message) string {
	return parseAddress(headerValue(m, "Contact", "m")).uri
}

func fromTag(m sip.Message) string {
	if h := m.From(); h != nil {
		tag, _ := h.Params.Get("tag")
		return tag
	}
	return ""
}

func toTag(m sip.Message) string {
	if h := m.To(); h != nil {
		tag, _ := h.Params.Get("tag")
		return tag
	}
	return ""
}

func callID(m sip.Message) string {
	if h := m.CallID(); h != nil {
		return h.Value()
	}
	return ""
}

// hasSDP says whether a message carries an SDP body.
func hasSDP(m sip.Message) bool {
	kind, _, _ := strings.Cut(headerValue(m, "Content-Type", "c"), ";")
	return len(m.Body()) > 0 && strings.EqualFold(strings.TrimSpace(kind), mediaType)
}

// request builds the message for one attempt. Its Via is typed, because sipgo fills in the address it will leave from;
// everything else is text.
func (p *Phone) request(d draft, seq uint32, branch string, credentials []Header) (*sip.Request, error) {
	for _, h := range d.extra {
		if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") || h.Name == "" {
			return nil, fmt.Errorf("header %q holds a line break or has no name", h.Name)
		}
	}
	var recipient sip.Uri
	if strings.ContainsAny(d.target, "\r\n\x00 <>") {
		return nil, fmt.Errorf("target %q is no URI", d.target)
	}
	if err := sip.ParseUri(d.target, &recipient); err != nil {
		return nil, fmt.Errorf("target %q: %w", d.target, err)
	}
	hop, err := p.nextHop(d)
	if err != nil {
		return nil, err
	}
	req := sip.NewRequest(sip.RequestMethod(d.method), recipient)
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(hop.network), Params: sip.NewParams()}
	via.Params.Add("branch", branch)
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	for _, route := range d.routes {
		req.AppendHeader(sip.NewHeader("Route", route))
	}
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	for _, h := range []Header{{"From", d.from}, {"To", d.to}, {"Call-ID", d.callID}} {
		req.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: sip.RequestMethod(d.method)})
	if d.contact != "" {
		req.AppendHeader(sip.NewHeader("Contact", d.contact))
	}
	for _, h := range append(credentials, d.extra...) {
		req.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	req.AppendHeader(sip.NewHeader("User-Agent", p.set.agentName))
	if len(d.body) > 0 {
		req.AppendHeader(sip.NewHeader("Content-Type", d.bodyType))
	}
	req.SetBody(d.body)
	hop.address(p, req)
	return req, nil
}

// A hop is where a request goes next.
type hop struct {
	network string // of the wire: wss stays wss
	host    string
	port    int
}

// nextHop follows the route set, then the target (RFC 3261 §12.2.1.1). A WebSocket client has one way only, and a
// contact under .invalid (RFC 7118 §5) names no address: both go to the server. So does what has no dialog yet.
func (p *Phone) nextHop(d draft) (hop, error) {
	server := hop{p.set.network, p.set.host, p.set.port}
	outside := parseAddress(d.to).param("tag") == ""
	if p.set.host != "" && (outside || p.set.network == "ws" || p.set.network == "wss") {
		return server, nil
	}
	next := d.target
	if len(d.routes) > 0 {
		next = parseAddress(d.routes[0]).uri
	}
	u, err := parseURI(next)
	if err != nil {
		if p.set.host != "" {
			return server, nil
		}
		return hop{}, fmt.Errorf("target %q: %w", next, err)
	}
	network := strings.ToLower(u.param("transport"))
	switch {
	case network == "" && u.scheme == "sips":
		network = "tls"
	case network == "":
		network = p.set.network
	}
	if defaultPorts[network] == 0 {
		return hop{}, fmt.Errorf("target %q: transport %q", next, network)
	}
	host, port, err := splitHostPort(u.hostport, defaultPorts[network])
	if err != nil {
		return hop{}, fmt.Errorf("target %q: %w", next, err)
	}
	if strings.HasSuffix(host, ".invalid") && p.set.host != "" {
		return server, nil
	}
	return hop{network, host, port}, nil
}

// address tells sipgo where to send req and from where. UDP leaves from the one listening socket; for streams the
// local port must stay zero, because sipgo's pool would then hand out whichever connection used that port last.
func (h hop) address(p *Phone, req *sip.Request) {
	network := h.network
	if network == "wss" {
		network = "ws" // webSocketTransport does the TLS
	}
	req.SetTransport(strings.ToUpper(network))
	req.SetDestination(hostPort(h.host, h.port))
	req.Laddr = sip.Addr{IP: p.set.local.Addr().AsSlice()}
	if network == "udp" && p.set.network == "udp" {
		req.Laddr.Port = int(p.contactPort)
	}
}
