package certificate

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// LocalNames are the names and addresses that this machine is reached by: localhost, its host name and every address of
// its interfaces but the link-local ones, behind those that are given. None stands twice.
func LocalNames(given ...string) []string {
	names := append([]string{}, given...)
	names = append(names, "localhost", "127.0.0.1", "::1")
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	addrs, _ := net.InterfaceAddrs() // none: the machine is reached by the others alone
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			names = append(names, p.Addr().String())
		}
	}
	var out []string
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if nameable(n) && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// nameable tells whether a certificate can hold a name: an address, or a host name of RFC 1123.
func nameable(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
