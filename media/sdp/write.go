package sdp

import (
	"net/netip"
	"strconv"
	"strings"
)

// Bytes writes the description, lines in the order of RFC 8866 §5.
func (d *Description) Bytes() []byte {
	return d.appendRest(d.Origin.appendLines(make([]byte, 0, 512)))
}

// appendLines writes v= and o=, all that changes when nothing else does.
func (o *Origin) appendLines(b []byte) []byte {
	b = append(append(b, "v=0\r\no="...), o.User...)
	b = strconv.AppendUint(append(b, ' '), o.Session, 10)
	b = strconv.AppendUint(append(b, ' '), o.Version, 10)
	return append(appendAddress(append(b, ' '), o.Host), "\r\n"...)
}

// appendRest writes everything below o=.
func (d *Description) appendRest(b []byte) []byte {
	b = append(b, "s=-\r\n"...)
	if d.Addr.IsValid() || d.Host != "" {
		b = appendConnection(b, d.Addr, d.Host)
	}
	b = append(b, "t=0 0\r\n"...)
	b = appendAttributes(b, d.Attributes)
	for i := range d.Media {
		b = d.appendMedia(b, &d.Media[i])
	}
	return b
}

// appendAddress writes "IN IP4 host" for an address or a host name.
func appendAddress(b []byte, host string) []byte {
	if strings.Contains(host, ":") {
		b = append(b, "IN IP6 "...)
	} else {
		b = append(b, "IN IP4 "...)
	}
	return append(b, host...)
}

func appendConnection(b []byte, a netip.Addr, host string) []byte {
	if a.IsValid() {
		host = a.String()
	}
	return append(appendAddress(append(b, "c="...), host), "\r\n"...)
}

// appendNumber writes a line of text, number and more text.
func appendNumber(b []byte, before string, n int, after ...string) []byte {
	b = strconv.AppendInt(append(b, before...), int64(n), 10)
	for _, s := range after {
		b = append(b, s...)
	}
	return append(b, "\r\n"...)
}

func (d *Description) appendMedia(b []byte, m *Media) []byte {
	b = append(append(append(b, "m="...), m.Kind...), ' ')
	b = strconv.AppendUint(b, uint64(m.Port), 10)
	b = append(append(b, ' '), m.Proto...)
	for _, f := range m.Formats {
		b = append(append(b, ' '), f...)
	}
	b = append(b, "\r\n"...)
	if (m.Addr != d.Addr || m.Host != d.Host) && (m.Addr.IsValid() || m.Host != "") {
		b = appendConnection(b, m.Addr, m.Host)
	}
	for _, c := range m.Codecs {
		if c.Name != "" {
			b = appendNumber(b, "a=rtpmap:", int(c.PT), " ", c.String())
		}
		if c.Fmtp != "" {
			b = appendNumber(b, "a=fmtp:", int(c.PT), " ", c.Fmtp)
		}
	}
	if m.PTime != 0 {
		b = appendNumber(b, "a=ptime:", m.PTime)
	}
	if m.MaxPTime != 0 {
		b = appendNumber(b, "a=maxptime:", m.MaxPTime)
	}
	if m.Direction != SendRecv || m.IsRTP() && m.Port != 0 {
		b = append(append(append(b, "a="...), m.Direction.String()...), "\r\n"...)
	}
	if port := m.RTCP.Port(); port != 0 {
		b = strconv.AppendUint(append(b, "a=rtcp:"...), uint64(port), 10)
		if a := m.RTCP.Addr(); a.IsValid() {
			b = appendAddress(append(b, ' '), a.String())
		}
		b = append(b, "\r\n"...)
	}
	if m.Mux {
		b = append(b, "a=rtcp-mux\r\n"...)
	}
	for _, c := range m.Crypto {
		b = append(append(append(b, "a=crypto:"...), c.Value()...), "\r\n"...)
	}
	return appendAttributes(b, m.Attributes)
}

func appendAttributes(b []byte, list []Attribute) []byte {
	for _, a := range list {
		b = append(append(b, "a="...), a.Name...)
		if !a.Flag {
			b = append(append(b, ':'), a.Value...)
		}
		b = append(b, "\r\n"...)
	}
	return b
}
