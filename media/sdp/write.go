package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Bytes writes the description, lines in the order of RFC 8866 §5.
func (d *Description) Bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=%s %d %d IN %s %s\r\ns=-\r\n",
		d.Origin.User, d.Origin.Session, d.Origin.Version, family(d.Origin.Host), d.Origin.Host)
	if d.Addr.IsValid() || d.Host != "" {
		writeConnection(&b, d.Addr, d.Host)
	}
	b.WriteString("t=0 0\r\n")
	writeAttributes(&b, d.Attributes)
	for i := range d.Media {
		d.writeMedia(&b, &d.Media[i])
	}
	return []byte(b.String())
}

// family guesses IP4 or IP6 for an address or a host name.
func family(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "IP6"
	}
	return "IP4"
}

func writeConnection(b *strings.Builder, a netip.Addr, host string) {
	if a.IsValid() {
		host = a.String()
	}
	fmt.Fprintf(b, "c=IN %s %s\r\n", family(host), host)
}

func (d *Description) writeMedia(b *strings.Builder, m *Media) {
	fmt.Fprintf(b, "m=%s %d %s %s\r\n", m.Kind, m.Port, m.Proto, strings.Join(m.Formats, " "))
	if (m.Addr != d.Addr || m.Host != d.Host) && (m.Addr.IsValid() || m.Host != "") {
		writeConnection(b, m.Addr, m.Host)
	}
	for _, c := range m.Codecs {
		if c.Name != "" {
			fmt.Fprintf(b, "a=rtpmap:%d %s\r\n", c.PT, c)
		}
		if c.Fmtp != "" {
			fmt.Fprintf(b, "a=fmtp:%d %s\r\n", c.PT, c.Fmtp)
		}
	}
	if m.PTime != 0 {
		fmt.Fprintf(b, "a=ptime:%d\r\n", m.PTime)
	}
	if m.MaxPTime != 0 {
		fmt.Fprintf(b, "a=maxptime:%d\r\n", m.MaxPTime)
	}
	if m.Direction != SendRecv || m.IsRTP() && m.Port != 0 {
		fmt.Fprintf(b, "a=%s\r\n", m.Direction)
	}
	if port := m.RTCP.Port(); port != 0 {
		b.WriteString("a=rtcp:" + strconv.Itoa(int(port)))
		if a := m.RTCP.Addr(); a.IsValid() {
			fmt.Fprintf(b, " IN %s %s", family(a.String()), a)
		}
		b.WriteString("\r\n")
	}
	if m.Mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	for _, c := range m.Crypto {
		b.WriteString("a=crypto:" + c.Value() + "\r\n")
	}
	writeAttributes(b, m.Attributes)
}

func writeAttributes(b *strings.Builder, list []Attribute) {
	for _, a := range list {
		b.WriteString("a=" + a.Name)
		if !a.Flag {
			b.WriteString(":" + a.Value)
		}
		b.WriteString("\r\n")
	}
}
