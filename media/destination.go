package media

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// errDestination says that media may not go where a description wants it.
var errDestination = errors.New("media: address may not be sent to")

// shared is the range of carrier-grade NAT (RFC 6598), private like those of RFC 1918.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// ownAge is how old the list of our own addresses may be.
const ownAge = 10 * time.Second

// own knows the addresses of this machine.
type own struct {
	mu    sync.Mutex
	read  time.Time
	addrs map[netip.Addr]struct{}
}

func (o *own) has(addr netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.addrs == nil || now.Sub(o.read) > ownAge {
		o.read, o.addrs = now, make(map[netip.Addr]struct{})
		list, err := net.InterfaceAddrs()
		if err != nil {
			return false
		}
		for _, a := range list {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				o.addrs[prefix.Addr().Unmap()] = struct{}{}
			}
		}
	}
	_, ok := o.addrs[addr.Unmap()]
	return ok
}

// permit says whether media of a leg that signals from source may be sent to addr. Without this any extension could aim the switch at
// anybody by its c= line: at us, at the machine's own services, at the operator's network behind it.
func (e *Engine) permit(addr netip.AddrPort, source netip.Addr) error {
	ip, c := addr.Addr().Unmap(), e.config()
	switch {
	case !ip.IsValid() || ip.IsUnspecified():
		return fmt.Errorf("%w: no address", errDestination)
	case addr.Port() == 0:
		return fmt.Errorf("%w: port 0", errDestination)
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%w: %s is no single host", errDestination, ip)
	case ip.Is4() && (ip.As4()[0] == 0 || ip.As4()[0] >= 240): // RFC 1122 §3.2.1.3, RFC 1112 §4
		return fmt.Errorf("%w: %s is no host's address", errDestination, ip)
	case ip.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %s is link-local", errDestination, ip)
	case addr.Port() == c.webPort() && (ip.IsLoopback() || e.own.has(ip)):
		return fmt.Errorf("%w: %s is our port for browsers", errDestination, addr)
	case e.relay.Pool().InUse(addr):
		return fmt.Errorf("%w: %s is a port of ours", errDestination, addr)
	case c.LoopbackPeers && (ip.IsLoopback() || e.own.has(ip)):
		return nil
	case ip.IsLoopback():
		return fmt.Errorf("%w: %s is a loopback address", errDestination, ip)
	case e.own.has(ip):
		return fmt.Errorf("%w: %s is our own address", errDestination, ip)
	case private(ip) && !private(source) && !c.PrivatePeers:
		return fmt.Errorf("%w: %s is private, the signalling is not", errDestination, ip)
	}
	return nil
}

// private says whether an address is of a network of somebody's own. An unknown address is not.
func private(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.Is4() && shared.Contains(ip)
}

// parseAddr reads an IP address without zone, with or without brackets.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return addr, err
	}
	return addr.Unmap().WithZone(""), nil
}
