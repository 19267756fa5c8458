package stir

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

var (
	errNoInfo = errors.New("the Identity header does not say where its certificate is")
	errURL    = errors.New("the certificate is at no https URL of a public host")
	errInside = errors.New("the certificate is at an address that is not public")
	errHost   = errors.New("certificates are not fetched from that host")
)

// longestURL bounds the URL of a certificate, in bytes.
const longestURL = 1024

// parseURL takes an https URL of a certificate apart: with a host, without a user, a fragment or anything that another reader
// could understand in another way.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > longestURL:
		return nil, errURL
	case u.Scheme != "https", u.Opaque != "", u.User != nil, u.Fragment != "", u.Hostname() == "", strings.ContainsAny(text, "\\\t\r\n <>\""):
		return nil, fmt.Errorf("%w: %.100q", errURL, text)
	}
	return u, nil
}

// mayFetch tells whether a certificate may be fetched from a URL. hosts are the only ones where they are given, at whatever
// address and port the operator has them; else a host is public, and its port one of the two that ATIS-1000080 knows.
func mayFetch(u *url.URL, hosts []string) (trusted bool, err error) {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if len(hosts) > 0 {
		for _, h := range hosts {
			if suffix, wild := strings.CutPrefix(h, "*."); h == host || wild && strings.HasSuffix(host, "."+suffix) {
				return true, nil
			}
		}
		return false, errHost
	}
	if port := u.Port(); port != "" && port != "443" && port != "8443" {
		return false, fmt.Errorf("%w: port %s", errURL, port)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if !public(a) {
			return false, errInside
		}
		return false, nil
	}
	// What is no address to us must not be one to a resolver: 2130706433, 0x7f000001, 127.1, 0177.0.0.1.
	labels := strings.Split(host, ".")
	if last := labels[len(labels)-1]; len(labels) < 2 || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") ||
		strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return false, errURL
	}
	return false, nil
}

// inside are the networks that are not the public Internet, or lead to what is not (RFC 6890 and the IANA registries).
var inside = func() (all []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}()

// world is all of IPv6 that is given to anybody.
var world = netip.MustParsePrefix("2000::/3")

// public tells whether an address is one of the public Internet.
func public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	if a = a.Unmap(); a.Is6() && !world.Contains(a) {
		return false
	}
	for _, p := range inside {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}
